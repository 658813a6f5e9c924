"""Files on hosts: put writes what differs, atomically; restore puts back what was there before.

One round trip reads the state of all files, one writes those that differ: first all of them beside their places, then,
when they are whole, each into its place. What is not obvious:

- A symlink at the path is replaced, not followed: a link into another place never makes us write there. Its target is
  recorded and the link comes back with restore. A directory or device at the path is refused.
- Owners are compared by number, because several names may share one.
- restore acts only while the file still is as we wrote it, as it was before, or gone; what somebody else changed since
  is Refused. Each content we write is noted on the host by its SHA-256 before it takes its place.
"""

from __future__ import annotations

import base64
import io
import itertools
import secrets
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import PurePosixPath
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.change_log import Change, Record
from thinkube_nornir.command import Command, Completed, File
from thinkube_nornir.context import context
from thinkube_nornir.errors import CommandFailed, Refused, ThinkubeError
from thinkube_nornir.outcome import all_of, changed, unchanged
from thinkube_nornir.remote.exchange import accepted, exchange, facts_forgotten, must_not_be_read_only
from thinkube_nornir.remote.file_diff import diff_of
from thinkube_nornir.remote.file_scripts import CHANGED_SINCE, MAY_RESTORE, RESTORE, WRITE
from thinkube_nornir.remote.file_states import FileState, by_privilege, fingerprint, states_of
from thinkube_nornir.remote.on_host_state import record_of, with_part


def put(task: Task, *files: File) -> Result:
    """Write those of the files whose content, mode or owner differs; the previous state is kept for restore.

    Raises:
        Refused: a directory or device is in the way, the run is read-only, or another controller is at work.
        CommandFailed: a file could not be written (full disk, unknown owner); it is as it was, no temporary file stays.
    """
    for file in files:
        _must_be_absolute(file.path)
    wanted = {file: state for file, state in states_of(task, files).items() if not state.equals(file)}
    if not wanted:
        return unchanged(task, f"{_named(f.path for f in files)} as wanted")
    summary = f"write {_named(file.path for file in wanted)}"
    must_not_be_read_only(task, summary)
    diff = "".join(diff_of(file, state.kind, state.content, state.mode) for file, state in wanted.items())
    if context(task).dry_run:
        return changed(task, summary, diff=diff, planned=True)
    _write_all(task, wanted)
    return changed(task, summary, diff=diff)


def restore(task: Task, *paths: str) -> Result:
    """Put back what put found at the paths; files that were not there go, with the parent directories we made.

    Raises:
        Refused: somebody else changed a file since we wrote it.
    """
    change_log = context(task).change_log
    managed = [(path, change) for path in paths if (change := change_log.managed(task.host.name, f"file:{path}"))]
    if not managed:
        return unchanged(task, f"{_named(paths)} not managed")
    must_not_be_read_only(task, f"restore {_named(path for path, _ in managed)}")
    results = [changed(task, _promise(path, c.before), planned=context(task).dry_run) for path, c in managed]
    _restore_all(task, managed)
    return all_of(task, *results)


def _write_all(task: Task, wanted: Mapping[File, FileState]) -> None:
    for file, state in wanted.items():
        if state.kind == "other":
            why, fix = "a directory or device is there", "move it away, or name another path"
            raise Refused(f"{file.path} is not a file", why=why, fix=fix)
    change_log, host = context(task).change_log, task.host.name
    records = {f: record_of(task, f"file:{f.path}", f"write {f.path}", _before(f, s)) for f, s in wanted.items()}
    changes = {file: change_log.intend(host=host, **vars(record)) for file, record in records.items()}
    groups = by_privilege(wanted)
    with facts_forgotten(task):
        answers = exchange(task, [_write_command(group, wanted, records) for group in groups])
    failures = []
    for group, done in zip(groups, answers, strict=True):
        placed = [line == b"placed" for line in done.stdout.splitlines()] or [False] * len(group)
        for file in itertools.compress(group, placed):
            change_log.done(changes[file])
        if done.status:
            failures.append(([file for file, there in zip(group, placed, strict=True) if not there], done))
    for left, done in failures:
        _must_have_written(left, done)


