"""Why a host cannot be reached, in words of its own and not of the library."""

from __future__ import annotations

from pathlib import Path

import paramiko
import pytest

from thinkube_nornir.config import SSHSettings
from thinkube_nornir.remote.ssh_errors import unreachable
from thinkube_nornir.remote.ssh_route import Login, Route

LOGIN = Login(Route("host1", "host1.example", 22, "ops", Path("/id")), SSHSettings(), 10.0)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (paramiko.SSHException("Error reading SSH protocol banner"), "no SSH server says anything within 10 s"),
        (paramiko.SSHException("No existing session"), "ended before the login"),
        (EOFError(), "ended before the login"),
        (TimeoutError(), "no answer within 10 s"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
    ],
)
def test_a_silent_or_ending_server_is_named_as_what_it_is(error: Exception, why: str) -> None:
    assert why in unreachable(LOGIN, error).why
