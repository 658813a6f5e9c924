"""An in-memory file system that answers the scripts of put and restore as a real host's shell does."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

from thinkube_nornir.command import Command

_USERS = {"root": 0}


@dataclass
class FakeFile:
    """A regular file, or a symlink when `target` is set."""

    content: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    target: str = ""

    @property
    def fingerprint(self) -> str:
        return f"link:{self.target}" if self.target else hashlib.sha256(self.content).hexdigest()


class FakeFiles(dict[str, FakeFile]):
    """Files by path; texts and bytes become root's files of mode 0644. A directory is there when a file is below it."""

    users: dict[str, int]
    """User and group numbers; a name nobody entered gets the next one."""

    def __init__(self, files: Mapping[str, FakeFile | bytes | str] | None = None) -> None:
        super().__init__({path: _file(content) for path, content in (files or {}).items()})
        self.users = dict(_USERS)
        self.written: list[str] = []
        self.host_part: dict[str, bytes] = {}
        """Records by name, as JSON."""
        self.clock = 1.0
        """Moves on with every write."""
        self.changed: dict[str, float] = {}
        """When a path, or something in a folder, was changed last."""
        self._ours: dict[str, set[str]] = {}
        self._made: set[str] = set()

    def text(self, path: str) -> str:
        return self[path].content.decode()

    def serve(self, kind: str, command: Command) -> tuple[int, bytes, bytes]:
        """Return status, stdout and stderr of one of put's and restore's scripts."""
        arguments = command.argv[4:]
        if kind == "thinkube:states":
            return 0, self._states(*arguments), b""
        if kind == "thinkube:write":
            return self._write(command.stdin, *arguments)
        if kind == "thinkube:list":
            records = self.host_part.values() if command.root else ()
            return 0, b"".join(record + b"\n\0" for record in records), b""
        return self._restore(command.stdin, *arguments, only_asked=kind == "thinkube:may-restore")

    def touch(self, path: str) -> None:
        """Note that it was changed now, as stat shows it."""
        self.clock += 1
        self.changed[path] = self.changed[path.rpartition("/")[0]] = self.clock

    def stat_changes(self, command: Command) -> tuple[int, str]:
        """Status and output of `stat --format=%.9Z %n PATH ...`."""
        paths = [p for p in command.argv[2:] if p in self or any(f.startswith(f"{p}/") for f in self)]
        lines = [f"{self.changed.get(path, 0.0):.9f} {path}\n" for path in paths]
        return int(len(paths) < len(command.argv[2:])), "".join(lines)

    def recorded(self, kind: str, command: Command) -> Command:
        """Keep or forget the record of a change; return the command inside the wrapping script."""
        name, *argv = command.argv[4:]
        stdin = command.stdin
        if kind == "thinkube:change":
            line, _, stdin = stdin.partition(b"\n")
            self.host_part.setdefault(name, line)
        else:
            argv = argv[1:]
            self.host_part.pop(name, None)
        return Command(tuple(argv), stdin, command.root, command.env, alters=True)

    def _states(self, known: str, count: str, *words: str) -> bytes:
        end = 2 * int(count)
        pairs, paths = zip(words[:end:2], words[1:end:2], strict=True), words[end:]
        present = [self[path] for path in paths if path in self]
        lines = [f"{self._number(owner)} {self._number(group or owner)}" for owner, group in pairs]
        lines += [self._place(path) for path in paths]
        lines += [f"{file.mode:o} {file.uid} {file.gid}" for file in present]
        lines += [_fingerprint(file, known) for file in present if not file.target]
        return "".join(f"{line}\n" for line in lines).encode()

    def _place(self, path: str) -> str:
        target = self[path].target if path in self else ""
        kind = "link" if target else "file" if path in self else "absent"
        return f"{kind} {self._missing(path)} {_base64(target.encode()) or '-'}"

    def _write(self, stdin: bytes, suffix: str, options: str, *words: str) -> tuple[int, bytes, bytes]:
        files = list(zip(*[iter(words)] * 5, strict=True))
        *lines, archive = stdin.split(b"\n", len(files))
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            entries = [entry for entry in opened.getmembers() if entry.isfile()]
            contents = [opened.extractfile(entry) for entry in entries]
            for line, entry, content, (name, path, _, _, sha256) in zip(lines, entries, contents, files, strict=True):
                assert content is not None
                self.host_part.setdefault(name, line)
                self._ours.setdefault(name, set()).add(sha256)
                self._made.update(self._parents(path)[: self._missing(path)])
                uid, gid = (1000, 1000) if "o" in options else (entry.uid, entry.gid)
                self[path] = FakeFile(content.read(), entry.mode, uid, gid)
                self.touch(path)
                self.written.append(path)
        return 0, b"placed\n" * len(files), b""

    def _restore(
        self,
        stdin: bytes,
        name: str,
        path: str,
        kind: str,
        mode: str,
        owner: str,
        made: str,
        target: str,
        *known: str,
        only_asked: bool = False,
    ) -> tuple[int, bytes, bytes]:
        now = self[path].fingerprint if path in self else "absent"
        if now not in {*known, "absent", *self._ours.get(name, ())}:
            return 20, b"", f"what is there now: {now}; before: {known[0]}; ours: {known[1]}".encode()
        if only_asked:
            return 0, b"", b""
        self.pop(path, None)
        if kind != "absent":
            uid, gid = owner.split(":")
            self[path] = FakeFile(stdin, int(mode, 8), int(uid), int(gid), target)
        self._made.difference_update(self._parents(path)[: int(made)])
        self.touch(path)
        self.written.append(path)
        self.host_part.pop(name, None)
        self._ours.pop(name, None)
        return 0, b"", b""

    def _number(self, owner: str) -> str:
        return str(self.users.setdefault(owner, 1000 + len(self.users)))

    def _missing(self, path: str) -> int:
        present = {"/etc", "/usr", "/var", "/var/lib", "/home", "/root", "/tmp", "/opt", "/run", *self._made}  # noqa: S108
        present.update(parent for file in self for parent in self._parents(file))
        parents = self._parents(path)
        return next((n for n, parent in enumerate(parents) if parent in present), len(parents))

    @staticmethod
    def _parents(path: str) -> list[str]:
        """Nearest first, without the root."""
        parts = path.split("/")[1:-1]
        return ["/" + "/".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _file(content: FakeFile | bytes | str) -> FakeFile:
    if isinstance(content, FakeFile):
        return content
    return FakeFile(content.encode() if isinstance(content, str) else content)


def _fingerprint(file: FakeFile, known: str) -> str:
    sent = "" if file.fingerprint in known.split() else f" ={_base64(file.content)}"
    return file.fingerprint + sent


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
