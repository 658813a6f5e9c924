"""The few Linux calls that Python 3.11 does not offer: unshare, mount, pivot_root and their kin."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

NEWNS = 0x00020000
NEWUTS = 0x04000000
NEWIPC = 0x08000000
NEWUSER = 0x10000000
NEWPID = 0x20000000
NEWNET = 0x40000000

RDONLY = 0x1
NOSUID = 0x2
NODEV = 0x4
REMOUNT = 0x20
BIND = 0x1000
REC = 0x4000
PRIVATE = 0x40000
LOCKED = 0xE
"""nosuid, nodev and noexec, as statvfs tells them: a user namespace may not take them from a mount of the machine."""
_DETACH = 0x2

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def unshare(flags: int) -> None:
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    status = _libc.mount(source.encode(), bytes(target), kind.encode(), flags, options.encode())
    _check(status, f"mount {kind or source} on {target}")


def enter(root: Path) -> None:
    """Make `root`, which must be a mount point, the root directory; the previous one is gone from view."""
    os.chdir(root)
    old = root / ".old"
    old.mkdir()
    _check(_libc.pivot_root(b".", b".old"), f"pivot_root to {root}")
    os.chdir("/")
    _check(_libc.umount2(b"/.old", _DETACH), "umount of the previous root")
    Path("/.old").rmdir()


def set_hostname(name: str) -> None:
    encoded = name.encode()
    _check(_libc.sethostname(encoded, len(encoded)), "sethostname")


def raise_loopback() -> None:
    """Bring `lo` up in this network namespace."""
    with socket.socket() as inet:
        fcntl.ioctl(inet, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def _check(status: int, what: str) -> None:
    if status != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), what)
