"""The archive of a run's evidence: a .tar.gz with text files in one folder, `evidence/`.

meta.json            form and version of this program, the request, target, hosts with their groups and settings
report.json          the run's report, as `--report x.json` writes it
commands.jsonl       one line for each command on a host: argv, root, status, stdout, stderr, seconds, node
api.jsonl            one line for each request to the Kubernetes API: method, url, status, body, seconds, node
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkube_nornir import __version__
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.evidence.recorder import Entry
from thinkube_nornir.evidence.scrub import scrub, scrub_body
from thinkube_nornir.reporting.json_report import as_dict

if TYPE_CHECKING:
    from nornir.core.inventory import Inventory

    from thinkube_nornir.reporting.record import Record

FORM = 1
"""Raised when the archive's form changes."""
ENDING = ".tar.gz"
_FOLDER = "evidence"
_TEXTS = ("stdout", "stderr", "error")

Line = dict[str, Any]


@dataclass(frozen=True)
class Archive:
    meta: Mapping[str, Any]
    report: Mapping[str, Any]
    commands: tuple[Line, ...]
    calls: tuple[Line, ...]


def write(path: Path, entries: Sequence[Entry], record: Record, inventory: Inventory) -> Archive:
    """Write it with mode 0600, without secrets; return what was written.

    Raises:
        ConfigError: the file cannot be written.
    """
    lines = [_line(entry) for entry in sorted(entries, key=lambda entry: entry.at)]
    report = _scrubbed(as_dict(record))
    commands, calls = (tuple(x for x in lines if key in x) for key in ("argv", "method"))
    archive = Archive(_meta(record, inventory), report, commands, calls)
    files = {
        "meta.json": json.dumps(archive.meta, indent=2, default=str),
        "report.json": json.dumps(archive.report, indent=2),
        "commands.jsonl": "".join(json.dumps(line) + "\n" for line in commands),
        "api.jsonl": "".join(json.dumps(line) + "\n" for line in calls),
    }
    try:
        _replace(path, _packed(files, int(record.started)))
    except OSError as error:
        raise ConfigError([Problem("--evidence", f"cannot write {path}: {error.strerror}")]) from None
    return archive


def must_be_archive(path: Path) -> None:
    """
    Raises:
        ConfigError: its name ends in something else, or its folder is missing.
    """
    if not path.name.endswith(ENDING):
        raise ConfigError([Problem("--evidence", f"{path} does not end in {ENDING}")])
    if not path.parent.is_dir():
        raise ConfigError([Problem("--evidence", f"there is no folder {path.parent}")])


def read(path: Path) -> Archive:
    """
    Raises:
        ConfigError: it is no archive of evidence, or of a form that this version does not know.
    """
    try:
        with tarfile.open(path) as packed:
            texts = {Path(m.name).name: _content(packed, m) for m in packed.getmembers() if m.isfile()}
        meta = json.loads(texts["meta.json"])
        lines = ([json.loads(x) for x in texts[name].splitlines()] for name in ("commands.jsonl", "api.jsonl"))
        commands, calls = (tuple(found) for found in lines)
        archive = Archive(meta, json.loads(texts["report.json"]), commands, calls)
        form = meta["form"]
    except (OSError, EOFError, tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise ConfigError([Problem(str(path), f"is no archive of evidence: {error}")]) from None
    if form != FORM:
        fix = f"use the version of this program that wrote it: {meta.get('tool')}"
        raise ConfigError([Problem(str(path), f"has form {form}, and this version knows {FORM}", fix)])
    return archive


def _meta(record: Record, inventory: Inventory) -> dict[str, Any]:
    hosts = {
        name: {
            "groups": sorted(group.name for group in host.extended_groups()),
            "settings": _scrubbed(host.extended_data()),
        }
        for name, host in inventory.hosts.items()
    }
    request = {"verb": record.verb, "selection": list(record.selection), "limit": record.limit}
    by = {"form": FORM, "tool": f"thinkube-nornir {__version__}", "target": record.target, "request": request}
    return {**by, "emulated": list(record.emulated), "started": record.started, "hosts": hosts}


def _line(entry: Entry) -> Line:
    what = dict(entry.what)
    for name in _TEXTS:
        if name in what:
            what[name] = scrub(what[name])
    if "argv" in what:
        what["argv"] = [scrub(word) for word in what["argv"]]
    if "env" in what:
        what["env"] = {name: scrub(value) for name, value in what["env"].items()}
    if "body" in what:
        what["body"] = scrub_body(what["body"])
    if "events" in what:
        what["events"] = [json.loads(scrub_body(json.dumps(event))) for event in what["events"]]
    seconds = {"at": round(entry.at, 3), "seconds": round(entry.seconds, 3)}
    return {"host": entry.host, "node": entry.node, **seconds, **what}


def _scrubbed(value: Any) -> Any:
    return json.loads(scrub_body(json.dumps(value, default=str)))


def _packed(files: Mapping[str, str], mtime: int) -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=mtime) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, text in files.items():
            content = text.encode()
            member = tarfile.TarInfo(f"{_FOLDER}/{name}")
            member.size, member.mtime, member.mode = len(content), mtime, 0o600
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _content(packed: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    stream = packed.extractfile(member)
    return stream.read().decode() if stream else ""


def _replace(path: Path, content: bytes) -> None:
    """mkstemp's mode is 0600: what was overlooked is not everybody's."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
