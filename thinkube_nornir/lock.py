"""One altering run at a time in one state folder; the lock names its holder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from thinkube_nornir.errors import ConfigError, DeadlinePassed, Problem
from thinkube_nornir.program import user_name


@contextmanager
def hold(state: Path, purpose: str) -> Iterator[None]:
    """Hold `state`/lock for an altering run. The kernel frees it when this process ends, however it ends.

    Raises:
        ConfigError: another process holds it; the message says who, since when and for what.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError([_held(state, os.pread(descriptor, 4096, 0))]) from None
        with suppress(OSError):  # a full disk: the lock holds, and others are not told by whom
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_holder(purpose)).encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def wait_for(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of this file, which commands of the same kind take one after the other.

    Raises:
        DeadlinePassed: another command has held it for that long.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    with path.open("r" if path.exists() else "a") as lock:  # it may be in a folder that cannot be written
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    fix = "see which one hangs, and end it"
                    raise DeadlinePassed(f"another command holds {lock.name}", fix=fix) from None
                time.sleep(0.02)
        yield


def _holder(purpose: str) -> dict[str, str]:
    since = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return {
        "who": f"{user_name()}@{socket.gethostname()}",
        "pid": str(os.getpid()),
        "since": since,
        "for": purpose,
    }


def _held(state: Path, content: bytes) -> Problem:
    try:
        holder = "{who} (process {pid}) since {since}: {for}".format(**json.loads(content))
    except (ValueError, KeyError):
        holder = "another process"
    return Problem(str(state / "lock"), f"a run is under way by {holder}", "wait for it to end, or end it")
