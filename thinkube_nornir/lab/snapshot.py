"""What a lab host's disk holds beside the machine's own folders: to compare before a set-up and after its rollback."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from thinkube_nornir.lab.base_layer import OVERLAID

Entry = tuple[str, int, int, int, str]
"""Type (`file`, `folder`, `link`, `absent`, `other`), mode, uid, gid, and a file's sha256 or a link's target."""

_MOUNTED = ("proc", "sys", "dev", "run", "tmp")


def disk_state(disk: int, root: int, base_layer: int) -> dict[str, Entry]:
    """Path -> entry, of all on the host's disk that differs from the machine's /usr and /opt, or the lab's first /etc.

    Args:
        disk, root, ground: descriptors of the host's disk, of the directory it calls /, and of what /etc is laid over.
    """
    up, seen, base = (
        Path(f"/proc/self/fd/{disk}/up"),
        Path(f"/proc/self/fd/{root}"),
        Path(f"/proc/self/fd/{base_layer}"),
    )
    state = {f"/{path.relative_to(seen)}": _entry(path) for path in _own(seen)}
    for top in up.iterdir():
        for path in _below(top):
            name = path.relative_to(up)
            now, before = _entry(path), _entry((base if top.name == "etc" else Path("/")) / name)
            if now[:2] + now[4:] != before[:2] + before[4:]:  # of the lower layers' owners a host sees nothing
                state[f"/{name}"] = now
    return state


def _own(root: Path) -> Iterator[Path]:
    """What lies on the host's disk and under no overlay."""
    for top in sorted(root.iterdir()):
        if top.name not in (*_MOUNTED, *OVERLAID, "etc"):
            yield top
            yield from _below(top)


def _below(folder: Path) -> Iterator[Path]:
    if folder.is_symlink() or not folder.is_dir() or folder.stat().st_dev != folder.parent.stat().st_dev:
        return
    for path in sorted(folder.iterdir()):
        yield path
        yield from _below(path)


def _entry(path: Path) -> Entry:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ("absent", 0, 0, 0, "")
    kind, content = _kind(path, status)
    mode = stat.S_IMODE(status.st_mode) if kind in ("file", "folder") else 0
    return (kind, mode, status.st_uid, status.st_gid, content)


def _kind(path: Path, status: os.stat_result) -> tuple[str, str]:
    if stat.S_ISLNK(status.st_mode):
        return "link", str(path.readlink())
    if stat.S_ISDIR(status.st_mode):
        return "folder", ""
    if stat.S_ISREG(status.st_mode):
        return "file", hashlib.sha256(path.read_bytes()).hexdigest()
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        return "absent", ""  # an overlay's mark for a file of the lower layer that was removed
    return "other", ""
