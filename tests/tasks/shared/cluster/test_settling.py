"""Asking again while names settle: until the answer is right, or the host's time is over."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from nornir.core.task import Result, Task

from tasks.shared.cluster import settling
from tests.fake_host import FakeHost
from thinkube_nornir.command import Fact
from thinkube_nornir.errors import Cancelled

ANSWER: Fact[str] = Fact("an answer", ("ask",), lambda done: done.text)


def _asked(answers: list[str], *, seconds: float, checks: int = 1) -> tuple[list[str], int]:
    """What each check got, and how often it was asked."""
    host = FakeHost("tkw1", settings={"dns_settle_seconds": seconds})
    context = host._context(host._inventory(), dry_run=False, read_only=True)
    asked: list[str] = []

    def ask() -> str:
        asked.append(answers[min(len(asked), len(answers) - 1)])
        return asked[-1]

    def step(task: Task) -> Result:
        found = settling.settled(task, ask, lambda answer: answer == "right", forget=(ANSWER,))
        return Result(task.host, result=found)

    got = [str(host.apply(step, context=context).result) for _ in range(checks)]
    return got, len(asked)


def test_a_right_answer_is_asked_for_once() -> None:
    """No time is spent while all is well."""
    assert _asked(["right"], seconds=30) == (["right"], 1)


def test_a_wrong_answer_is_asked_again_until_it_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_PAUSE", 0.0)

    assert _asked(["wrong", "wrong", "right"], seconds=30) == (["right"], 3)


def test_what_stays_wrong_costs_its_time_once_for_all_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second check of a host is asked once: the time counts from the host's first wrong answer."""
    clock = iter(range(100))
    monkeypatch.setattr(settling, "_PAUSE", 0.0)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))

    got, asked = _asked(["wrong"], seconds=3, checks=2)

    assert got == ["wrong", "wrong"]
    assert asked == 5


def test_no_time_at_all_is_one_attempt() -> None:
    assert _asked(["wrong", "right"], seconds=0) == (["wrong"], 1)


def test_a_cancelled_run_does_not_wait() -> None:
    host = FakeHost("tkw1", settings={"dns_settle_seconds": 30})
    context = replace(host._context(host._inventory(), dry_run=False, read_only=True))
    context.cancelled.set()

    def step(task: Task) -> Result:
        return Result(task.host, result=settling.settled(task, lambda: 0, bool, forget=()))

    assert isinstance(host.apply(step, context=context).exception, Cancelled)
