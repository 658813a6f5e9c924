"""How long a run will go on: replayed and simulated with a clock of the test's own."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nornir.core.task import Result, Task

from thinkube_nornir.component import ChainName, Step
from thinkube_nornir.durations import PastStep, expected_seconds
from thinkube_nornir.estimate import Countdown, Estimate, rounded
from thinkube_nornir.plan import Node, Plan
from thinkube_nornir.schedule import Schedule

RECORDED = json.loads((Path(__file__).parent / "recorded" / "phase5_runs.json").read_text())
"""Four runs of phase 5 on the light lab: two first set-ups, two with nothing to do; start, seconds, outcome by node."""


def _node(name: str, concurrency: str | None = None, needs: frozenset[str] = frozenset(), after: Any = ()) -> Node:
    component, chain, rest = name.split("/")
    step, _, host = rest.partition("@")

    def function(task: Task) -> Result:
        raise NotImplementedError

    function.__name__ = step
    kind: ChainName = chain  # type: ignore[assignment]
    return Node(name, component, kind, Step(function, concurrency=concurrency), host, None, needs, frozenset(after))


def _recorded_plan() -> Plan:
    names = [name for name, *_ in RECORDED["nodes"]]
    nodes = [
        _node(name, concurrency, frozenset(names[n] for n in needs), [names[n] for n in after])
        for name, concurrency, needs, after in RECORDED["nodes"]
    ]
    return Plan("run", tuple(nodes))


def _past(*runs: str) -> list[PastStep]:
    """As the journal has them, newest first."""
    found: list[PastStep] = []
    for number, run in enumerate(runs):
        for (name, *_), (_, seconds, outcome) in zip(RECORDED["nodes"], RECORDED["runs"][run], strict=True):
            component, chain, rest = name.split("/")
            step, _, host = rest.partition("@")
            found.append(PastStep(-number, component, chain, step, host, outcome, seconds))
    return found


def _replayed(run: str, estimate: Estimate, ask: Callable[[float], object]) -> Iterator[tuple[float, Any]]:
    """Let a recorded run happen again, and ask every quarter of a second; what is left in truth, and what was said."""
    events: list[tuple[float, int, str]] = []
    for (name, *_), (start, seconds, _) in zip(RECORDED["nodes"], RECORDED["runs"][run], strict=True):
        events += [(start, 0, name), (start + seconds, 1, name)]
    end = max(at for at, *_ in events)
    pending = sorted(events, reverse=True)
    for tick in range(int(end * 4) + 1):
        now = tick / 4
        while pending and pending[-1][0] <= now:
            at, ended, name = pending.pop()
            if ended:
                estimate.finished(name)
            else:
                estimate.started(name, at)
        yield end - now, ask(now)


OURS = {(host, f"phase5.{name}") for host in ("tkc", "tkw1", "bcn1") for name in
        ("microk8s_control", "microk8s_workers", "coredns")}  # fmt: skip


@pytest.mark.parametrize(
    ("run", "past", "ours"), [("later", ("first",), set()), ("repeated", ("quiet", "first"), OURS)]
)
def test_a_recorded_run_ends_when_it_was_foreseen(run: str, past: tuple[str, ...], ours: set[tuple[str, str]]) -> None:
    """From what an earlier run took: never far off, and right in the end."""
    made = _recorded_plan()
    estimate = Estimate(made, expected_seconds(made, _past(*past), ours), 64, {})

    said = [(true, left.seconds) for true, left in _replayed(run, estimate, estimate.left)]

    total = said[0][0]
    assert all(abs(true - left) < 0.2 * total + 1 for true, left in said), said
    last = said[-len(said) // 4 :]
    assert all(abs(true - left) < 0.1 * total + 0.5 for true, left in last), last


def test_what_is_shown_does_not_leap() -> None:
    """A step that ends far too early halves the rest at once; what is shown goes there step by step, and arrives."""
    made = _plan("a", "b", chained=True)
    first, second = (node.id for node in made.nodes)
    countdown = Countdown(Estimate(made, _all(made, 100.0), 64, {}))
    countdown.estimate.started(first, 0.0)
    assert countdown.text(4.0) == "about 3 min 20 s left"

    countdown.estimate.finished(first)
    countdown.estimate.started(second, 5.0)
    shown = [countdown.text(5.0 + n / 4) for n in range(161)]

    assert shown[0] == "about 3 min 10 s left"
    assert shown[20] == "about 2 min 30 s left"
    assert shown[160] == "about 1 min 00 s left"


def _simulated(
    plan: Plan, true: Mapping[str, float], workers: int, limits: Mapping[str, int], estimate: Estimate
) -> Iterator[float]:
    """Carry a plan out with the real schedule and true durations; yields each moment at which something happened."""
    schedule, now = Schedule(plan, workers, limits), 0.0
    running: list[tuple[float, str]] = []
    while not schedule.over:
        for node in schedule.start():
            estimate.started(node.id, now)
            heapq.heappush(running, (now + true[node.id], node.id))
        yield now
        later = now + (running[0][0] - now) / 2
        yield later
        now, name = heapq.heappop(running)
        estimate.finished(name)
        schedule.finish(plan.by_id[name])
    yield now


@st.composite
def _plans(draw: st.DrawFn) -> Plan:
    nodes: list[Node] = []
    for number in range(draw(st.integers(1, 14))):
        chain = draw(st.sampled_from(["setup", "verify"]))
        concurrency = draw(st.sampled_from([None, None, "join", "reboot"]))
        before = draw(st.sets(st.sampled_from([node.id for node in nodes]), max_size=3)) if nodes else set()
        nodes.append(_node(f"phase1.c/{chain}/s{number}@h{number % 3}", concurrency, frozenset(before)))
    return Plan("run", tuple(nodes))


_SECONDS = st.floats(0, 100)


@given(_plans(), st.data())
def test_an_estimate_is_never_less_than_what_one_step_still_takes(made: Plan, data: st.DataObject) -> None:
    """Whatever is expected and whatever happens: never negative, nothing left in the end."""
    expected = {node.id: data.draw(_SECONDS) for node in made.nodes}
    true = {node.id: data.draw(_SECONDS) for node in made.nodes}
    workers, limits = data.draw(st.integers(1, 4)), {"join": data.draw(st.integers(1, 3))}
    estimate = Estimate(made, expected, workers, limits)

    for now in _simulated(made, true, workers, limits, estimate):
        left = estimate.left(now)
        assert left is not None
        single = [expected[node] for node in estimate._waiting]
        single += [max(0.0, expected[node] - (now - since)) for node, since in estimate._running.items()]
        assert left.seconds >= max(single, default=0.0) - 1e-6

    assert estimate.over
    assert estimate.left(now) is not None
    assert estimate.left(now).seconds == 0  # type: ignore[union-attr]


@given(_plans(), st.data())
def test_an_estimate_is_the_least_that_is_possible(made: Plan, data: st.DataObject) -> None:
    """When each step takes what was expected, at no moment is more foreseen than truly remains."""
    true = {node.id: data.draw(_SECONDS) for node in made.nodes}
    workers, limits = data.draw(st.integers(1, 4)), {"join": data.draw(st.integers(1, 3))}
    estimate = Estimate(made, true, workers, limits)

    said = [(now, left.seconds) for now in _simulated(made, true, workers, limits, estimate)
            if (left := estimate.left(now))]  # fmt: skip

    end = said[-1][0]
    assert all(left <= end - now + 1e-6 for now, left in said)


def _plan(*names: str, concurrency: str | None = None, chained: bool = False) -> Plan:
    nodes: list[Node] = []
    for name in names:
        needs = frozenset([nodes[-1].id]) if chained and nodes else frozenset[str]()
        nodes.append(_node(f"phase1.c/setup/{name}@h", concurrency, needs))
    return Plan("run", tuple(nodes))


def _all(made: Plan, seconds: float) -> dict[str, float | None]:
    return {node.id: seconds for node in made.nodes}


@pytest.mark.parametrize(
    ("made", "workers", "limits", "seconds"),
    [
        (_plan("a", "b", "c"), 64, {}, 10.0),
        (_plan("a", "b", "c", chained=True), 64, {}, 30.0),
        (_plan("a", "b", "c", concurrency="join"), 64, {}, 30.0),
        (_plan("a", "b", "c", "d", concurrency="join"), 64, {"join": 2}, 20.0),
        (_plan("a", "b", "c", "d"), 2, {}, 20.0),
    ],
)
def test_chains_limits_and_workers_each_bound_a_run(
    made: Plan, workers: int, limits: Mapping[str, int], seconds: float
) -> None:
    """Steps of ten seconds side by side, in a chain, one at a time, two at a time, by two workers."""
    left = Estimate(made, _all(made, 10.0), workers, limits).left(0.0)

    assert left is not None
    assert left.seconds == seconds


def test_what_comes_before_and_after_a_limit_counts() -> None:
    """Two joins one after another do not start with the run, nor end with it."""
    nodes: list[Node] = []
    for host in ("h1", "h2"):
        nodes.append(_node(f"phase1.c/setup/install@{host}"))
        nodes.append(_node(f"phase1.c/setup/join@{host}", "join", frozenset([nodes[-1].id])))
        nodes.append(_node(f"phase1.c/setup/settle@{host}", None, frozenset([nodes[-1].id])))
    made = Plan("run", tuple(nodes))
    estimate = Estimate(made, _all(made, 10.0), 64, {})

    assert estimate.left(0.0).seconds == 40.0  # type: ignore[union-attr]
    for host in ("h1", "h2"):
        estimate.started(f"phase1.c/setup/install@{host}", 0.0)
    assert estimate.left(4.0).seconds == 36.0  # type: ignore[union-attr]


def test_what_takes_longer_than_usual_is_said_so() -> None:
    """Never a negative rest: a step that everything waits for is named as late when it clearly is."""
    made = _plan("a", "b", chained=True)
    countdown = Countdown(Estimate(made, _all(made, 10.0), 64, {}))
    countdown.estimate.started(made.nodes[0].id, 0.0)

    assert countdown.text(0.0) == "about 20 s left"
    assert countdown.text(15.0) == "about 10 s left"
    assert countdown.text(18.0) == "about 9 s left, longer than usual"

    countdown.estimate.finished(made.nodes[0].id)
    countdown.estimate.started(made.nodes[1].id, 18.0)
    assert countdown.text(100.0) == "longer than usual"
    countdown.estimate.finished(made.nodes[1].id)
    assert countdown.text(101.0) == ""


def test_a_late_step_that_nothing_waits_for_is_not_named() -> None:
    """What decides the end is on time."""
    made = Plan("run", (*_plan("quick").nodes, *_plan("long").nodes))
    seconds = {node.id: 100.0 if "long" in node.id else 1.0 for node in made.nodes}
    estimate = Estimate(made, seconds, 64, {})
    for node in made.nodes:
        estimate.started(node.id, 0.0)

    left = estimate.left(20.0)

    assert left is not None
    assert (left.seconds, left.overdue) == (80.0, False)


def test_a_late_step_among_many_is_not_named() -> None:
    """Two workers still have two hundred steps to do: these decide the end."""
    made = _plan("late", *(f"s{n}" for n in range(200)))
    estimate = Estimate(made, _all(made, 1.0), 2, {})
    estimate.started(made.nodes[0].id, 0.0)

    left = estimate.left(20.0)

    assert left is not None
    assert (left.seconds, left.overdue) == (100.0, False)


@pytest.mark.parametrize(("known", "said"), [(3, True), (2, False), (0, False)])
def test_nothing_is_said_when_too_little_is_known(known: int, said: bool) -> None:
    """Three of four altering steps must be known, however many checks are."""
    altering = _plan("a", "b", "c", "d")
    checks = [_node(f"phase1.c/verify/v{n}@h") for n in range(50)]
    made = Plan("run", (*altering.nodes, *checks))
    seconds: dict[str, float | None] = {node.id: 1.0 for node in made.nodes}
    for node in altering.nodes[known:]:
        seconds[node.id] = None
    estimate = Estimate(made, seconds, 64, {})

    assert (estimate.left(0.0) is not None) is said
    assert bool(Countdown(estimate).text(0.0)) is said

    for node in altering.nodes:
        estimate.started(node.id, 0.0)
        estimate.finished(node.id)
    assert estimate.left(1.0) is not None


def test_what_is_said_once_does_not_vanish() -> None:
    """That the last steps are those of which nothing is known is no reason to fall silent."""
    made = _plan("a", "b", "c", "d")
    seconds = {node.id: None if node.id.endswith("d@h") else 10.0 for node in made.nodes}
    estimate = Estimate(made, seconds, 64, {})
    for node in made.nodes[:3]:
        estimate.started(node.id, 0.0)
        estimate.finished(node.id)

    left = estimate.left(1.0)

    assert left is not None
    assert left.seconds == 10.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (19.4, "20 s"), (58, "1 min 00 s"), (3590, "1 h 00 min"), (86_400, "24 h 00 min")],
)
def test_a_rest_is_said_as_fine_as_it_can_be_meant(seconds: float, text: str) -> None:
    """Seconds, then steps of five and ten, then minutes."""
    assert rounded(seconds) == text
