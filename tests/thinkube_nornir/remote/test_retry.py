"""A change that the host refuses for now is made again; what fails otherwise, or for too long, is an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from nornir.core.task import Result, Task

from tests.fake_host import FakeHost, Reply
from thinkube_nornir.command import Command, Completed
from thinkube_nornir.context import Retries, retries_in
from thinkube_nornir.errors import CommandFailed, DeadlinePassed
from thinkube_nornir.outcome import Outcome, outcome_of, unchanged
from thinkube_nornir.remote import change, run
from thinkube_nornir.remote.retry import retry

BUSY = Reply(10, stderr="busy\n")


def _refused(error: CommandFailed) -> bool:
    return b"busy" in error.stderr


def _step(task: Task) -> Result:
    def attempt() -> Result:
        return change(task, "open the gate", "gate", "open", key="gate")

    return retry(task, attempt, refused=_refused, what="the gate", timeout=0.2, every=0.01)


def test_a_refused_change_is_made_again() -> None:
    """It is sent until the host accepts it, and recorded as done once."""
    host = FakeHost(answers={"gate open": [BUSY, BUSY, ""]})

    result = host.apply(_step)

    assert outcome_of(result) is Outcome.CHANGED
    assert host.altering == ["gate open"] * 3
    assert [change.state for change in host.change_log.changes()] == ["done"]


def test_retries_are_counted_with_the_last_reason() -> None:
    """What is made again is told apart from what was done at once; a refusal that ended the step is no retry."""
    again = FakeHost(answers={"gate open": [BUSY, Reply(10, stderr="still busy\n"), ""]}).apply(_step)
    at_once = FakeHost(answers={"gate open": ""}).apply(_step)

    assert retries_in(again) == Retries(2, "still busy")
    assert retries_in(at_once) == Retries()


def test_another_failure_is_not_repeated() -> None:
    """Only what was recognised as a refusal is tried again."""
    host = FakeHost(answers={"gate open": Reply(10, stderr="broken\n")})

    error = host.apply(_step).exception

    assert isinstance(error, CommandFailed)
    assert host.altering == ["gate open"]


def test_the_deadline_names_the_last_refusal() -> None:
    """A host that refuses for ever ends the step."""
    host = FakeHost(answers={"gate open": BUSY})

    error = host.apply(_step).exception

    assert isinstance(error, DeadlinePassed)
    assert (error.what, error.why) == ("waited 0.2 s for the gate", "busy")


def test_a_dry_run_sends_nothing() -> None:
    """The change is promised once."""
    host = FakeHost()

    assert outcome_of(host.apply(_step, dry_run=True)) is Outcome.PLANNED
    assert host.sent == []


def test_a_read_that_a_lost_connection_made_twice_is_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection says so, and the step has it."""
    host = FakeHost(answers={"hostname": "w1"})

    def execute(commands: Sequence[Command], **given: Any) -> list[Completed]:
        given["retried"]("the connection was lost")
        return [Reply(stdout="w1").completed(command) for command in commands]

    monkeypatch.setattr(host, "execute", execute)

    def step(task: Task) -> Result:
        return unchanged(task, run(task, "hostname").text)

    assert retries_in(host.apply(step)) == Retries(1, "the connection was lost")
