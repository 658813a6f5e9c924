"""How long a run will go on: pure, fed with what starts and ends, asked at any moment.

No schedule can end before the longest chain of dependent steps does, nor before a concurrency limit has let all of its
steps through (with what comes before the first and after the last of them), nor before the workers have done all of the
work. The greatest of these is the estimate.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from thinkube_nornir.durations import is_altering
from thinkube_nornir.plan import Node, Plan

KNOWN = 0.75
"""The share of steps whose durations must be known, of altering ones and of checks; else nothing is said."""
OVERDUE = 1.5
"""A step that takes this many times as long as expected, and two seconds, takes longer than usual."""
_GRACE = 2.0


@dataclass(frozen=True)
class Left:
    seconds: float
    overdue: bool = False
    """What everything else waits for takes longer than usual."""


class Estimate:
    """Not thread-safe. Costs of each call: what runs at the moment; of making it: each step and edge of the plan once.

    Args:
        seconds: node to its expected duration, None where nothing is known.
        limits: as in Schedule.
    """

    def __init__(
        self, plan: Plan, seconds: Mapping[str, float | None], workers: int, limits: Mapping[str, int]
    ) -> None:
        self._nodes = plan.by_id
        self._workers = workers
        self._seconds = _filled(plan, seconds)
        self._known = frozenset(node for node, known in seconds.items() if known is not None)
        self._after = plan.longest_after(self._seconds)
        self._longest = sorted(self._seconds, key=lambda node: -self._chain(node))
        self._next = 0
        """Place of the first in `_longest` that was not started."""
        self._waiting = set(self._seconds)
        self._running: dict[str, float] = {}
        self._began: float | None = None
        self._work = math.fsum(self._seconds.values())
        self._limits = _limits(plan, self._seconds, self._after, limits)
        self._unfinished: dict[bool, Counter[bool]] = {True: Counter(), False: Counter()}
        """Altering or not, to known or not, to how many."""
        for node in plan.nodes:
            self._unfinished[is_altering(node)][node.id in self._known] += 1
        self._known_whole = False
        self._known_whole = self._is_known()

    @property
    def over(self) -> bool:
        return not self._waiting and not self._running

    def started(self, node: str, now: float) -> None:
        if node not in self._waiting:
            return
        self._began = now if self._began is None else self._began
        self._waiting.remove(node)
        self._running[node] = now
        self._work -= self._seconds[node]
        if limit := self._nodes[node].step.concurrency:
            self._limits[limit].start(self._seconds[node])

    def finished(self, node: str) -> None:
        if node in self._waiting:
            self.started(node, 0.0)
        if self._running.pop(node, None) is not None:
            self._unfinished[is_altering(self._nodes[node])][node in self._known] -= 1

    def left(self, now: float) -> Left | None:
        """What remains at the least; None when too little is known of it."""
        if not self._is_known():
            return None
        if self.over:
            return Left(0.0)
        rest = {node: max(0.0, self._seconds[node] - (now - since)) for node, since in self._running.items()}
        chain, slowest = max(((seconds + self._after[node], node) for node, seconds in rest.items()), default=(0.0, ""))
        other = max(self._longest_waiting(), self._through_limits(rest, now), self._through_workers(rest))
        return Left(max(chain, other), overdue=bool(slowest) and chain >= other and self._is_overdue(slowest, now))

    def _is_known(self) -> bool:
        """Say whether enough is known of the plan, or of what is left of it: what was shown does not vanish."""
        kinds = self._unfinished.values()
        return self._known_whole or all(kind[True] >= KNOWN * kind.total() for kind in kinds if kind.total())

    def _chain(self, node: str) -> float:
        return self._seconds[node] + self._after[node]

    def _longest_waiting(self) -> float:
        while self._next < len(self._longest) and self._longest[self._next] not in self._waiting:
            self._next += 1
        return self._chain(self._longest[self._next]) if self._next < len(self._longest) else 0.0

    def _through_limits(self, rest: Mapping[str, float], now: float) -> float:
        running: Counter[str] = Counter()
        for node, seconds in rest.items():
            if limit := self._nodes[node].step.concurrency:
                running[limit] += seconds  # type: ignore[assignment]  # a Counter of seconds
        elapsed = 0.0 if self._began is None else now - self._began
        found = (limit.left(running[name], elapsed, self._is_unfinished) for name, limit in self._limits.items())
        return max(found, default=0.0)

    def _is_unfinished(self, node: str) -> bool:
        return node in self._waiting or node in self._running

    def _through_workers(self, rest: Mapping[str, float]) -> float:
        return (self._work + math.fsum(rest.values())) / self._workers

    def _is_overdue(self, node: str, now: float) -> bool:
        return now - self._running[node] > OVERDUE * self._seconds[node] + _GRACE


@dataclass
class _Limit:
    """The steps that share a concurrency limit."""

    width: int
    before: float
    """Seconds that pass until the first of them may start."""
    waiting: float
    """Seconds of work of those that were not started."""
    after: Sequence[tuple[float, str]]
    """Each with what comes after it, the shortest first."""
    begun: bool = False
    _next: int = 0

    def start(self, seconds: float) -> None:
        self.begun = True
        self.waiting -= seconds

    def left(self, running: float, elapsed: float, is_unfinished: Callable[[str], bool]) -> float:
        while self._next < len(self.after) and not is_unfinished(self.after[self._next][1]):
            self._next += 1
        if self._next == len(self.after):
            return 0.0
        before = 0.0 if self.begun else max(0.0, self.before - elapsed)
        return before + (self.waiting + running) / self.width + self.after[self._next][0]


def _limits(
    plan: Plan, seconds: Mapping[str, float], after: Mapping[str, float], limits: Mapping[str, int]
) -> dict[str, _Limit]:
    before = plan.longest_before(seconds)
    members: dict[str, list[str]] = defaultdict(list)
    for node in plan.nodes:
        if node.step.concurrency:
            members[node.step.concurrency].append(node.id)
    return {
        name: _Limit(
            limits.get(name, 1),
            min(before[node] for node in nodes),
            math.fsum(seconds[node] for node in nodes),
            sorted((after[node], node) for node in nodes),
        )
        for name, nodes in members.items()
    }


def _filled(plan: Plan, seconds: Mapping[str, float | None]) -> dict[str, float]:
    """Where nothing is known, what steps of that kind take as a rule."""
    known: dict[bool, list[float]] = {True: [], False: []}
    for node in plan.nodes:
        found = seconds.get(node.id)
        if found is not None:
            known[is_altering(node)].append(found)
    usual = {kind: median(found) if found else 0.0 for kind, found in known.items()}

    def of(node: Node) -> float:
        found = seconds.get(node.id)
        return usual[is_altering(node)] if found is None else found

    return {node.id: of(node) for node in plan.nodes}


class Countdown:
    """What is shown: the end that was foreseen moves towards the one that is foreseen now, and does not leap there.

    Within two seconds and a tenth of what is left, two thirds of the way are gone.
    """

    def __init__(self, estimate: Estimate) -> None:
        self.estimate = estimate
        self._end: float | None = None
        self._asked = 0.0

    def text(self, now: float) -> str:
        """`about 40 s left`, `about 40 s left, longer than usual`; empty when nothing is known."""
        left = self.estimate.left(now)
        if left is None or self.estimate.over:
            self._end = None
            return ""
        seconds = self._smooth(now, left.seconds)
        if left.overdue and seconds < 1:
            return "longer than usual"
        return f"about {rounded(max(1.0, seconds))} left" + (", longer than usual" if left.overdue else "")

    def _smooth(self, now: float, seconds: float) -> float:
        end = now + seconds
        if self._end is not None:
            pace = 2.0 + seconds / 10
            end = self._end + (end - self._end) * -math.expm1(-(now - self._asked) / pace)
        self._end, self._asked = end, now
        return max(0.0, end - now)


def rounded(seconds: float) -> str:
    """Round a time to what can be known of it.

    >>> rounded(7.2), rounded(41), rounded(200), rounded(4000)
    ('8 s', '40 s', '3 min 20 s', '1 h 07 min')
    """
    step = 1 if seconds < 20 else 5 if seconds < 60 else 10 if seconds < 600 else 60
    whole = math.ceil(seconds) if step == 1 else round(seconds / step) * step
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
