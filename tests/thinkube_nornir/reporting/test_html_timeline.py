"""Where bars stand."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_run import record, row
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.html_steps import numbered
from thinkube_nornir.reporting.html_timeline import PADDING, TRACK, Timeline, timeline
from thinkube_nornir.reporting.record import Row


def _drawn(*rows: Row, path: tuple[str, ...] = (), seconds: float = 10.0, hosts: tuple[str, ...] = ()) -> Timeline:
    return timeline(numbered(record(*rows, started=0.0)), path, seconds, hosts)


def _step(name: str, start: float | None, length: float, host: str = "tkc", **more: object) -> Row:
    return row(name, host, started=start, duration=length, **more)  # type: ignore[arg-type]


def test_a_bar_stands_where_its_step_was() -> None:
    """In per cent of the whole run, on its host's line; hosts in the order that is asked for."""
    made = _drawn(_step("a", 2.0, 3.0, "b-host"), _step("b", 5.0, 5.0, "a-host"), hosts=("a-host", "b-host"))

    assert [line.host for line in made.lines] == ["a-host", "b-host"]
    (bar,) = made.lines[1].bars
    assert (bar.left, bar.width) == (20.0, 30.0)
    assert made.lines[1].top == made.lines[0].height + 1
    assert made.height == sum(line.height + 1 for line in made.lines)


def test_what_took_no_time_has_no_bar() -> None:
    """Skipped steps, and those that never started."""
    made = _drawn(_step("a", None, 0.0), _step("b", 1.0, 0.0, outcome=Outcome.SKIPPED), _step("c", 1.0, 1.0))

    assert [bar.shown.row.step for line in made.lines for bar in line.bars] == ["c"]
    assert _drawn(_step("a", None, 0.0)).lines == ()


def test_the_critical_path_is_marked_and_linked_where_it_leaves_a_line() -> None:
    """From the end of one bar to the begin of the next, when that is elsewhere."""
    rows = (_step("a", 0.0, 2.0), _step("b", 2.0, 3.0), _step("c", 5.0, 5.0, "tkw1"), _step("d", 0.0, 1.0, "tkw1"))
    made = _drawn(*rows, path=tuple(r.id for r in rows[:3]))

    assert {bar.shown.row.step for line in made.lines for bar in line.bars if bar.critical} == {"a", "b", "c"}
    (link,) = made.links
    assert (link.left, link.right) == (50.0, 50.0)
    assert link.top < link.bottom


def test_a_step_that_outlasts_the_run_stretches_it() -> None:
    """A clock that jumped draws nothing outside of the box."""
    made = _drawn(_step("a", 5.0, 15.0), seconds=10.0)

    (bar,) = made.lines[0].bars
    assert bar.left + bar.width == pytest.approx(100.0)


_SPANS = st.lists(st.tuples(st.integers(0, 80), st.integers(0, 20), st.sampled_from("ab")), min_size=1, max_size=30)


@given(_SPANS)
def test_bars_never_cover_each_other(spans: list[tuple[int, int, str]]) -> None:
    """Steps that ran at once on a host stand below each other, and inside of its line."""
    made = _drawn(*(_step(f"s{n}", float(s), float(d), host) for n, (s, d, host) in enumerate(spans)), seconds=100.0)

    for line in made.lines:
        for one, other in combinations(line.bars, 2):
            apart = one.left + one.width <= other.left or other.left + other.width <= one.left
            assert apart or one.top != other.top
        for bar in line.bars:
            assert 0 <= bar.left <= bar.left + bar.width <= 100 + 1e-9
            assert line.top + PADDING <= bar.top <= line.top + line.height - PADDING - TRACK


@given(st.floats(0.001, 1e6))
def test_the_axis_has_a_few_round_marks(seconds: float) -> None:
    """However long the run took."""
    marks = _drawn(_step("a", 0.0, seconds), seconds=seconds).marks

    assert marks[0].seconds == 0
    assert len(marks) <= 9
    assert all(mark.left <= 100 + 1e-9 for mark in marks)
