"""What is at the paths of files that are to be put: asked for in one round trip."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from nornir.core.task import Task

from thinkube_nornir.command import Command, Completed, Fact, File
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.remote.exchange import accepted, exchange
from thinkube_nornir.remote.file_scripts import STATE
from thinkube_nornir.secret import redact

_Owner = tuple[str | None, str | None]
_NUMBERS: dict[_Owner, tuple[str, str]] = {(None, None): ("-", "-"), ("root", None): ("0", "0")}
"""Of the owners and groups that need no looking up."""


@dataclass(frozen=True)
class FileState:
    """What is at a path."""

    kind: str
    """`absent`, `file`, `link`, `other`."""
    mode: str
    """Octal digits, `644`; like uid and gid `-` where nothing is."""
    uid: str
    gid: str
    wanted_uid: str
    """`-` where the file is to be the login user's."""
    wanted_gid: str
    missing: int
    """How many of the parent directories, from the nearest up, are not there."""
    target: str
    """Of a link."""
    content: bytes
    """Of a file."""

    @property
    def owner(self) -> str:
        """`uid:gid` as wanted, empty for the login user."""
        return "" if self.wanted_uid == "-" else f"{self.wanted_uid}:{self.wanted_gid}"

    def equals(self, file: File) -> bool:
        owned = self.wanted_uid in ("-", self.uid) and self.wanted_gid in ("-", self.gid)
        return self.kind == "file" and self.content == file.content and int(self.mode, 8) == file.mode and owned


def states_of(task: Task, files: Iterable[File]) -> dict[File, FileState]:
    """Look at all of them, with and without privileges, in one round trip."""
    groups = by_privilege(files)
    answers = exchange(task, [_reading(group) for group in groups])
    found: dict[File, FileState] = {}
    for group, done in zip(groups, answers, strict=True):
        accepted(done, (0,), f"look at {', '.join(file.path for file in group)}")
        try:
            states = _parsed(group, iter(done.stdout.decode("ascii").splitlines()))
        except ValueError as error:
            why = f"{error}; it said: {done.text[:500]!r}"
            raise ThinkubeError(f"the answer of {done.command} is not understood", why=redact(why)) from error
        found.update(zip(group, states, strict=True))
    return found


def state_at(path: str, owner: str | None, group: str | None) -> Fact[FileState | None]:
    """What is at a path, read together with other facts; None when there is no such owner or group."""
    file = File(path, b"", owner=owner, group=group)
    command = _reading([file])

    def parse(done: Completed) -> FileState | None:
        if done.status != 0:
            return None
        return _parsed([file], iter(done.stdout.decode("ascii").splitlines()))[0]

    return Fact(f"what is at {path}", command.argv, parse, command.root, accept=(0, 1))


def by_privilege(files: Iterable[File]) -> list[list[File]]:
    """Root's files, then the login user's; no empty list."""
    groups = [[file for file in files if (file.owner is None) is user] for user in (False, True)]
    return [group for group in groups if group]


def fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _reading(files: Sequence[File]) -> Command:
    known = " ".join(fingerprint(file.content) for file in files)
    owners = _owners(files)
    words = [word or "" for owner in owners for word in owner]
    argv = ("sh", "-c", STATE, "thinkube:states", known, str(len(owners)), *words, *(file.path for file in files))
    return Command(argv, root=files[0].owner is not None, shown=f"look at {', '.join(file.path for file in files)}")


def _owners(files: Iterable[File]) -> list[_Owner]:
    """Owners and groups whose numbers the host must tell."""
    return [pair for pair in dict.fromkeys((file.owner, file.group) for file in files) if pair not in _NUMBERS]


def _parsed(files: Sequence[File], lines: Iterator[str]) -> list[FileState]:
    """From the output of the STATE script, which says how its lines follow each other.

    Raises:
        ValueError: there are too few.
    """
    lines = chain(lines, _end())
    numbers = _NUMBERS | {owner: _two(next(lines)) for owner in _owners(files)}
    places = [next(lines).split() for _ in files]
    modes = [next(lines) if kind != "absent" else "- - -" for kind, _, _ in places]
    known = {fingerprint(file.content): file.content for file in files}
    contents = [_content(next(lines), known) if kind == "file" else b"" for kind, _, _ in places]
    states = []
    for file, (kind, missing, target), three, content in zip(files, places, modes, contents, strict=True):
        mode, uid, gid = three.split()
        wanted = numbers[file.owner, file.group]
        states.append(FileState(kind, mode, uid, gid, *wanted, int(missing), _target(target), content))
    return states


def _end() -> Iterator[str]:
    raise ValueError("the answer ends too early")
    yield ""


def _two(line: str) -> tuple[str, str]:
    first, second = line.split()
    return first, second


def _target(field: str) -> str:
    return "" if field == "-" else base64.b64decode(field).decode(errors="surrogateescape")


def _content(line: str, known: Mapping[str, bytes]) -> bytes:
    seen, sent, content = line.partition(" =")
    return base64.b64decode(content) if sent else known[seen]
