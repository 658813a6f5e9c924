"""Channels of an open SSH connection: shells on exec channels, and forwarded streams."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any

import paramiko

from thinkube_nornir.errors import DeadlinePassed, ThinkubeError
from thinkube_nornir.remote.liveness import closed_after
from thinkube_nornir.remote.shell import NotStarted
from thinkube_nornir.remote.ssh_route import Login

SHELL = "exec /bin/sh"
_CHUNK = 1 << 18
_CLOSE = 5.0  # seconds for the two messages that close a channel
_WINDOW = 16 << 20  # bytes a host may send before we answer; paramiko's 2 MiB costs round trips on a long link


class _Wakeup:
    """What paramiko's buffers call an event, for both streams of a channel. They clear it when one of them is empty;
    that must not hide what just came on the other, so only the reader clears it."""

    def __init__(self, event: threading.Event) -> None:
        self.set = event.set

    def clear(self) -> None:
        """Left to the reader."""


class ShellChannel:
    """shell.Channel on a paramiko channel."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._transport: paramiko.Transport = channel.get_transport()
        self._wakeup = threading.Event()

    def listen(self, wakeup: threading.Event) -> None:
        self._wakeup = wakeup
        for buffer in (self._channel.in_buffer, self._channel.in_stderr_buffer):
            buffer.set_event(_Wakeup(wakeup))  # type: ignore[arg-type]

    def read(self) -> tuple[bytes, bytes]:
        """At most a chunk of each, so that endless output cannot keep the reader from its deadline."""
        stdout = self._channel.recv(_CHUNK) if self._channel.recv_ready() else b""
        stderr = self._channel.recv_stderr(_CHUNK) if self._channel.recv_stderr_ready() else b""
        if stdout or stderr:
            self._wakeup.set()  # there may be more
        return stdout, stderr

    def send(self, data: bytes, timeout: float) -> None:
        until = time.monotonic() + timeout
        try:
            with closed_after(self._transport, timeout):
                for start in range(0, len(data), _CHUNK):
                    chunk = data[start : start + _CHUNK]
                    while chunk:
                        self._channel.settimeout(max(0.0, until - time.monotonic()))
                        chunk = chunk[self._channel.send(chunk) :]
        except (OSError, EOFError, paramiko.SSHException) as error:  # it was closed meanwhile, perhaps by closed_after
            if time.monotonic() >= until:
                raise TimeoutError from error
            raise ConnectionError("the connection was closed") from error

    @property
    def ended(self) -> bool:
        return bool(self._channel.eof_received or self._channel.closed)

    def close(self) -> None:
        with suppress(EOFError, paramiko.SSHException), closed_after(self._transport, _CLOSE):
            self._channel.close()


def open_shell(transport: paramiko.Transport, command: str, timeout: float) -> paramiko.Channel | None:
    """Run a command on a new exec channel; None when the host opens no further session (sshd's MaxSessions).

    Does not wait for the host's word that the command started: that saves a round trip, and paramiko would wait for it
    without a limit.

    Raises:
        NotStarted: the connection is gone.
    """
    try:
        with closed_after(transport, timeout):
            channel = transport.open_session(window_size=_WINDOW, timeout=timeout)
            _start(transport, channel, command)
    except (OSError, EOFError, paramiko.SSHException) as error:
        # Two that are refused at once share one saved error in paramiko, so the kind of error does not tell.
        if transport.is_active():
            return None
        raise NotStarted from error
    return channel


def _start(transport: paramiko.Transport, channel: paramiko.Channel, command: str) -> None:
    message = paramiko.Message()
    message.add_byte(paramiko.common.cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(False)
    message.add_string(command)
    transport._send_user_message(message)  # type: ignore[attr-defined]


def forward(transport: paramiko.Transport, login: Login, address: str, port: int) -> socket.socket:
    """A local socket whose other end is address:port as seen from the host.

    Raises:
        Unreachable: the connection to the host is gone.
        ThinkubeError: nothing listens there, or the host forwards nothing.
        DeadlinePassed: there is no answer.
    """
    timeout = login.connect_timeout
    try:
        with closed_after(transport, timeout + _CLOSE):
            channel = transport.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=timeout)
    except (OSError, EOFError, paramiko.SSHException) as error:
        what = f"{address}:{port} cannot be reached through {login.route.known_name}"
        if not transport.is_active():
            raise ConnectionError(f"{what}: the connection was lost") from error
        if str(error) == "Timeout opening channel.":
            raise DeadlinePassed(what, why=f"no answer within {timeout:g} s") from error
        fix = "see that it listens there, and that sshd on the host has AllowTcpForwarding"
        raise ThinkubeError(what, why=str(error), fix=fix) from error
    own, theirs = socket.socketpair()
    threading.Thread(target=_relay, args=(channel, theirs), name="forward", daemon=True).start()
    return own


def _relay(channel: paramiko.Channel, stream: socket.socket) -> None:
    """Both ways until both have ended."""
    back = threading.Thread(target=_pump, args=(stream, channel), name="forward back", daemon=True)
    back.start()
    _pump(channel, stream)
    back.join()
    stream.close()
    with suppress(OSError, EOFError):  # the connection may be gone by now
        channel.close()


def _pump(source: Any, sink: Any) -> None:
    """One way, until its end. When the other side is gone there is no way back either."""
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except (OSError, EOFError):  # paramiko says EOFError when the connection has gone
        for end in (source, sink):
            with suppress(OSError, EOFError):
                end.shutdown(socket.SHUT_RDWR)
