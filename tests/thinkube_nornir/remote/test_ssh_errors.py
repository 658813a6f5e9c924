"""Why a host cannot be reached, in words of its own and not of the library."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest

from thinkube_nornir.config import SSHSettings
from thinkube_nornir.errors import Unreachable
from thinkube_nornir.remote.ssh_errors import NoGreeting, unreachable
from thinkube_nornir.remote.ssh_route import Login, Route
from thinkube_nornir.remote.ssh_transport import Link, show_host_key

LOGIN = Login(Route("host1", "host1.example", 22, "ops", Path("/id")), SSHSettings(), 10.0)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (NoGreeting("", ended=False), "no SSH server says anything within 10 s"),
        (NoGreeting("", ended=True), "ends it before an SSH server says anything"),
        (NoGreeting("HTTP/1.1 400 \x1b[2J", ended=False), "other than an SSH server answers: HTTP/1.1 400 [2J"),
        (paramiko.SSHException("No existing session"), "ended before the login"),
        (EOFError(), "ended before the login"),
        (TimeoutError(), "no answer within 10 s"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
    ],
)
def test_a_silent_or_ending_server_is_named_as_what_it_is(error: Exception, why: str) -> None:
    assert why in unreachable(LOGIN, error).why


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "an SSH server answers: HTTP/1.1 400 Bad Request"),
        (b"", "ends it before an SSH server says anything"),
    ],
)
def test_what_answers_in_place_of_an_ssh_server_is_quoted(answer: bytes, why: str) -> None:
    """And no time is named that did not pass."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answering() -> None:
            stream, _ = server.accept()
            with stream:
                stream.recv(100)
                stream.sendall(answer)

        thread = threading.Thread(target=answering)
        thread.start()
        route = Route("host1", "127.0.0.1", server.getsockname()[1], "ops", Path("/id"))
        with pytest.raises(Unreachable) as error:
            show_host_key(Login(route, SSHSettings(), 10.0))
        thread.join()
    assert error.value.why.endswith(why)


@pytest.mark.parametrize("connect", [show_host_key, Link])
def test_a_silent_server_is_named_as_one(connect: Callable[[Login], object]) -> None:
    """Not as one that ended the connection: whichever of the two deadlines passes first."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        route = Route("host1", "127.0.0.1", server.getsockname()[1], "ops", None)
        with pytest.raises(Unreachable) as error:
            connect(Login(route, SSHSettings(), 0.3))
    assert error.value.why == "it takes the connection, and no SSH server says anything within 0.3 s"


@pytest.mark.parametrize("connect", [show_host_key, Link])
def test_a_server_that_greets_and_is_too_slow_is_named_as_one(connect: Callable[[Login], object]) -> None:
    """paramiko goes on without the key exchange's result: `No existing session`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greeting() -> None:
            with server.accept()[0] as stream:
                stream.sendall(b"SSH-2.0-slow\r\n")
                while stream.recv(1000):
                    pass

        thread = threading.Thread(target=greeting)
        thread.start()
        route = Route("host1", "127.0.0.1", server.getsockname()[1], "ops", None)
        with pytest.raises(Unreachable) as error:
            connect(Login(route, SSHSettings(), 0.5))
        thread.join()
    assert error.value.why == "an SSH server answers, but too slowly: no login within 0.5 s"
    assert "timeouts.connect" in error.value.fix


def test_the_host_is_named_with_its_address() -> None:
    assert unreachable(LOGIN, TimeoutError()).what == "host1 is unreachable: no SSH connection to host1.example"
