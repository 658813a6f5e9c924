"""What happened in a run, as plain values: collected from Nornir's events, judged once, read by every report."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Literal

from thinkube_nornir.context import retries_in
from thinkube_nornir.outcome import Outcome, error_of, outcome_of
from thinkube_nornir.reporting.terminal import clean
from thinkube_nornir.target import Kind, kind_of

if TYPE_CHECKING:
    from nornir.core.inventory import Host
    from nornir.core.task import AggregatedResult, MultiResult, Result, Task

    from thinkube_nornir.plan import Node, Plan
    from thinkube_nornir.reporting.topology import Topology

Verdict = Literal["green", "failed", "pending", "interrupted"]

EXIT_CODES: Mapping[Verdict, int] = {"green": 0, "failed": 1, "pending": 3, "interrupted": 130}
"""2 is for requests that were wrong, which have no record. 130 is the shell's word for "ended by Ctrl-C"."""

CHECKS = ("preconditions", "verify")
"""Chains whose steps must all have run and held before anything is called green."""


@dataclass(frozen=True)
class Failure:
    kind: str
    """Name of the error's class."""
    what: str
    why: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Row:
    """One node of the plan and what became of it. Every text in it is redacted."""

    id: str
    component: str
    chain: str
    step: str
    host: str
    outcome: Outcome | None
    """None: it was planned and no result came."""
    message: str = ""
    diff: str = ""
    started: float | None = None
    """Seconds since the epoch."""
    duration: float = 0.0
    """Seconds."""
    failure: Failure | None = None
    prerequisite: bool = False
    needs: tuple[str, ...] = ()
    """Ids of the rows that had to end before this one could start; of many hosts' rows the one that ended last."""
    limited_by: str = ""
    """The concurrency limit that it shares with other steps: `join`."""
    title: str = ""
    """The step in words: `file /etc/microk8s.yaml is as declared`."""
    label: str = ""
    """What a terminal shows for it, `file /etc/microk8s.yaml`; empty for the step's name."""
    about: str = ""
    """What the step's docstring says first; empty without one."""
    retries: int = 0
    """How often something inside of the step was refused or failed, and was tried again."""
    retried: str = ""
    """Why, the last time."""

    @property
    def word(self) -> str:
        return self.outcome.value if self.outcome else "missing"

    @property
    def is_check(self) -> bool:
        return self.chain in CHECKS

    @property
    def good(self) -> bool:
        return self.outcome is not None and self.outcome.good


