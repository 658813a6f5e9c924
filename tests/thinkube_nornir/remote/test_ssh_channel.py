"""Forwarded streams end quietly, however the connection ended."""

from __future__ import annotations

import socket
from typing import Any, NoReturn

from thinkube_nornir.remote.ssh_channel import _pump, _relay


class Gone:
    """A paramiko channel whose connection was closed."""

    def sendall(self, data: bytes) -> None: ...

    def recv(self, size: int) -> bytes:
        return b""

    def shutdown(self, how: int) -> NoReturn:
        raise EOFError

    def close(self) -> NoReturn:
        raise EOFError


def test_a_closed_connection_ends_a_forward_without_a_traceback() -> None:
    """The thread that pumps must not print an error after the run's last line."""
    ours, theirs = socket.socketpair()
    ours.close()

    _pump(theirs, Gone())

    assert theirs.recv(1) == b""
    theirs.close()


def test_a_connection_that_closes_first_ends_a_forward_without_a_traceback() -> None:
    """The channel cannot be closed any more, and that is no error."""
    ours, theirs = socket.socketpair()
    ours.close()

    gone: Any = Gone()
    _relay(gone, theirs)

    assert theirs.fileno() == -1
