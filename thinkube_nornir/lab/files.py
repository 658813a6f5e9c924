"""A lab host's file system as the lab process reaches it: through a descriptor of the host's root directory."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

_MOST_LINKS = 40


class Files:
    """HostFiles of emulation.py. `root` is an open descriptor of the directory that the host calls /."""

    def __init__(self, root: int) -> None:
        self._root = Path(f"/proc/self/fd/{root}")

    def read(self, path: str) -> bytes:
        return self.place(path).read_bytes()

    def write(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        target = self.place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            new.write_bytes(content.encode() if isinstance(content, str) else content)
            new.chmod(mode)
            new.replace(target)
        except OSError:
            new.unlink(missing_ok=True)
            raise

    def symlink(self, path: str, target: str) -> None:
        """Replaces a file or link of that name."""
        link = self.place(path, follow=False)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)

    def exists(self, path: str) -> bool:
        return self.place(path).exists()

    def remove(self, path: str) -> None:
        place = self.place(path, follow=False)
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        place = self.place(path)
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(mode)

    def list(self, path: str) -> Sequence[str]:
        place = self.place(path)
        return sorted(entry.name for entry in place.iterdir()) if place.is_dir() else []

    def place(self, path: str, *, follow: bool = True) -> Path:
        """Where the lab process finds `path`, every link in it resolved as the host would."""
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                done = done[:-1]
                continue
            here = self._root.joinpath(*done, part)
            if not here.is_symlink() or (not todo and not follow):
                done.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = str(here.readlink())
            done = [] if target.startswith("/") else done
            todo += [step for step in reversed(target.split("/")) if step not in ("", ".")]
        return self._root.joinpath(*done)