@dataclass(frozen=True)
class Record:
    """A finished, or interrupted, run."""

    verb: str
    selection: tuple[str, ...]
    limit: str
    """As typed; empty for all hosts."""
    hosts: tuple[str, ...]
    target: str
    rows: tuple[Row, ...]
    """One for each node of the plan, in the plan's order."""
    emulated: tuple[str, ...] = ()
    run_id: int = 0
    dry_run: bool = False
    started: float = 0.0
    duration: float = 0.0
    interrupted: bool = False
    log: str = ""
    topology: Topology | None = None
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Component to the hosts that would get something of it, and that `limit` leaves out."""
    never_set_up: frozenset[tuple[str, str]] = frozenset()
    """Component and host of the checks of a verify for which nothing was ever changed (unset.py)."""
    next_command: str = ""
    """What the operator would type now; empty when there is nothing."""

    @property
    def kind(self) -> Kind:
        return kind_of(self.target)

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(row.word for row in self.rows)

    @property
    def failures(self) -> list[Row]:
        return [row for row in self.rows if row.outcome is Outcome.FAILED]

    @cached_property
    def verdict(self) -> Verdict:
        """Green only when every planned node has a result, none failed, and every check ran and held.

        A dry run is green when nothing is left to change: checks that have to write are skipped in a dry run.
        """
        if self.interrupted:
            return "interrupted"
        if not self.rows or self.counts["failed"] or self.counts["missing"]:
            return "failed"
        if self.dry_run:
            return "pending" if self.counts["planned"] else "green"
        return "green" if all(row.good for row in self.rows if row.is_check) else "failed"

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]


class NodeEvents:
    """A Nornir processor that hears of nodes and nothing else. Both methods are called from worker threads."""

    def node_started(self, node: str, host: str) -> None: ...
    def node_completed(self, node: str, host: str, result: Result) -> None: ...

    def task_started(self, task: Task) -> None: ...
    def task_completed(self, task: Task, result: AggregatedResult) -> None: ...
    def subtask_instance_started(self, task: Task, host: Host) -> None: ...
    def subtask_instance_completed(self, task: Task, host: Host, result: MultiResult) -> None: ...

    def task_instance_started(self, task: Task, host: Host) -> None:
        self.node_started(task.name, host.name)

    def task_instance_completed(self, task: Task, host: Host, result: MultiResult) -> None:
        self.node_completed(task.name, host.name, result[0])


class Collector(NodeEvents):
    """Keeps each node's result and the time it started."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._results: dict[str, Result] = {}
        self._lock = threading.Lock()

    def node_started(self, node: str, host: str) -> None:  # noqa: ARG002 a node is on one host only
        with self._lock:
            self._started[node] = time.time()

    def node_completed(self, node: str, host: str, result: Result) -> None:  # noqa: ARG002 the protocol gives it, too
        with self._lock:
            self._results[node] = result

    def rows(self, plan: Plan, results: Mapping[str, Result] | None = None) -> tuple[Row, ...]:
        """A row for every node of the plan, also for those that nothing was heard of.

        Args:
            results: the runner's, for nodes whose events never came: a journal that cannot be written ends them.
        """
        with self._lock:
            known = dict(results or {}) | self._results
            last = {gate: max(nodes, key=lambda node: self._ended(known, node)) for gate, nodes in plan.gates.items()}
            return tuple(row(node, known.get(node.id), self._started.get(node.id), last) for node in plan.nodes)

    def _ended(self, known: Mapping[str, Result], node: str) -> float:
        return self._started.get(node, 0.0) + float(getattr(known.get(node), "duration", 0.0) or 0.0)


def row(node: Node, result: Result | None, started: float | None = None, last: Mapping[str, str] | None = None) -> Row:
    """
    Args:
        last: gate of the plan to the node of it that ended last.
    """
    where: dict[str, Any] = {
        "id": node.id,
        "component": node.component,
        "chain": node.chain,
        "step": node.step.name,
        "host": node.host,
        "prerequisite": node.prerequisite,
        "started": started,
        "needs": tuple(sorted({(last or {}).get(name, name) for name in node.needs | node.after})),
        "limited_by": node.step.concurrency or "",
        "title": clean(node.step.title),
        "label": clean(node.step.label),
        "about": _first_sentence(node.step.function.__doc__),
    }
    if result is None:
        return Row(**where, outcome=None, message="planned, and never reported")
    failure, retries = _failure(result), retries_in(result)
    return Row(
        **where,
        outcome=outcome_of(result),
        message=failure.what if failure else clean(result.result or ""),
        diff=clean(result.diff or ""),
        duration=float(getattr(result, "duration", 0.0) or 0.0),
        failure=failure,
        retries=retries.count,
        retried=clean(retries.reason),
    )


def _first_sentence(docstring: str | None) -> str:
    """Return the first sentence of the first paragraph, on one line."""
    paragraph = " ".join(cleandoc(docstring or "").partition("\n\n")[0].split())
    return clean(re.split(r"(?<=[.!?])\s", paragraph, maxsplit=1)[0])


def _failure(result: Result) -> Failure | None:
    """A failed result's error; its `result` is a traceback, which is for the log alone."""
    if outcome_of(result) is not Outcome.FAILED:
        return None
    error = error_of(result)
    if error is None:
        return Failure("Failed", clean(result.result or "failed without a reason"))
    kind = type(result.exception).__name__
    return Failure(kind, clean(error.what), clean(error.why), clean(error.fix))


def by_host(rows: Sequence[Row]) -> dict[str, Counter[str]]:
    """Outcomes counted per host, in the rows' order."""
    counts: dict[str, Counter[str]] = {}
    for each in rows:
        counts.setdefault(each.host, Counter())[each.word] += 1
    return counts
