"""What a run had to wait for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_run import row
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.critical_path import critical_path
from thinkube_nornir.reporting.record import Row


def _timed(name: str, start: float | None, seconds: float, *needs: Row, limit: str = "") -> Row:
    return row(name, started=start, duration=seconds, needs=tuple(n.id for n in needs), limited_by=limit, chain="setup")


def _names(rows: tuple[Row, ...]) -> list[str]:
    return [each.step for each in rows]


def test_the_path_goes_through_what_ended_last() -> None:
    """Of two that a step needs, the later one is why it started no sooner."""
    quick, slow = _timed("quick", 0, 1), _timed("slow", 0, 5)
    last = _timed("last", 5, 2, quick, slow)
    elsewhere = _timed("elsewhere", 0, 6)

    assert _names(critical_path((quick, slow, elsewhere, last))) == ["slow", "last"]


def test_a_shared_concurrency_limit_is_a_reason() -> None:
    """A join that waited for another one's end waited for that, and not for what it needs."""
    install = _timed("install", 0, 1)
    other = _timed("other", 0, 4, limit="join")
    join = _timed("join", 4, 2, install, limit="join")

    assert _names(critical_path((install, other, join))) == ["other", "join"]


def test_what_shares_a_limit_and_ended_sooner_is_none() -> None:
    """The limit was free again when the step could start."""
    install = _timed("install", 0, 3)
    other = _timed("other", 0, 1, limit="join")
    join = _timed("join", 3, 2, install, limit="join")

    assert _names(critical_path((install, other, join))) == ["install", "join"]


def test_what_never_started_is_on_no_path() -> None:
    """A row without a result says nothing of time."""
    assert critical_path(()) == ()
    assert critical_path((_timed("never", None, 0),)) == ()


def test_a_clock_that_was_set_back_ends_the_path() -> None:
    """Times of day may lie; the answer still comes, and no step twice."""
    first = _timed("first", 10, 5)
    second = row("second", started=2, duration=1, needs=(first.id,), chain="setup")

    assert _names(critical_path((first, second))) == ["first"]
    cycle = (row("a", started=1, needs=(row("b").id,)), row("b", started=1, needs=(row("a").id,)))
    assert len(critical_path(cycle)) == 2


@st.composite
def _runs(draw: st.DrawFn) -> tuple[Row, ...]:
    """Runs as a scheduler makes them: a step starts when its needs have ended and the limit is free, or later."""
    rows: list[Row] = []
    free = 0.0
    for number in range(draw(st.integers(1, 12))):
        needs = draw(st.lists(st.sampled_from(rows), unique_by=lambda r: r.id, max_size=3)) if rows else []
        limited = draw(st.booleans())
        begin = max([(n.started or 0.0) + n.duration for n in needs] + ([free] if limited else []), default=0.0)
        begin += draw(st.sampled_from([0.0, 0.25]))
        seconds = draw(st.integers(0, 40)) / 4
        free = begin + seconds if limited else free
        outcome = draw(st.sampled_from([Outcome.CHANGED, Outcome.SKIPPED, Outcome.FAILED]))
        made = row(
            f"s{number}",
            outcome=outcome,
            started=begin,
            duration=seconds,
            needs=tuple(n.id for n in needs),
            limited_by="join" if limited else "",
        )
        rows.append(made)
    return tuple(rows)


@given(_runs())
def test_every_step_of_the_path_waited_for_the_one_before_it(rows: tuple[Row, ...]) -> None:
    """And they never overlap: the path lasts no longer than the run."""
    path = critical_path(rows)

    end = max((r.started or 0.0) + r.duration for r in rows)
    assert (path[-1].started or 0.0) + path[-1].duration == end
    for before, after in pairwise(path):
        assert before.id in after.needs or before.limited_by == after.limited_by == "join"
        assert (before.started or 0.0) + before.duration <= (after.started or 0.0)
    assert sum(r.duration for r in path) <= end
    first = path[0]
    assert not first.needs


@pytest.mark.parametrize("count", [5000])
def test_thousands_of_rows_are_no_matter(count: int) -> None:
    """Each row of the path is looked at once."""
    rows: list[Row] = []
    for number in range(count):
        rows.append(_timed(f"s{number}", number, 1, *rows[-1:]))

    assert len(critical_path(tuple(rows))) == count
