"""What the runs of a phase show, for each kind of hosts: failures, repairs, retries, times. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from thinkube_nornir.lessons.changes import Changes, changes_between
from thinkube_nornir.lessons.past import Attempt, PhaseRun, attempts

_NOTABLE = 1.0
"""Seconds that a step must have taken once to be called slow."""
_SHARE = 0.05
"""Of all the time that steps took: what takes less is not worth making faster."""
_OFTEN = 2
"""Runs in which a step was retried, from which on it is often."""
_LISTED = 3

Step = tuple[str, str, str]
"""Component, chain, step."""


@dataclass(frozen=True)
class Failing:
    """Failures with one message, in whichever steps and on whichever hosts."""

    steps: tuple[Step, ...]
    what: str
    why: str
    times: int
    hosts: tuple[str, ...]
    runs: tuple[int, int]
    """The first one and the last."""
    still: tuple[str, ...]
    """Hosts on which it has not passed since."""


@dataclass(frozen=True)
class Repair:
    """Steps that failed in one run, and passed in a later one."""

    steps: tuple[Step, ...]
    what: str
    """Of the first one."""
    hosts: tuple[str, ...]
    failed_in: int
    passed_in: int
    changes: Changes


@dataclass(frozen=True)
class Retried:
    step: Step
    times: int
    hosts: tuple[str, ...]
    runs: tuple[int, int]
    in_runs: int
    reason: str
    """Of the last one."""


@dataclass(frozen=True)
class Slow:
    step: Step
    seconds: float
    host: str
    run: int


@dataclass(frozen=True)
class Share:
    step: Step
    seconds: float
    part: float
    """Of the time that all steps of the phase took together: 0.25."""


@dataclass(frozen=True)
class Unstable:
    """A step that was good and bad by turns while nothing was changed."""

    step: Step
    turns: int
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    target: str
    """`ssh` or `lab`."""
    runs: tuple[int, ...]
    dates: tuple[float, float]
    failures: tuple[Failing, ...]
    repairs: tuple[Repair, ...]
    retries: tuple[Retried, ...]
    longest: tuple[Slow, ...]
    shares: tuple[Share, ...]
    unstable: tuple[Unstable, ...]

    @property
    def still_failing(self) -> tuple[Failing, ...]:
        return tuple(failing for failing in self.failures if failing.still)

    @property
    def often_retried(self) -> tuple[Retried, ...]:
        return tuple(retried for retried in self.retries if retried.in_runs >= _OFTEN)


def findings(runs: Sequence[PhaseRun]) -> tuple[Findings, ...]:
    """Of real hosts first, then of the lab; none of a target on which nothing of the phase ran."""
    targets = (tuple(run for run in runs if run.run.target == target) for target in ("ssh", "lab"))
    return tuple(_findings(those) for those in targets if any(run.nodes for run in those))


def _findings(runs: tuple[PhaseRun, ...]) -> Findings:
    own = [run for run in runs if run.nodes]
    tried = attempts(runs)
    every = sorted((a for those in tried.values() for a in those), key=lambda a: (a.run.run.id, a.node.started))
    return Findings(
        target=own[0].run.target,
        runs=tuple(run.run.id for run in own),
        dates=(own[0].run.started, own[-1].run.started),
        failures=tuple(_failures(tried)),
        repairs=tuple(_repairs(runs, tried)),
        retries=tuple(_retries(every)),
        longest=tuple(_longest(every)),
        shares=tuple(_shares(every)),
        unstable=tuple(_unstable(runs, tried)),
    )


def _failures(tried: Mapping[str, list[Attempt]]) -> list[Failing]:
    """Most often failed first."""
    groups: dict[str, list[Attempt]] = {}
    for those in tried.values():
        for attempt in those:
            if not attempt.good:
                groups.setdefault(_message(attempt), []).append(attempt)
    last = {node: those[-1] for node, those in tried.items()}
    found = [_failing(group, last) for group in groups.values()]
    return sorted(found, key=lambda failing: (-failing.times, failing.runs, failing.steps))


def _message(attempt: Attempt) -> str:
    """What is said of each host alike."""
    return (attempt.node.error or {}).get("what", "").replace(attempt.node.host, "...")


def _failing(group: list[Attempt], last: Mapping[str, Attempt]) -> Failing:
    group.sort(key=lambda attempt: (attempt.run.run.id, attempt.node.started))
    error = group[-1].node.error or {}
    numbers = [attempt.run.run.id for attempt in group]
    return Failing(
        steps=_steps(group),
        what=error.get("what", ""),
        why=error.get("why", ""),
        times=len(group),
        hosts=_hosts(group),
        runs=(numbers[0], numbers[-1]),
        still=_hosts(attempt for attempt in group if attempt is last[attempt.node.node]),
    )


def _steps(group: Iterable[Attempt]) -> tuple[Step, ...]:
    return tuple(dict.fromkeys(attempt.step for attempt in group))


def _hosts(group: Iterable[Attempt]) -> tuple[str, ...]:
    return tuple(sorted({attempt.node.host for attempt in group}))


def _repairs(runs: Sequence[PhaseRun], tried: Mapping[str, list[Attempt]]) -> list[Repair]:
    """Oldest first; what failed in the same run and passed in the same run is one."""
    groups: dict[tuple[int, int], list[tuple[Attempt, Attempt]]] = {}
    for those in tried.values():
        for first, second in pairwise(those):
            if second.good and not first.good:
                groups.setdefault((second.run.run.id, first.run.run.id), []).append((first, second))
    return [
        Repair(
            steps=_steps(first for first, _ in pairs),
            what=(pairs[0][0].node.error or {}).get("what", ""),
            hosts=_hosts(first for first, _ in pairs),
            failed_in=failed_in,
            passed_in=passed_in,
            changes=changes_between(runs, pairs),
        )
        for (passed_in, failed_in), pairs in sorted(groups.items())
    ]


def _retries(every: Sequence[Attempt]) -> list[Retried]:
    groups: dict[Step, list[Attempt]] = {}
    for attempt in every:
        if attempt.node.retries:
            groups.setdefault(attempt.step, []).append(attempt)
    found = [
        Retried(
            step=step,
            times=sum(attempt.node.retries for attempt in group),
            hosts=_hosts(group),
            runs=(group[0].run.run.id, group[-1].run.run.id),
            in_runs=len({attempt.run.run.id for attempt in group}),
            reason=group[-1].node.retried,
        )
        for step, group in groups.items()
    ]
    return sorted(found, key=lambda retried: (-retried.times, retried.step))


def _longest(every: Sequence[Attempt]) -> list[Slow]:
    """Each step where it took longest."""
    worst: dict[Step, Attempt] = {}
    for attempt in every:
        known = worst.get(attempt.step)
        if attempt.node.duration >= _NOTABLE and (known is None or attempt.node.duration > known.node.duration):
            worst[attempt.step] = attempt
    slow = [Slow(step, a.node.duration, a.node.host, a.run.run.id) for step, a in worst.items()]
    return sorted(slow, key=lambda one: -one.seconds)[:_LISTED]


def _shares(every: Sequence[Attempt]) -> list[Share]:
    seconds: Counter[Step] = Counter()
    for attempt in every:
        seconds[attempt.step] += attempt.node.duration  # type: ignore[assignment]  # a Counter counts seconds as well
    total = sum(seconds.values())
    return [
        Share(step, taken, taken / total)
        for step, taken in seconds.most_common(_LISTED)
        if taken >= max(_NOTABLE, _SHARE * total)
    ]


def _unstable(runs: Sequence[PhaseRun], tried: Mapping[str, list[Attempt]]) -> list[Unstable]:
    """Twice the other result without a change; once may have been a repair outside of what is known here."""
    turns: dict[Step, Counter[str]] = {}
    for those in tried.values():
        for first, second in pairwise(those):
            if first.good != second.good and changes_between(runs, [(first, second)]).none:
                turns.setdefault(first.step, Counter())[first.node.host] += 1
    found = [
        Unstable(step, sum(count.values()), tuple(sorted(count)))
        for step, count in turns.items()
        if max(count.values()) >= _OFTEN
    ]
    return sorted(found, key=lambda one: (-one.turns, one.step))
