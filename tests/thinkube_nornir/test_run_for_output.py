"""obtain: a command that alters the host and whose output is wanted."""

from __future__ import annotations

import pytest
from nornir.core.task import Result, Task

from tests.fake_host import FakeHost, Reply
from thinkube_nornir.errors import CommandFailed, Refused
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.remote import run_for_output


def _token(task: Task) -> Result:
    return unchanged(task, run_for_output(task, "make a token", "make-token", root=True).text)


def test_obtain_returns_what_the_command_prints() -> None:
    """It counts as altering: the door never sends it twice."""
    host = FakeHost(answers={"make-token": "abc\n"})

    assert host.apply(_token).result == "abc"
    assert host.altering == ["make-token"]


@pytest.mark.parametrize("how", [{"dry_run": True}, {"read_only": True}])
def test_obtain_is_refused_where_nothing_may_change(how: dict[str, bool]) -> None:
    """A plan and a verify run send nothing that alters."""
    host = FakeHost(answers={"make-token": "abc\n"})

    assert isinstance(host.apply(_token, **how).exception, Refused)  # type: ignore[arg-type]
    assert host.sent == []


def test_obtain_fails_with_the_command() -> None:
    """No token is made up from a command that failed."""
    error = FakeHost(answers={"make-token": Reply(1, stderr="no")}).apply(_token).exception

    assert isinstance(error, CommandFailed)
    assert error.what == "make a token: exit status 1"
