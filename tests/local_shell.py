"""A shell of this machine behind shell.Channel: framing and scripts on every POSIX shell there is, without SSH."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO

import pytest

from thinkube_nornir.command import Command, Completed
from thinkube_nornir.remote.shell import Shell

SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "ash"]}
KINDS = [pytest.param(kind, marks=[pytest.mark.tools] if kind == "busybox" else []) for kind in SHELLS]
each_shell = pytest.mark.parametrize("kind", KINDS)


class LocalChannel:
    def __init__(self, argv: Sequence[str], env: dict[str, str] | None = None) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, env=env)
        self._wakeup = threading.Event()
        self._lock = threading.Lock()
        self._came = (bytearray(), bytearray())
        streams = (self.process.stdout, self.process.stderr)
        self._readers = [
            threading.Thread(target=self._take, args=pair) for pair in zip(streams, self._came, strict=True)
        ]
        for reader in self._readers:
            reader.start()

    def _take(self, stream: IO[bytes], came: bytearray) -> None:
        while data := stream.read(1 << 16):
            with self._lock:
                came += data
            self._wakeup.set()
        self._wakeup.set()

    def listen(self, wakeup: threading.Event) -> None:
        self._wakeup = wakeup
        wakeup.set()

    def read(self) -> tuple[bytes, bytes]:
        with self._lock:
            taken = bytes(self._came[0]), bytes(self._came[1])
            for came in self._came:
                came.clear()
            return taken

    def send(self, data: bytes, timeout: float) -> None:
        assert self.process.stdin is not None
        view = memoryview(data)
        while view:
            view = view[self.process.stdin.write(view) :]

    @property
    def ended(self) -> bool:
        return not any(reader.is_alive() for reader in self._readers)

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


class LocalHost:
    """A HostConnection whose commands, also root's, run here as the user who runs the tests."""

    def __init__(self, kind: str = "dash", env: dict[str, str] | None = None) -> None:
        if shutil.which(SHELLS[kind][0]) is None:
            pytest.skip(f"{kind} is not installed")
        self.channel = LocalChannel(SHELLS[kind], {**os.environ, **(env or {})})
        self.shell = Shell(self.channel)

    def execute(
        self,
        commands: Sequence[Command],
        *,
        timeout: float = 20.0,
        cancelled: Callable[[], bool] = lambda: False,
        retried: Callable[[str], None] = lambda _: None,
    ) -> list[Completed]:
        return self.shell.execute(commands, time.monotonic() + timeout, cancelled)

    def close(self) -> None:
        self.channel.close()
