"""Reads files that operators write. What is no file, and might never end, and what is far too large is said at once."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST = 5_000_000
"""Bytes: an inventory of 5,000 hosts has half of it."""

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def read(path: Path, most: int = MOST) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it cannot be read, is no file, or is larger than `most`.
    """
    return read_with_status(path, most)[0]


def read_with_status(path: Path, most: int = MOST) -> tuple[bytes, os.stat_result]:
    """Return the content, and the status of the very file that was read, which cannot be exchanged in between.

    Raises:
        OSError: as `read`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a FIFO would wait for a writer
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if kind := _KINDS.get(stat.S_IFMT(status.st_mode)):
            raise OSError(errno.EINVAL, f"it is {kind}, and no file", str(path))
        content = file.read(most + 1)
        if len(content) > most:
            raise OSError(errno.EFBIG, f"it has more than {most // 1_000_000} MB", str(path))
        return content, status
