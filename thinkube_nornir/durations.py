"""How long each step of a plan will take, judged by past runs. Pure.

A component's steps take one time when it is set up (or rolled back) and another when nothing is left to do. That is so
of its waits and checks, too, which change nothing themselves. So what a past run did with a component on a host is of
one of two kinds: it worked, or it found all as wanted. What is between these, a repair of one file, is not counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from thinkube_nornir.plan import Node, Plan

SAMPLES = 5
"""The last ones are taken: hosts, networks and components get faster and slower with time."""

_ALTERING = ("setup", "rollback")
_ALTERED = ("changed", "planned")
GOOD = (*_ALTERED, "unchanged", "passed")
"""Outcomes of steps that ended well."""


@dataclass(frozen=True)
class PastStep:
    run: int
    component: str
    chain: str
    step: str
    host: str
    outcome: str
    seconds: float


def is_altering(node: Node) -> bool:
    return node.chain in _ALTERING


def half_done(plan: Plan, done: Collection[str]) -> set[tuple[str, str]]:
    """(host, component) of what a run that did not end well left unfinished.

    Args:
        done: nodes of that run that ended well.
    """
    return {(node.host, node.component) for node in plan.nodes if is_altering(node) and node.id not in done}


def expected_seconds(
    plan: Plan, past: Sequence[PastStep], managed: Collection[tuple[str, str]]
) -> dict[str, float | None]:
    """Return each node's expected duration; None where the past says nothing of it.

    Args:
        past: steps that ended well, newest run first.
        managed: (host, component) of what the change log has something of.
    """
    known = _Known(past)
    return {node.id: known.seconds(node, _works(plan, node, managed)) for node in plan.nodes}


def _works(plan: Plan, node: Node, managed: Collection[tuple[str, str]]) -> bool:
    """Whether this component will be set up or rolled back on this host, and not only be looked at."""
    if node.prerequisite or plan.verb == "verify":
        return False
    return ((node.host, node.component) in managed) == (plan.verb == "rollback")


class _Known:
    def __init__(self, past: Sequence[PastStep]) -> None:
        self._samples: dict[tuple[object, ...], list[float]] = defaultdict(list)
        worked = _worked(past)
        for step in past:
            kind = worked[step.run, step.component, step.host]
            if kind is not None:
                name = (step.component, step.chain, step.step)
                self._add((*name, step.host, kind), step.seconds)
                self._add((*name, kind), step.seconds)
        self._medians: dict[tuple[object, ...], float] = {key: median(found) for key, found in self._samples.items()}

    def _add(self, key: tuple[object, ...], seconds: float) -> None:
        samples = self._samples[key]
        if len(samples) < SAMPLES:
            samples.append(seconds)

    def seconds(self, node: Node, works: bool) -> float | None:
        """Return the median on this host, else on any host."""
        name = (node.component, node.chain, node.step.name)
        kinds = [works] if is_altering(node) else [works, not works]
        keys = [key for kind in kinds for key in ((*name, node.host, kind), (*name, kind))]
        return next((self._medians[key] for key in keys if key in self._medians), None)


def _worked(past: Iterable[PastStep]) -> Mapping[tuple[int, str, str], bool | None]:
    """(run, component, host) to whether it worked there, found everything as wanted, or neither."""
    altered: Counter[tuple[int, str, str]] = Counter()
    for step in past:
        altered[step.run, step.component, step.host] += step.outcome in _ALTERED
    most: Counter[tuple[str, str]] = Counter()
    for (_, component, host), number in altered.items():
        most[component, host] = max(most[component, host], number)
    return {key: number > 0 if number == 0 or 2 * number >= most[key[1:]] else None for key, number in altered.items()}
