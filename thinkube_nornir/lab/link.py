"""The network in front of one lab host: listens for its SSH server, and can be dead, silent, slow or cut."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

import asyncssh

_CHUNK = 65536

_log = logging.getLogger(__name__)


class Link:
    """Relays between the host's address and its SSH server, so that faults reach connections that are open already.

    Listen first (`open`), as addresses may be taken; connections wait until `serve` says for whom.

    Args:
        used: called when bytes pass; the lab is not idle.
    """

    def __init__(self, address: str, port: int, used: Callable[[], None]) -> None:
        self.address = address
        self.port = port
        self._options: asyncio.Future[asyncssh.SSHServerConnectionOptions] = asyncio.get_running_loop().create_future()
        self._used = used
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay = 0.0
        self._left: int | None = None
        """Bytes that may still pass before the link is cut."""

    async def open(self) -> None:
        """Raises OSError when the address is taken."""
        self._server = await asyncio.start_server(self._relay, self.address, self.port)

    def serve(self, options: asyncssh.SSHServerConnectionOptions) -> None:
        self._options.set_result(options)

    async def close(self) -> None:
        """Refuse connections and cut those that are open."""
        if self._server:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def slow(self, seconds: float) -> None:
        """Delay everything that passes, in each direction."""
        self._delay = seconds

    def silence(self) -> None:
        """Take connections and bytes, and answer nothing."""
        self._flowing.clear()

    def cut_after(self, count: int) -> None:
        self._left = count

    async def repair(self) -> None:
        self._delay = 0.0
        self._left = None
        self._flowing.set()
        if self._server is None:
            await self.open()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, theirs = socket.socketpair()
        inner_reader, inner_writer = await asyncio.open_connection(sock=inner)
        ends = {writer, inner_writer}
        self._writers |= ends
        try:
            serving = asyncio.ensure_future(self._serve(theirs))
            await asyncio.gather(self._pump(reader, inner_writer), self._pump(inner_reader, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()
            await serving

    async def _serve(self, end: socket.socket) -> None:
        try:
            await asyncssh.run_server(end, options=await self._options)
        except (asyncssh.Error, OSError) as error:
            _log.info("%s: no SSH session: %s", self.address, error)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                self._used()
                await self._flowing.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                data, cut = self._ration(data)
                writer.write(data)
                await writer.drain()
                if cut:
                    self.cut()
        if not writer.transport.is_closing():
            writer.write_eof()

    def _ration(self, data: bytes) -> tuple[bytes, bool]:
        if self._left is None:
            return data, False
        data = data[: self._left]
        self._left -= len(data)
        return data, self._left == 0
