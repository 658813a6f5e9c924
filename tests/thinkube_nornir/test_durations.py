"""What steps are expected to take, by what they took."""

from __future__ import annotations

import pytest

from tests.fake_run import plan
from thinkube_nornir.component import ChainName
from thinkube_nornir.durations import PastStep, expected_seconds, half_done
from thinkube_nornir.plan import Plan

OURS = {("tkc", "phase5.coredns"), ("tkw1", "phase5.coredns")}


def _past(run: int, step: str, seconds: float, outcome: str = "changed", **more: str) -> PastStep:
    given = {"component": "phase5.coredns", "chain": "setup", "host": "tkc", **more}
    return PastStep(run=run, step=step, outcome=outcome, seconds=seconds, **given)


def _expected(made: Plan, past: list[PastStep], ours: set[tuple[str, str]] | None = None) -> list[float | None]:
    return list(expected_seconds(made, past, ours or set()).values())


def test_a_first_set_up_takes_what_first_set_ups_took() -> None:
    """Also a wait that changes nothing is long when its component is set up, and short when all is as wanted."""
    past = [
        _past(3, "install", 0.1, "unchanged"),
        _past(3, "await_ready", 0.2, "unchanged"),
        _past(2, "install", 60.0),
        _past(2, "await_ready", 40.0, "unchanged"),
    ]

    assert _expected(plan("install", "await_ready"), past) == [60.0, 40.0]
    assert _expected(plan("install", "await_ready"), past, OURS) == [0.1, 0.2]


def test_a_rollback_takes_time_where_there_is_something_to_undo() -> None:
    """What is on record as ours is work for a rollback, and none for a set-up."""
    made = Plan("rollback", plan("remove", chain="rollback").nodes)
    past = [_past(2, "remove", 0.1, "unchanged", chain="rollback"), _past(1, "remove", 30.0, chain="rollback")]

    assert _expected(made, past, OURS) == [30.0]
    assert _expected(made, past) == [0.1]


def test_a_repair_is_neither() -> None:
    """A run that put one of three things right is no measure of a first set-up, nor of one with nothing to do."""
    steps = ("a", "b", "c")
    past = [_past(2, name, 0.1, "changed" if name == "a" else "unchanged") for name in steps]
    past += [_past(1, name, 9.0) for name in steps]

    assert _expected(plan(*steps), past) == [9.0, 9.0, 9.0]
    assert _expected(plan(*steps), past, OURS) == [None, None, None]


def test_the_last_five_count() -> None:
    """Their median: one that hung is no measure, and what was long ago neither."""
    seconds = [10.0, 11.0, 900.0, 12.0, 13.0, 500.0, 500.0, 500.0]
    past = [_past(20 - n, "install", took) for n, took in enumerate(seconds)]

    assert _expected(plan("install"), past) == [12.0]


def test_the_same_host_comes_first() -> None:
    """Another host's time is taken where this one has none."""
    past = [_past(2, "install", 5.0, host="tkw1"), _past(1, "install", 7.0)]

    assert _expected(plan("install", hosts=("tkc", "tkw1", "tkw2")), past) == [7.0, 5.0, 6.0]


@pytest.mark.parametrize(("chain", "seconds"), [("verify", 3.0), ("preconditions", 3.0), ("setup", None)])
def test_a_check_takes_what_it_took_at_another_time(chain: ChainName, seconds: float | None) -> None:
    """A look is a look; an altering step that never was seen with nothing to do is not guessed."""
    past = [_past(1, "install", 60.0), _past(1, "look", 3.0, "changed" if chain == "setup" else "passed", chain=chain)]

    assert _expected(plan("look", chain=chain), past, OURS) == [seconds]


def test_what_is_only_read_is_not_set_up() -> None:
    """A verification expects what verifications of something finished took, whatever is on record."""
    made = Plan("verify", plan("look", chain="verify").nodes)
    past = [
        _past(2, "look", 1.0, "passed", chain="verify"),
        _past(1, "install", 60.0),
        _past(1, "look", 30.0, "passed", chain="verify"),
    ]

    assert _expected(made, past) == [1.0]


def test_what_a_run_left_half_done_is_set_up_again() -> None:
    """Where one of its altering steps did not end well; checks that failed leave nothing to be done."""
    made = Plan("run", (*plan("a", "b", hosts=("tkc", "tkw1")).nodes, *plan("look", chain="verify").nodes))
    done = {node.id for node in made.nodes if "b@tkw1" not in node.id and "look" not in node.id}

    assert half_done(made, done) == {("tkw1", "phase5.coredns")}
    assert half_done(made, ()) == OURS
