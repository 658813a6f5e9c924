"""A throw-away copy of this machine for resources' real programs: an overlay over its disk, in namespaces of its own.

What is changed in it is in memory, and goes with it: apt, dpkg, useradd and sysctl are the real ones.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.fake_host import FakeHost
from tests.local_shell import LocalChannel
from thinkube_nornir.command import Command, Completed
from thinkube_nornir.remote.shell import Shell

_ENTER = """
mount -t tmpfs disk /mnt && mkdir /mnt/upper /mnt/work /mnt/root &&
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work host /mnt/root &&
mount -t proc proc /mnt/root/proc && mount --rbind /dev /mnt/root/dev &&
mkdir -p /mnt/root/run/lock && exec chroot /mnt/root sh
"""
_UNSHARE = ("unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child")


class ThrowAway(FakeHost):
    """The door with such a machine behind it: everything really happens, and is seen by the commands that follow."""

    def __init__(self) -> None:
        settings = {"folder": "/srv/a/b", "games": "games", "user": "ada", "hello": "1.0", "ports": "30000 60001"}
        super().__init__(settings=settings)
        self._channel = LocalChannel([*_UNSHARE, "sh", "-c", _ENTER], {**os.environ, "LC_ALL": "C"})
        self._shell = Shell(self._channel)

    def execute(
        self,
        commands: Sequence[Command],
        *,
        timeout: float,
        cancelled: Callable[[], bool] = lambda: False,
        retried: Callable[[str], None] = lambda _: None,
    ) -> list[Completed]:
        self.trips.append([str(command) for command in commands])
        self.commands += commands
        assert all(command.root for command in commands if command.alters)
        return self._shell.execute(commands, time.monotonic() + timeout, cancelled)

    def sh(self, script: str, stdin: bytes = b"") -> str:
        """Behind the door's back; it has to succeed."""
        (done,) = self._shell.execute([Command(("sh", "-ec", script), stdin)], time.monotonic() + 60, lambda: False)
        assert done.status == 0, (script, done)
        self.facts.clear()
        return done.text

    def look(self, script: str) -> str:
        """What it prints, whatever its status."""
        return self.sh(f"( {script} ) 2>&1 || :")

    def close_machine(self) -> None:
        self._channel.close()


@contextmanager
def throw_away_machine() -> Iterator[ThrowAway]:
    """
    Raises:
        pytest.skip.Exception: this machine lets nobody make one.
    """
    if os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare")
    tried = subprocess.run(
        [*_UNSHARE, "sh", "-c", _ENTER.replace("exec chroot /mnt/root sh", "true")], capture_output=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"no overlay over this machine's disk: {tried.stderr.decode(errors='replace')}")
    machine = ThrowAway()
    try:
        yield machine
    finally:
        machine.close_machine()
