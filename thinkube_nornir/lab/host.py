"""A lab host as the lab process holds it: its files, its programs, its emulated tools."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from thinkube_nornir.lab.emulation import HostFiles, Lab, Reply
from thinkube_nornir.lab.files import Files
from thinkube_nornir.lab.snapshot import disk_state
from thinkube_nornir.lab.tools import script

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
_GRACE = 2.0
"""Seconds between SIGHUP and SIGKILL when a connection is lost."""


class Session:
    """A program in a host, and all that it starts without leaving its session."""

    def __init__(self, host: Host, number: int) -> None:
        self._host = host
        self._number = number
        self.started: asyncio.Future[int | None] = host.loop.create_future()
        """The master of a terminal; else None."""
        self.ended: asyncio.Future[int] = host.loop.create_future()
        """The exit status, negative for a signal."""

    def kill(self, signum: int) -> None:
        self._host.order({"do": "kill", "id": self._number, "signal": signum})

    async def hang_up(self) -> None:
        """What happens when the connection is gone: SIGHUP, and SIGKILL for what does not end by it.

        The shell that a client talks to ends at once; a script that it runs may have something to clear up.
        """
        self.kill(signal.SIGHUP)
        await asyncio.sleep(_GRACE)
        self.kill(signal.SIGKILL)
        await self.ended

    def forget(self) -> None:
        self._host.forget(self._number)


class Host:
    """LabHost of emulation.py."""

    def __init__(
        self,
        lab: Lab,
        name: str,
        login_user: str,
        settings: Mapping[str, Any],
        groups: frozenset[str],
        channel: socket.socket,
    ) -> None:
        self.lab = lab
        self.name = name
        self.login_user = login_user
        self.settings = settings
        self.groups = groups
        self.state: dict[str, Any] = {}
        self.loop = asyncio.get_running_loop()
        self._channel = channel
        self._sessions: dict[int, Session] = {}
        self._last = 0
        self._ready: asyncio.Future[list[int]] = self.loop.create_future()
        self.killed = False
        """Whether its process 1 has ended, and all of it with that."""

    async def open(self) -> socket.socket:
        """Wait until the host is there; return the socket on which its tools call.

        Raises:
            ConnectionError: its process 1 ended.
        """
        self._channel.setblocking(False)
        self.loop.add_reader(self._channel, self._hear)
        root, disk, base_layer, tools = await self._ready
        self.files: HostFiles = Files(root)
        self.disk_state = partial(disk_state, disk, root, base_layer)
        return socket.socket(fileno=tools)

    def install(self, path: str, tool: str, *, stdin: bool = False) -> None:
        self.files.remove(path)  # a link to a program that has several names would lead all of them to this tool
        self.files.write(path, script(tool, stdin=stdin), 0o755)

    async def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 60) -> Reply:
        """LabHost.run; when the time is up the program ends with status 124, as by timeout(1)."""
        (out, out_w), (err, err_w) = os.pipe(), os.pipe()
        null = os.open(os.devnull, os.O_RDONLY)
        session = await self.spawn(
            argv, env=self.environment("root") | dict(env or {}), cwd="/", streams=(null, out_w, err_w)
        )
        try:
            async with asyncio.timeout(timeout):
                stdout, stderr, status = await asyncio.gather(_all(out), _all(err), asyncio.shield(session.ended))
        except TimeoutError:
            await session.hang_up()
            return Reply(124, stderr=f"no end after {timeout:g} s\n")
        finally:
            session.forget()
        return Reply(status if status >= 0 else 128 - status, stdout, stderr)

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        streams: Sequence[int] = (),
        terminal: tuple[int, int] | None = None,
    ) -> Session:
        """Start a program on three `streams`, which are closed here, or on a new terminal of (rows, columns).

        Raises:
            OSError: it could not be started.
        """
        self._last += 1
        session = self._sessions[self._last] = Session(self, self._last)
        arguments = os.memfd_create("arguments")
        text = json.dumps({"argv": list(argv), "env": dict(env), "cwd": cwd}, ensure_ascii=False)
        os.write(arguments, text.encode(errors="surrogateescape"))
        self.order({"do": "spawn", "id": self._last, "pty": terminal}, [arguments, *streams])
        for fd in (arguments, *streams):
            os.close(fd)
        await session.started
        return session

    def fill(self, *, full: bool) -> None:
        """Leave the disk no room, or as much as it had."""
        self.order({"do": "disk", "full": full})

    def order(self, request: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Ask process 1; see spawner.py. A host that is gone takes no orders."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._channel, [json.dumps(request).encode()], list(fds))

    def forget(self, number: int) -> None:
        self._sessions.pop(number)
        self.order({"do": "forget", "id": number})

    def home(self, user: str) -> str:
        for line in self.files.read("/etc/passwd").decode().splitlines():
            fields = line.split(":")
            if fields[0] == user:
                return fields[5]
        return "/"

    def environment(self, user: str) -> dict[str, str]:
        """The environment that a login gives.

        Raises:
            OSError: the host was killed, and its files with it.
        """
        if self.killed:
            raise ConnectionResetError(f"the lab host {self.name} was killed")
        return {"PATH": PATH, "HOME": self.home(user), "USER": user, "LOGNAME": user, "SHELL": "/bin/bash"}

    def _hear(self) -> None:
        try:
            message, fds, _, _ = socket.recv_fds(self._channel, 4096, 4)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionResetError:
            message, fds = b"", []
        if not message:
            self._gone()
            return
        self._note(json.loads(message), fds)

    def _note(self, report: dict[str, Any], fds: list[int]) -> None:
        if "ready" in report:
            self._ready.set_result(fds)
            return
        session = self._sessions[report["id"]]
        if "started" in report:
            session.started.set_result(fds[0] if fds else None)
        elif "error" in report:
            session.started.set_exception(OSError(report["error"]))
        elif not session.ended.done():
            session.ended.set_result(report["status"])

    def _gone(self) -> None:
        self.killed = True
        self.loop.remove_reader(self._channel)
        error = ConnectionResetError(f"the lab host {self.name} was killed")
        waiting = [f for s in self._sessions.values() for f in (s.started, s.ended)]
        for future in (self._ready, *waiting):
            if not future.done():
                future.set_exception(error)


async def _all(fd: int) -> bytes:
    """All that comes from a pipe until its end; closes it."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", 0))
    try:
        return await reader.read()
    finally:
        transport.close()
