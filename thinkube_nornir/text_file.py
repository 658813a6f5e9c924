"""A text file that people edit as well: what is changed in it is put in its place at once, and no edit is lost.

Standard library only. Content is bytes: whatever a change leaves alone keeps its line ends and its encoding.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ATTEMPTS = 5  # somebody who writes the file that often within milliseconds is no person


def content_of(path: Path) -> bytes | None:
    """Read the content; None when there is no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def update(path: Path, change: Callable[[bytes | None], bytes | None]) -> bool:
    """Replace the content of a file by what `change` makes of it; return whether that is another one.

    A reader sees the old content or the new one, and never a part. Programs that use this function wait for each
    other. What an editor saved meanwhile is not overwritten: the change is made again, on that. Mode, owner and a
    symbolic link stay.

    Args:
        change: gets None when there is no such file; returns None to leave things as they are. May be called again.

    Raises:
        OSError: it cannot be read or written; nothing was changed.
    """
    path = Path(os.path.realpath(path))
    with _alone_in(path.parent):
        for _ in range(_ATTEMPTS):
            before = content_of(path)
            after = change(before)
            if after is None or after == before:
                return False
            if _replaced(path, before, after):
                return True
    raise BlockingIOError(None, "is written by another program all the time", str(path))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """A lock on the folder leaves no file behind, and a file that is replaced cannot carry it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replaced(path: Path, before: bytes | None, after: bytes) -> bool:
    """Replace the content, unless it is not `before` any more."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(after)
            _keep_attributes(stream.fileno(), path)
            stream.flush()
            os.fsync(stream.fileno())
        if content_of(path) != before:
            return False
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _keep_attributes(descriptor: int, path: Path) -> None:
    try:
        found = path.stat()
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        os.fchmod(descriptor, 0o666 & ~mask)
        return
    with suppress(PermissionError):
        os.fchown(descriptor, found.st_uid, found.st_gid)
    os.fchmod(descriptor, found.st_mode & 0o7777)
