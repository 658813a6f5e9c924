"""The SSH server of one lab host: real SSH, with every program inside the host's namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Coroutine
from typing import Literal, cast

import asyncssh

from thinkube_nornir.lab.host import Host, Session

_CHUNK = 65536
_ACCEPTED_ENV = ("LANG", "LC_")
_SIGNALS = {s.name.removeprefix("SIG"): s for s in signal.Signals}
_Forward = Literal[False] | Awaitable[asyncssh.SSHTCPSession[bytes]]


class Gate(asyncssh.SSHServer):
    """Lets one user in, by one key; forwards only to what the lab's `ports` name."""

    def __init__(self, host: Host, key: asyncssh.SSHKey) -> None:
        self._host = host
        self._key = key

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == self._host.login_user and key.public_data == self._key.public_data

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> _Forward:  # noqa: ARG002
        ports = self._host.lab.ports
        target = ports.get((self._host.name, dest_host, dest_port)) or ports.get(("*", dest_host, dest_port))
        return cast(_Forward, self._conn.forward_connection(*target)) if target else False


def server_options(
    host: Host, host_key: asyncssh.SSHKey, client_key: asyncssh.SSHKey
) -> asyncssh.SSHServerConnectionOptions:
    return asyncssh.SSHServerConnectionOptions(
        server_factory=lambda: Gate(host, client_key),
        server_host_keys=[host_key],
        process_factory=lambda process: _serve(host, process),
        encoding=None,
        line_editor=False,
        agent_forwarding=False,
    )


async def _serve(host: Host, process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Run what one channel asks for; when the channel goes first, end what it runs."""
    user = host.login_user
    try:
        env = host.environment(user) | {k: v for k, v in process.env.items() if k.startswith(_ACCEPTED_ENV)}
        argv = ["/bin/bash", "-c", process.command] if process.command is not None else ["/bin/bash", "-l"]
        if process.term_type is not None:
            await _on_terminal(host, process, argv, env | {"TERM": process.term_type})
        else:
            await _on_pipes(host, process, argv, env)
    except OSError as error:
        process.stderr.write(f"lab: {error}\n".encode())
        process.exit(255)


async def _on_pipes(
    host: Host, process: asyncssh.SSHServerProcess[bytes], argv: list[str], env: dict[str, str]
) -> None:
    (stdin, feed), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
    session = await host.spawn(argv, env=env, cwd=env["HOME"], streams=(stdin, stdout, stderr))
    await _attend(process, session, feed, _pump(out, process.stdout), _pump(err, process.stderr))


async def _on_terminal(
    host: Host, process: asyncssh.SSHServerProcess[bytes], argv: list[str], env: dict[str, str]
) -> None:
    columns, rows, _, _ = process.term_size
    session = await host.spawn(argv, env=env, cwd=env["HOME"], terminal=(rows, columns))
    master = await session.started
    if master is None:
        raise OSError("no terminal")
    await _attend(process, session, os.dup(master), _pump(master, process.stdout))


async def _attend(
    process: asyncssh.SSHServerProcess[bytes], session: Session, feed: int, *outputs: Coroutine[None, None, None]
) -> None:
    """Carry bytes both ways until the program has ended and its output is read to the end, as sshd does."""
    feeding = asyncio.ensure_future(_feed(process, session, feed))
    running = asyncio.gather(session.ended, *outputs)
    closed = asyncio.ensure_future(process.wait_closed())
    await asyncio.wait((running, closed), return_when=asyncio.FIRST_COMPLETED)
    feeding.cancel()
    if running.done():
        closed.cancel()
        running.result()
        _report(process, session.ended.result())
    else:
        await session.hang_up()
        running.cancel()
        await asyncio.wait((running,))
    session.forget()


def _report(process: asyncssh.SSHServerProcess[bytes], status: int) -> None:
    if status >= 0:
        process.exit(status)
    else:
        process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))


async def _pump(fd: int, writer: asyncssh.SSHWriter[bytes]) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    pipe = os.fdopen(fd, "rb", 0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    # A terminal whose last user has gone answers EIO: that is its end of file. A client that left wants no more.
    with contextlib.suppress(OSError), contextlib.closing(transport):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def _feed(process: asyncssh.SSHServerProcess[bytes], session: Session, fd: int) -> None:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(fd, "wb", 0))
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    # A program that reads no more, or a client that left, ends the feeding and nothing else.
    with contextlib.suppress(OSError, asyncssh.Error), contextlib.closing(transport):
        while not process.stdin.at_eof():
            try:
                data = await process.stdin.read(_CHUNK)
            except asyncssh.SignalReceived as received:
                session.kill(_SIGNALS.get(received.signal, signal.SIGTERM))
            except asyncssh.TerminalSizeChanged:
                continue
            else:
                writer.write(data)
                await writer.drain()
