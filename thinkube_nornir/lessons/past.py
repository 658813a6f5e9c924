"""The runs that a phase's lessons are drawn from, oldest first: the steps of this phase, and what they were given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from thinkube_nornir.inputs import Inputs
from thinkube_nornir.journal import Journal, NodeRecord, Run

_GOOD = ("changed", "unchanged", "passed")


@dataclass(frozen=True)
class PhaseRun:
    run: Run
    nodes: tuple[NodeRecord, ...] = ()
    """Of this phase, in the order in which they started; empty for a run that had nothing of it."""
    changed: tuple[NodeRecord, ...] = ()
    """What the run changed, of any phase."""
    inputs: Inputs = field(default_factory=Inputs)

    @property
    def known(self) -> bool:
        """Whether it was recorded what it was given; programs before journal version 2 did not."""
        return bool(self.run.settings)


@dataclass(frozen=True)
class Attempt:
    """One time that a step of a run came to an answer."""

    run: PhaseRun
    node: NodeRecord

    @property
    def good(self) -> bool:
        return self.node.outcome in _GOOD

    @property
    def step(self) -> tuple[str, str, str]:
        return self.node.component, self.node.chain, self.node.step


def read_runs(journal: Journal, phase: str) -> tuple[PhaseRun, ...]:
    """Every run that was no dry run, on any hosts."""
    own, changed = journal.nodes_of_phase(phase), journal.changed_nodes()
    read: dict[str, Inputs] = {}

    def inputs(run: Run) -> Inputs:
        if run.settings + run.files not in read:
            read[run.settings + run.files] = journal.inputs(run)
        found = read[run.settings + run.files]
        return Inputs(found.settings, found.files, run.revision, run.modified)

    return tuple(
        PhaseRun(run, tuple(own.get(run.id, ())), tuple(changed.get(run.id, ())), inputs(run))
        for run in reversed(journal.runs(-1))
        if not run.dry_run
    )


def attempts(runs: tuple[PhaseRun, ...]) -> Mapping[str, list[Attempt]]:
    """Step and host to what became of it each time, in the order of time.

    A check that is red while its component is not set up says what it should, and is left out. So is what the
    operator cancelled, and what was never begun.
    """
    found: dict[str, list[Attempt]] = {}
    hosts: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        for node in run.nodes:
            there = hosts.setdefault((run.run.scope, node.component), set())
            _follow(node, there)
            attempt = Attempt(run, node)
            as_expected = run.run.verb == "verify" and not there
            cancelled = node.error is not None and node.error.get("kind") == "Cancelled"
            if attempt.good or (node.outcome == "failed" and not as_expected and not cancelled):
                found.setdefault(node.node, []).append(attempt)
    for those in found.values():  # a verify may end while a run with a lower number goes on
        those.sort(key=lambda one: one.node.finished or one.node.started)
    return found


def _follow(node: NodeRecord, set_up_on: set[str]) -> None:
    """Keep on which hosts a component is set up, as far as its runs say."""
    if node.chain == "setup" and node.outcome != "skipped":  # unchanged: it was set up before this journal began
        set_up_on.add(node.host)
    elif node.chain == "rollback" and node.outcome in ("changed", "unchanged"):
        set_up_on.discard(node.host)
