"""What the file systems of the lab's hosts are laid over, made once per lab: a copy of /etc, and the folders of /usr.

A single-uid user namespace may not write into folders that belong to the machine's root. Overlays whose lower layers
hold these folders again, as our own, may: new files can be made, and old ones replaced, in every folder of `_skeleton`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

OVERLAID = ("usr", "opt", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_DEPTH = 4
_SKIP = ("share", "include", "src", "python", "firmware", "modules", "locale")
"""Folders (by the start of their name) with many others below in which no tool is installed and no file replaced."""


def build(base_layer: Path, login_users: frozenset[str]) -> None:
    """Fill `ground` with the layers `etc` and, for each overlaid folder of the machine, its own folders."""
    _copy_etc(base_layer / "etc")
    _own_accounts(base_layer / "etc", login_users)
    for name in OVERLAID:
        top = Path("/", name)
        if top.is_dir() and not top.is_symlink():
            for folder in _skeleton(top, _DEPTH):
                (base_layer / folder.relative_to("/")).mkdir(mode=0o755, parents=True, exist_ok=True)


def _skeleton(folder: Path, depth: int) -> Iterator[Path]:
    yield folder
    if depth == 0 or folder.name.startswith(_SKIP):
        return
    with os.scandir(folder) as entries:
        below = [
            Path(e.path) for e in entries if e.is_dir(follow_symlinks=False) and os.access(e.path, os.R_OK | os.X_OK)
        ]
    for child in below:
        yield from _skeleton(child, depth - 1)


def _copy_etc(target: Path) -> None:
    """Copy what may be read; what only the machine's root may read is absent."""
    command = ["cp", "-dR", "--preserve=mode,timestamps", "/etc", str(target)]
    subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    if not (target / "passwd").exists():
        raise FileNotFoundError(2, "no copy could be made of", "/etc/passwd")
    for key in (target / "ssh").glob("ssh_host_*"):
        key.unlink()


def _own_accounts(etc: Path, login_users: frozenset[str]) -> None:
    """Give every account the one uid there is, so that `chown bind:bind` works; root stays first and names it."""
    users = [_with_ids(line, (2, 3)) for line in (etc / "passwd").read_text().splitlines()]
    groups = [_with_ids(line, (2,)) for line in (etc / "group").read_text().splitlines()]
    present = {line.split(":", 1)[0] for line in users}
    for name in sorted(login_users - present):
        users.append(f"{name}:x:0:0:{name}:/home/{name}:/bin/bash")
        groups.append(f"{name}:x:0:")
    groups = [_with_members(line, login_users) if line.startswith("sudo:") else line for line in groups]
    _replace(etc / "passwd", users, 0o644)
    _replace(etc / "group", groups, 0o644)
    _replace(etc / "shadow", [f"{line.split(':', 1)[0]}:*:19000:0:99999:7:::" for line in users], 0o640)
    (etc / "gshadow").unlink(missing_ok=True)


def _with_ids(line: str, fields: tuple[int, ...]) -> str:
    parts = line.split(":")
    return ":".join("0" if i in fields else part for i, part in enumerate(parts))


def _with_members(line: str, names: frozenset[str]) -> str:
    head, _, members = line.rpartition(":")
    return head + ":" + ",".join(sorted({*filter(None, members.split(",")), *names}))


def _replace(path: Path, lines: list[str], mode: int) -> None:
    path.unlink(missing_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(mode)
