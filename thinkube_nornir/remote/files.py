"""Files through the remote door: put writes what differs, atomically; restore puts back what was there before.

One round trip reads the state of all files, one writes those that differ. What is not obvious:

- A symlink at the path is replaced, not followed: a link into another place never makes us write there. Its target is
  recorded and the link comes back with restore. A directory or device at the path is refused.
- Owners are compared by number, because several names may share one.
- restore acts only while the file still is as we wrote it, as it was before, or gone; what somebody else changed since
  is Refused. Each content we write is noted on the host by its SHA-256 before it takes its place.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.command import Command, Completed, File
from thinkube_nornir.context import context
from thinkube_nornir.errors import CommandFailed, Refused, ThinkubeError
from thinkube_nornir.ledger import Change
from thinkube_nornir.outcome import all_of, changed, unchanged
from thinkube_nornir.remote.exchange import accepted, exchange, facts_forgotten, must_not_be_read_only
from thinkube_nornir.remote.file_diff import diff_of
from thinkube_nornir.remote.file_scripts import CHANGED_SINCE, RESTORE, STATE, WRITE
from thinkube_nornir.remote.host_part import record_name, record_of


@dataclass(frozen=True)
class FileState:
    """What is at a path. `content` None where it equals the wanted one, or there is none."""

    kind: str
    """`absent`, `file`, `link`, `other`."""
    mode: str
    """Octal digits: `644`."""
    uid: str
    gid: str
    sha256: str
    wanted_uid: str
    wanted_gid: str
    missing: int
    """How many of the parent directories, from the nearest up, are not there."""
    target: str
    content: bytes | None

    @classmethod
    def parse(cls, line: bytes) -> FileState:
        """From a line of the STATE script: ten fields, `-` for none; target and content in base64."""
        kind, mode, uid, gid, sha256, wanted_uid, wanted_gid, missing, target, content = line.decode("ascii").split()
        linked = "" if target == "-" else base64.b64decode(target).decode(errors="surrogateescape")
        held = None if content == "-" else base64.b64decode(content.removeprefix("="))
        return cls(kind, mode, uid, gid, sha256, wanted_uid, wanted_gid, int(missing), linked, held)


def put(task: Task, *files: File) -> Result:
    """Write those of the files whose content, mode or owner differs; the former state is kept for restore.

    Raises:
        Refused: a directory or device is in the way, the run is read-only, or another controller is at work.
        CommandFailed: a file could not be written (full disk, unknown owner); it is as it was, no temporary file stays.
    """
    for file in files:
        _must_be_absolute(file.path)
    states = _states(task, files)
    wanted = [(file, state) for file, state in zip(files, states, strict=True) if not _same(file, state)]
    if not wanted:
        return unchanged(task, f"{_named(f.path for f in files)} as wanted")
    summary = f"write {_named(file.path for file, _ in wanted)}"
    must_not_be_read_only(task, summary)
    diff = "".join(diff_of(file, state.kind, _former(file, state), state.mode) for file, state in wanted)
    if context(task).dry_run:
        return changed(task, summary, diff=diff, planned=True)
    _write_all(task, wanted)
    return changed(task, summary, diff=diff)


def restore(task: Task, *paths: str) -> Result:
    """Put back what put found at the paths; files that were not there go, with the parent directories we made.

    Raises:
        Refused: somebody else changed a file since we wrote it.
    """
    ledger = context(task).ledger
    ours = [(path, change) for path in paths if (change := ledger.ours(task.host.name, f"file:{path}"))]
    if not ours:
        return unchanged(task, f"{_named(paths)} not ours")
    must_not_be_read_only(task, f"restore {_named(path for path, _ in ours)}")
    results = [changed(task, _promise(path, c.before), planned=context(task).dry_run) for path, c in ours]
    if not context(task).dry_run:
        _restore_all(task, ours)
    return all_of(task, *results)


def _states(task: Task, files: tuple[File, ...]) -> list[FileState]:
    """By privilege, in one round trip."""
    groups = [[file for file in files if (file.owner is None) is user] for user in (False, True)]
    asked = [(group, _state_command(group)) for group in groups if group]
    answers = exchange(task, [command for _, command in asked])
    found: dict[File, FileState] = {}
    for (group, _), done in zip(asked, answers, strict=True):
        lines = accepted(done, (0,), f"look at {_named(f.path for f in group)}").stdout.splitlines()
        found.update(zip(group, map(FileState.parse, lines), strict=True))
    return [found[file] for file in files]


def _state_command(files: list[File]) -> Command:
    fields = [field for f in files for field in (f.path, _sha256(f.content), f.owner or "", f.group or "")]
    return Command(("sh", "-c", STATE, "thinkube:states", *fields), root=files[0].owner is not None)


def _same(file: File, state: FileState) -> bool:
    owned = state.wanted_uid in ("-", state.uid) and state.wanted_gid in ("-", state.gid)
    return state.kind == "file" and state.content is None and int(state.mode, 8) == file.mode and owned


def _former(file: File, state: FileState) -> bytes:
    if state.kind == "file":
        return file.content if state.content is None else state.content
    return b""


def _write_all(task: Task, wanted: list[tuple[File, FileState]]) -> None:
    ledger = context(task).ledger
    commands, changes = [], []
    for file, state in wanted:
        if state.kind == "other":
            raise Refused(
                f"{file.path} is not a file",
                why="a directory or device is there",
                fix="move it away, or name another path",
            )
        record = record_of(task, f"file:{file.path}", f"write {file.path}", _before(file, state))
        changes.append(ledger.intend(host=task.host.name, **vars(record)))
        owner = "" if state.wanted_uid == "-" else f"{state.wanted_uid}:{state.wanted_gid}"
        fields = (file.path, f"{file.mode:o}", owner, f"{file.directory_mode:o}", _sha256(file.content))
        argv = ("sh", "-c", WRITE, "thinkube:write", record_name(record.key), *fields)
        commands.append(Command(argv, record.line + file.content, root=file.owner is not None, alters=True))
    with facts_forgotten(task):
        answers = exchange(task, commands)
    failures = []
    for (file, _), change, done in zip(wanted, changes, answers, strict=True):
        if done.status == 0:
            ledger.done(change)
        else:
            failures.append((file.path, done))
    for path, done in failures:
        _must_have_written(path, done)


def _must_have_written(path: str, done: Completed) -> None:
    try:
        accepted(done, (0,), f"write {path}")
    except CommandFailed as error:
        error.fix = (
            "free space on the host and run again" if b"No space left" in done.stderr else "the file is as it was"
        )
        raise


def _before(file: File, state: FileState) -> dict[str, Any]:
    parents = list(PurePosixPath(file.path).parents)[: state.missing]
    return {
        "existed": state.kind != "absent",
        "kind": state.kind,
        "content": base64.b64encode(_former(file, state)).decode("ascii"),
        "mode": state.mode,
        "uid": state.uid,
        "gid": state.gid,
        "target": state.target,
        "parents": [str(parent) for parent in parents],
        "root": file.owner is not None,
        "wrote": _sha256(file.content),
    }


def _restore_all(task: Task, ours: list[tuple[str, Change]]) -> None:
    with facts_forgotten(task):
        answers = exchange(task, [_restore_command(path, change.before) for path, change in ours])
    failures = []
    for (path, change), done in zip(ours, answers, strict=True):
        if done.status == 0:
            context(task).ledger.undone(change)
        else:
            failures.append((path, done))
    for path, done in failures:
        _must_have_restored(path, done)


def _restore_command(path: str, before: Mapping[str, Any]) -> Command:
    content = base64.b64decode(before["content"])
    original = {"absent": "absent", "link": f"link:{before['target']}"}.get(before["kind"], _sha256(content))
    owner = f"{before['uid']}:{before['gid']}"
    fields = (record_name(f"file:{path}"), path, before["kind"], before["mode"], owner, str(len(before["parents"])))
    argv = ("sh", "-c", RESTORE, "thinkube:restore", *fields, before["target"], original, before["wrote"])
    return Command(argv, content, root=before["root"], alters=True)


def _must_have_restored(path: str, done: Completed) -> None:
    if done.status == CHANGED_SINCE:
        raise Refused(
            f"{path} was changed by somebody else since we wrote it",
            why=done.stderr.decode(errors="backslashreplace").strip(),
            fix=f"look at {path} on the host; remove it, or put back what we wrote, and roll back again",
        )
    accepted(done, (0,), f"restore {path}")


def _promise(path: str, before: Mapping[str, Any]) -> str:
    return f"restore {path}" if before["existed"] else f"remove {path}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _named(paths: Iterable[str]) -> str:
    return ", ".join(paths)


def _must_be_absolute(path: str) -> None:
    plain = PurePosixPath(path)
    if not path.startswith("/") or path == "/" or str(plain) != path or ".." in plain.parts:
        raise ThinkubeError(f"{path!r} is not a plain absolute path", fix="write it from / without . , .. or a final /")
