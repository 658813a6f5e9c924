"""Emulated tools: the script that stands in a host, and the socket on which the lab process answers it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from thinkube_nornir.lab.emulation import Call, LabHost, Reply, Tool
from thinkube_nornir.lab.root import PYTHON, SOCKET

_SCRIPT = """\
#!{python} -ISE
# Emulated: the lab process answers.
import _signal, posix, sys
from _socket import AF_UNIX, socket
_signal.signal(13, 0)
code = sys.getfilesystemencoding()
argv = [a.encode(code, "surrogateescape") for a in sys.argv]
env = [k + b"=" + v for k, v in posix.environ.items()]
stdin = sys.stdin.buffer.read() if {stdin} else b""
head = b"\\0".join([b"{tool}", posix.getcwdb(), b"%d" % len(argv), *argv, *env])
lab = socket(AF_UNIX)
lab.connect({socket!r})
lab.sendall(b"%d %d\\n" % (len(head), len(stdin)) + head + stdin)
parts = []
while data := lab.recv(65536):
    parts.append(data)
line, _, body = b"".join(parts).partition(b"\\n")
status, length = map(int, line.split())
sys.stdout.buffer.write(body[:length])
sys.stdout.flush()
sys.stderr.buffer.write(body[length:])
sys.stderr.flush()
posix._exit(status)
"""
_BROKEN = 70
"""EX_SOFTWARE: the emulation itself failed."""

_log = logging.getLogger(__name__)


def script(tool: str, *, stdin: bool) -> str:
    return _SCRIPT.format(python=PYTHON, tool=tool, stdin=stdin, socket=SOCKET)


class ToolServer:
    """Answers the tools of one host.

    Args:
        used: called at every call; the lab is not idle.
    """

    def __init__(self, host: LabHost, tools: Mapping[str, Tool], used: Callable[[], None]) -> None:
        self._host = host
        self._tools = tools
        self._used = used

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One call. A caller that is killed takes the handler with it, as a real tool would die."""
        self._used()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            tool, call = await self._read(reader)
            work = asyncio.ensure_future(self._handle(tool, call))
            left = asyncio.ensure_future(reader.read(1))
            await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
            left.cancel()
            if work.done():
                reply = work.result()
                out, err = _bytes(reply.stdout), _bytes(reply.stderr)
                writer.write(b"%d %d\n" % (reply.status, len(out)) + out + err)
                await writer.drain()
            work.cancel()

    async def _read(self, reader: asyncio.StreamReader) -> tuple[str, Call]:
        lengths = (await reader.readline()).split()
        fields = (await reader.readexactly(int(lengths[0]))).split(b"\0")
        stdin = await reader.readexactly(int(lengths[1]))
        tool, cwd, count, *rest = (field.decode(errors="surrogateescape") for field in fields)
        env = dict(pair.split("=", 1) for pair in rest[int(count) :] if "=" in pair)
        return tool, Call(self._host, tuple(rest[: int(count)]), stdin, cwd, env.get("USER", "root"), env)

    async def _handle(self, tool: str, call: Call) -> Reply:
        try:
            return await self._tools[tool](call)
        except Exception as error:
            _log.exception("%s: emulated %s failed: %s", call.host.name, tool, call.argv)
            return Reply(_BROKEN, stderr=f"the lab's emulation of {tool} failed: {error!r}; see lab.log\n")


def _bytes(text: bytes | str) -> bytes:
    return text.encode(errors="surrogateescape") if isinstance(text, str) else text
