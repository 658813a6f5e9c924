"""Good habits that the runs of a phase prove: checks seen red first, a second run that changed nothing, a rollback."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thinkube_nornir.checklist.history import History, PastRun
from thinkube_nornir.checklist.names import PHASE_KINDS
from thinkube_nornir.checklist.proof import Proof, prove

if TYPE_CHECKING:
    from nornir.core.inventory import Inventory

    from thinkube_nornir.catalog import Catalog
    from thinkube_nornir.lessons.past import PhaseRun


@dataclass(frozen=True)
class Practice:
    kind: str
    """One of PHASE_KINDS."""
    run: int
    date: str
    components: tuple[str, ...] = ()
    """Those of which it is proven, when it is not proven of the whole phase."""


def practices(
    runs: Sequence[PhaseRun], target: str, phase: str, catalog: Catalog, inventory: Inventory
) -> tuple[Practice, ...]:
    """What is proven on the hosts of a target; of disposable ones the last on which it was proven count."""
    scopes = dict.fromkeys(run.run.scope for run in reversed(runs) if run.run.target == target and run.nodes)
    proven = [prove(_history(runs, scope), catalog, inventory) for scope in scopes]
    components = [entry.name for entry in catalog.entries if entry.phase == phase]
    names = (phase, *components)
    found = (
        _first(_practice(kind, components, [proofs.get(f"{name}/{kind}") for name in names]) for proofs in proven)
        for kind in PHASE_KINDS
    )
    return tuple(practice for practice in found if practice)


def _first(found: Iterable[Practice | None]) -> Practice | None:
    """One of the whole phase before one of some components, and otherwise that of the newest hosts."""
    every = [practice for practice in found if practice]
    return next((practice for practice in every if not practice.components), every[0] if every else None)


def _practice(kind: str, components: Sequence[str], proofs: Sequence[Proof | None]) -> Practice | None:
    whole, *parts = (proof if proof and proof.state == "proven" else None for proof in proofs)
    if whole:
        return Practice(kind, whole.run or 0, whole.date)
    those = {name: proof for name, proof in zip(components, parts, strict=True) if proof}
    if not those:
        return None
    last = max(those.values(), key=lambda proof: proof.run or 0)
    return Practice(kind, last.run or 0, last.date, tuple(those))


def _history(runs: Sequence[PhaseRun], scope: str) -> History:
    there = [run for run in runs if run.run.scope == scope]
    known = {r.id: PastRun(r.id, r.scope, r.verb, r.started, r.finished, r.outcome) for r in (run.run for run in there)}
    ended = sorted((node.finished or node.started, run.run.id, node.node, node) for run in there for node in run.nodes)
    rows = [(number, name, node.outcome, (node.error or {}).get("kind")) for _, number, name, node in ended]
    return History(scope, known, rows)