def _write_command(files: Sequence[File], states: Mapping[File, FileState], records: Mapping[File, Record]) -> Command:
    root = files[0].owner is not None
    suffix = secrets.token_hex(4)
    fields = [
        (Record.name_of(records[f].key), f.path, states[f].owner, f"{f.directory_mode:o}", fingerprint(f.content))
        for f in files
    ]
    # o: files that nobody wants an owner for are made as any other.
    options = "-xpmPf" if root else "-oxpmPf"
    argv = with_part(root, WRITE, "write", suffix, options, *(word for words in fields for word in words))
    lines = b"".join(records[file].line for file in files)
    shown = f"write {', '.join(file.path for file in files)}"
    return Command(argv, lines + _archive(files, states, suffix), root=root, alters=True, shown=shown)


def _archive(files: Sequence[File], states: Mapping[File, FileState], suffix: str) -> bytes:
    """The files in their staging folders, which have a dot in front and no ending that a reader of the folder around
    them (sudoers.d, netplan) would take up."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for folder in dict.fromkeys(_staging(file, suffix) for file in files):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o700
            archive.addfile(entry)
        for file in files:
            entry = tarfile.TarInfo(f"{_staging(file, suffix)}/{file.path.rpartition('/')[2]}")
            entry.size, entry.mode = len(file.content), file.mode
            entry.uid, entry.gid = (int(n) for n in (states[file].owner or "0:0").split(":"))
            archive.addfile(entry, io.BytesIO(file.content))
    return stream.getvalue()


def _staging(file: File, suffix: str) -> str:
    return f"{file.path.rpartition('/')[0]}/.thinkube.{suffix}"


def _must_have_written(files: Sequence[File], done: Completed) -> None:
    try:
        accepted(done, (0,), f"write {_named(file.path for file in files)}")
    except CommandFailed as error:
        full = b"No space left" in done.stderr
        error.fix = "free space on the host and run again" if full else "what was to be written is as it was"
        raise


def _before(file: File, state: FileState) -> dict[str, Any]:
    parents = list(PurePosixPath(file.path).parents)[: state.missing]
    return {
        "existed": state.kind != "absent",
        "kind": state.kind,
        "content": base64.b64encode(state.content).decode("ascii"),
        "mode": state.mode,
        "uid": state.uid,
        "gid": state.gid,
        "target": state.target,
        "parents": [str(parent) for parent in parents],
        "root": file.owner is not None,
        "wrote": fingerprint(file.content),
    }


def _restore_all(task: Task, managed: list[tuple[str, Change]]) -> None:
    """Put them back; a dry run asks only whether that would be refused."""
    run = context(task)
    commands = [_restore_command(path, change.before, dry_run=run.dry_run) for path, change in managed]
    with nullcontext() if run.dry_run else facts_forgotten(task):
        answers = exchange(task, commands)
    failures = []
    for (path, change), done in zip(managed, answers, strict=True):
        if done.status:
            failures.append((path, done))
        elif not run.dry_run:
            run.change_log.undone(change)
    for path, done in failures:
        _must_have_restored(path, done)


def _restore_command(path: str, before: Mapping[str, Any], *, dry_run: bool) -> Command:
    content = base64.b64decode(before["content"])
    original = {"absent": "absent", "link": f"link:{before['target']}"}.get(before["kind"], fingerprint(content))
    owner = f"{before['uid']}:{before['gid']}"
    fields = (Record.name_of(f"file:{path}"), path, before["kind"], before["mode"], owner, str(len(before["parents"])))
    arguments = (*fields, before["target"], original, before["wrote"])
    if dry_run:
        return Command(with_part(before["root"], MAY_RESTORE, "may-restore", *arguments), root=before["root"])
    argv = with_part(before["root"], RESTORE, "restore", *arguments)
    return Command(argv, content, root=before["root"], alters=True, shown=f"put back {path}")


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


def _named(paths: Iterable[str]) -> str:
    return ", ".join(paths)


def _must_be_absolute(path: str) -> None:
    plain = PurePosixPath(path)
    if not path.startswith("/") or path == "/" or str(plain) != path or ".." in plain.parts or "\n" in path:
        raise ThinkubeError(
            f"{path!r} is not a plain absolute path", fix="write it from / without . , .., a final / or a newline"
        )
