"""Closes connections on which nothing comes any more, so that whatever waits for them ends with an error.

TCP notices a silent peer only while it has something to send, and not at all behind a jump host or a ProxyCommand. So
each idle connection asks its server a question that every SSH server answers (a global request, RFC 4254 section 4: one
that it does not know it refuses), and one thread for all connections closes those that went without any packet for two
and a half times as long: with its own period that is noticed within three keepalives. The thread lives while there are
connections. It does not ask itself, as it would be held up with the writer that waits for the silent peer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import paramiko

_SILENT = 2.5  # keepalives
_PERIOD = 0.25  # keepalives between two looks
_LONGEST_PERIOD = 1.0  # seconds between two looks


@dataclass
class Liveness:
    """A connection that is watched."""

    transport: paramiko.Transport
    keepalive: float
    """Seconds without traffic after which the server is asked."""
    last: float
    """When its last packet came, on time.monotonic()'s clock."""
    silence: float = 0.0
    """Seconds without a packet after which it was closed; 0 when it was not, or for another reason."""

    def inspect(self) -> None:
        silence = time.monotonic() - self.last
        if self.transport.is_active() and silence > _SILENT * self.keepalive:
            self.silence = silence
            self.transport.close()


def watch(transport: paramiko.Transport, keepalive: float) -> Liveness:
    """Keep the connection under watch until `unwatch`."""
    liveness = Liveness(transport, keepalive, time.monotonic())
    read_message = transport.packetizer.read_message

    def noting() -> Any:
        message = read_message()
        liveness.last = time.monotonic()
        return message

    transport.packetizer.read_message = noting  # type: ignore[method-assign]
    transport.packetizer.set_keepalive(keepalive, lambda: _ask(transport))
    _watcher.add(liveness)
    return liveness


def unwatch(liveness: Liveness) -> None:
    _watcher.remove(liveness)


@contextmanager
def closed_after(transport: paramiko.Transport, seconds: float) -> Iterator[None]:
    """Close the connection when the block, which writes to it, takes longer: paramiko writes without a deadline.

    Where the host takes no bytes in and the system has no room for more, the writer would wait for the keepalives.
    """
    with _watcher.limited(transport, time.monotonic() + seconds):
        yield


def _ask(transport: paramiko.Transport) -> None:
    """Called by paramiko's reading thread, which must not wait for a key exchange, as it is the one that makes it."""
    if transport.clear_to_send.is_set():
        message = paramiko.Message()
        message.add_byte(paramiko.common.cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        transport._send_user_message(message)  # type: ignore[attr-defined]


class _Watcher:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: list[Liveness] = []
        self._limits: dict[object, tuple[paramiko.Transport, float]] = {}
        """Who must have written by when."""
        self._changed = threading.Event()
        self._running = False

    def add(self, liveness: Liveness) -> None:
        with self._lock:
            self._watched.append(liveness)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="liveness", daemon=True).start()
        self._changed.set()

    def remove(self, liveness: Liveness) -> None:
        with self._lock:
            self._watched = [other for other in self._watched if other is not liveness]
        self._changed.set()

    @contextmanager
    def limited(self, transport: paramiko.Transport, until: float) -> Iterator[None]:
        key = object()
        self._limits[key] = (transport, until)
        try:
            yield
        finally:
            del self._limits[key]

    def _run(self) -> None:
        while True:
            self._changed.clear()
            with self._lock:
                watched = list(self._watched)
                self._running = bool(watched)
            if not watched:
                return
            for liveness in watched:
                liveness.inspect()
            for transport, until in list(self._limits.values()):
                if until < time.monotonic():
                    transport.close()
            self._changed.wait(min(_LONGEST_PERIOD, min(each.keepalive for each in watched) * _PERIOD))


_watcher = _Watcher()
