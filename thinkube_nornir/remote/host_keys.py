"""Host keys: the project's own known_hosts, and what `trust` found and adds to it.

Nothing else ever adds a key. A host whose key is not in the file, or is another, gets no password and no command.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thinkube_nornir import operator_file
from thinkube_nornir.errors import ConfigError, Problem, ThinkubeError, Unreachable
from thinkube_nornir.program import command


@dataclass(frozen=True)
class HostKey:
    """A public key as known_hosts has it."""

    kind: str
    """`ssh-ed25519`."""
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen -l prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"


@dataclass(frozen=True)
class Scanned:
    """One row of what `trust` shows: what the host answered with, and what known_hosts says of it."""

    host: str
    known_name: str
    key: HostKey | None
    """None when it did not answer; then `error` says why."""
    state: Literal["new", "known", "changed", "silent"]
    known: tuple[HostKey, ...] = ()
    error: Unreachable | None = None


KnownHosts = dict[str, tuple[HostKey, ...]]
"""Keys by name: `192.168.1.101`, or `[127.0.0.1]:2222` for another port than 22."""


def load_known_hosts(path: Path) -> KnownHosts:
    """Read known_hosts; an absent file knows nobody. Read once however many hosts ask, until it changes.

    Raises:
        ConfigError: lines that are not understood, hashed names, or markers, each with its number.
    """
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError:
        return {}
    return _load(path, changed)


@functools.lru_cache(maxsize=8)
def _load(path: Path, _changed: int) -> KnownHosts:
    known: KnownHosts = {}
    problems = []
    for number, line in enumerate(operator_file.read(path).decode(errors="replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            names, key = _parse(line)
        except ValueError as error:
            problems.append(Problem(f"{path}:{number}", str(error), f"remove the line and run: `{command('trust')}`"))
            continue
        for name in names:
            known[name] = (*known.get(name, ()), key)
    if problems:
        raise ConfigError(problems)
    return known


def _parse(line: str) -> tuple[list[str], HostKey]:
    fields = line.split()
    if line.startswith(("@", "|")):
        raise ValueError("hashed names and markers are not supported here")
    if len(fields) < 3:
        raise ValueError("not a known_hosts line")
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except ValueError:
        raise ValueError("its key is not base64") from None
    return fields[0].split(","), HostKey(fields[1], blob)


def accept(path: Path, rows: Sequence[Scanned], *, replace: bool = False) -> list[Scanned]:
    """Write the new keys to known_hosts, and changed ones too with `replace`; return the rows that were written.

    Raises:
        ThinkubeError: the file cannot be written.
    """
    wanted = [row for row in rows if row.state == "new" or (replace and row.state == "changed")]
    known = dict(load_known_hosts(path))
    known.update({row.known_name: (row.key,) for row in wanted if row.key})
    if wanted:
        try:
            _write(path, known)
        except OSError as error:
            raise ThinkubeError(f"cannot write {path}", why=str(error), fix="make the folder writable") from error
    return wanted


def _write(path: Path, known: KnownHosts) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{name} {key.kind} {base64.b64encode(key.blob).decode()}\n" for name in sorted(known) for key in known[name]
    ]
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text("".join(lines))
    temporary.replace(path)
