"""What the runs of a phase show, for each kind of hosts: failures, repairs, retries, times. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from thinkube_nornir.lessons.changes import Changes, changes_between
from thinkube_nornir.lessons.past import Attempt, PhaseRun, attempts
from thinkube_nornir.target import KINDS

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
    runs: tuple[int, ...]
    """Those in which it failed, each once."""


@dataclass(frozen=True)
class StillFailing:
    """Steps whose latest result is red, with one message."""

    steps: tuple[Step, ...]
    what: str
    hosts: tuple[str, ...]
    run: int
    """The last one."""


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
    runs: tuple[int, ...]
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
    """Steps that were good and bad by turns, the same ones together, while nothing was changed."""

    steps: tuple[Step, ...]
    turns: int
    """Of each."""
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    target: str
    """The name of one of target.KINDS."""
    runs: tuple[int, ...]
    dates: tuple[float, float]
    failures: tuple[Failing, ...]
    repairs: tuple[Repair, ...]
    retries: tuple[Retried, ...]
    longest: tuple[Slow, ...]
    shares: tuple[Share, ...]
    unstable: tuple[Unstable, ...]
    still_failing: tuple[StillFailing, ...]

    @property
    def often_retried(self) -> tuple[Retried, ...]:
        return tuple(retried for retried in self.retries if len(retried.runs) >= _OFTEN)


def findings(runs: Sequence[PhaseRun]) -> tuple[Findings, ...]:
    """Return the findings, of real hosts first; none of a target on which nothing of the phase ran."""
    targets = (tuple(run for run in runs if run.run.target == target) for target in KINDS)
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
        still_failing=tuple(_still_failing(tried)),
    )


def _failures(tried: Mapping[str, list[Attempt]]) -> list[Failing]:
    """Return the failures, those that came most often first."""
    groups: dict[str, list[Attempt]] = {}
    for those in tried.values():
        for attempt in those:
            if not attempt.good:
                groups.setdefault(_message(attempt), []).append(attempt)
    found = [_failing(group) for group in groups.values()]
    return sorted(found, key=lambda failing: (-failing.times, failing.runs, failing.steps))


def _message(attempt: Attempt) -> str:
    """What is said of each host alike."""
    return (attempt.node.error or {}).get("what", "").replace(attempt.node.host, "...")


def _failing(group: list[Attempt]) -> Failing:
    group.sort(key=_time)
    error = group[-1].node.error or {}
    return Failing(
        steps=_steps(group),
        what=error.get("what", ""),
        why=error.get("why", ""),
        times=len(group),
        hosts=_hosts(group),
        runs=_runs(group),
    )


def _still_failing(tried: Mapping[str, list[Attempt]]) -> list[StillFailing]:
    """Judge each step on each host by its latest result; the same message in the same run is one."""
    groups: dict[tuple[str, int], list[Attempt]] = {}
    for those in tried.values():
        last = those[-1]
        if not last.good:
            groups.setdefault((_message(last), last.run.run.id), []).append(last)
    found = [
        StillFailing(_steps(group), (group[-1].node.error or {}).get("what", ""), _hosts(group), run)
        for (_, run), group in groups.items()
    ]
    return sorted(found, key=lambda one: (-one.run, one.steps))


def _time(attempt: Attempt) -> float:
    """When it ended; a verify may end while a run with a lower number goes on."""
    return attempt.node.finished or attempt.node.started


def _runs(group: Iterable[Attempt]) -> tuple[int, ...]:
    return tuple(sorted({attempt.run.run.id for attempt in group}))


def _steps(group: Iterable[Attempt]) -> tuple[Step, ...]:
    return tuple(dict.fromkeys(attempt.step for attempt in group))


def _hosts(group: Iterable[Attempt]) -> tuple[str, ...]:
    return tuple(sorted({attempt.node.host for attempt in group}))


def _repairs(runs: Sequence[PhaseRun], tried: Mapping[str, list[Attempt]]) -> list[Repair]:
    """Return the repairs, oldest first; what failed and passed in the same runs is one."""
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
            runs=_runs(group),
            reason=group[-1].node.retried,
        )
        for step, group in groups.items()
    ]
    return sorted(found, key=lambda retried: (-retried.times, retried.step))


def _longest(every: Sequence[Attempt]) -> list[Slow]:
    """Return each step with the time that it took where it took longest."""
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
    """Twice the other result without a change; once may have been a repair outside of what is known here.

    Steps that turned in the same runs are told together: a host that comes and goes turns all of its checks.
    """
    groups: dict[tuple[tuple[int, int], ...], list[Attempt]] = {}
    for those in tried.values():
        turns = tuple(
            (first.run.run.id, second.run.run.id)
            for first, second in pairwise(those)
            if first.good != second.good and changes_between(runs, [(first, second)]).none
        )
        if len(turns) >= _OFTEN:
            groups.setdefault(turns, []).append(those[0])
    found = [Unstable(_steps(group), len(turns), _hosts(group)) for turns, group in groups.items()]
    return sorted(found, key=lambda one: (-one.turns, one.steps))
