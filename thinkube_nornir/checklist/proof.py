"""What the journal proves of a component or a phase. Pure: records, catalog and inventory in, proofs out.

red         a check of its own failed while it was set up nowhere
setup       each step of set-up went well on each host of its group, and nothing was rolled back since
verify      each check holds on each host, and none is older than a rollback or than a set-up that changed something
rollback    each step of rollback went well on each host, and there was something to undo
second-run  (of a phase) one run of all its components on all their hosts changed nothing

Dry runs prove nothing, and neither do runs that were killed. A check that was asked for and did not run proves nothing
either. A proof cites the run that completed it, so that to verify again does not alter what is written down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from thinkube_nornir.checklist.names import COMPONENT_KINDS
from thinkube_nornir.checklist.replay import Cell, ComponentState, PhaseState, replay
from thinkube_nornir.checklist.task_line import Evidence

if TYPE_CHECKING:
    from nornir.core.inventory import Inventory

    from thinkube_nornir.catalog import Catalog
    from thinkube_nornir.checklist.history import History, PastRun

State = Literal["proven", "refuted", "unknown"]

_VERBS: Mapping[str, str] = {"red": "verify", "setup": "run", "verify": "verify", "rollback": "rollback"}
_NEVER: Mapping[str, str] = {"setup": "not set up", "verify": "not verified", "rollback": "no rollback seen"}


@dataclass(frozen=True)
class Proof:
    identifier: str
    """`phase5.coredns/verify`."""
    state: State
    run: int | None = None
    """The run that completed the proof, or that refuted it."""
    date: str = ""
    """That run's, in local time: 2026-11-27."""
    reason: str = ""
    """Why it is refuted, or what is missing."""
    command: tuple[str, ...] = ()
    """What proves it, without the program's name: `("verify", "phase5.coredns")`."""


@dataclass(frozen=True)
class Proofs:
    """Everything that this project's journal says of the hosts of its target."""

    history: History
    by_identifier: Mapping[str, Proof]

    @property
    def place(self) -> str:
        return self.history.place

    def evidence(self, proof: Proof) -> Evidence:
        """What is written down for what is proven."""
        return Evidence(proof.date, proof.run, self.place)

    def run(self, evidence: Evidence) -> PastRun | None:
        """The run that evidence cites; None when that is in another journal, which has its own numbers."""
        run = self.history.runs.get(evidence.run or 0)
        return run if run and run.date == evidence.date and run.place == evidence.place else None


def read_proofs(config: Path) -> Proofs:
    """Prove what can be proven for the project of this config.yaml.

    Raises:
        ConfigError: configuration, inventory, tasks or journal cannot be read.
    """
    from thinkube_nornir import catalog
    from thinkube_nornir.checklist.history import read_history
    from thinkube_nornir.project import load_hosts

    loaded, inventory, _ = load_hosts(config)
    history = read_history(loaded)
    return Proofs(history, prove(history, catalog.load(loaded.tasks), inventory))


def prove(history: History, catalog: Catalog, inventory: Inventory) -> Mapping[str, Proof]:
    """A proof, in one of its three states, for each identifier that the catalog's components and phases have."""
    components, phases = replay(history, catalog, inventory)
    proofs = [_of_component(component, kind, history) for component in components for kind in COMPONENT_KINDS]
    found = {proof.identifier: proof for proof in proofs}
    for phase in phases:
        for kind in COMPONENT_KINDS:
            parts = [found[f"{c.name}/{kind}"] for c in phase.components if c.hosts]
            found[f"{phase.name}/{kind}"] = _together(phase, kind, parts)
        found[f"{phase.name}/second-run"] = _second_run(phase, history)
    return found


def _of_component(component: ComponentState, kind: str, history: History) -> Proof:
    identifier, command = f"{component.name}/{kind}", (_VERBS[kind], component.name)
    if not component.hosts:
        reason = f"no host of the inventory is in its group, {component.group}"
        return Proof(identifier, "unknown", reason=reason, command=("inventory",))
    if kind == "red":
        return _red(component, identifier, history)
    cells = component.cells[kind]
    if not cells:
        return Proof(identifier, "unknown", reason=f"it has no steps of {kind}", command=("list", "-v"))
    completed = [cell.since for cell in cells if cell.since is not None]
    if len(completed) == len(cells):
        return Proof(identifier, "proven", max(completed), history.runs[max(completed)].date, command=command)
    if kind == "verify" and any(cell.since is None for cell in component.cells["setup"]):
        command = ("run", component.name)
    refuting = [cell.loss.run for cell in cells if cell.loss and cell.loss.refutes]
    if refuting:
        run = max(refuting)
        reason = _reason([cell for cell in cells if cell.loss and cell.loss.refutes and cell.loss.run == run], kind)
        return Proof(identifier, "refuted", run, history.runs[run].date, reason, command)
    return Proof(identifier, "unknown", reason=_reason([c for c in cells if c.since is None], kind), command=command)


def _red(component: ComponentState, identifier: str, history: History) -> Proof:
    if component.red is not None:
        return Proof(identifier, "proven", component.red, history.runs[component.red].date)
    if component.set_up:
        reason = "it was set up before any check of its own was seen to fail; roll it back, then verify"
        return Proof(identifier, "unknown", reason=reason, command=("rollback", component.name))
    reason = "no check of its own was seen to fail yet"
    return Proof(identifier, "unknown", reason=reason, command=("verify", component.name))


def _reason(cells: Sequence[Cell], kind: str) -> str:
    """What became of these cells, those of one kind and run together."""
    groups: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.loss.kind, cell.loss.run) if cell.loss else ("", 0), []).append(cell)
    return "; ".join(_sentence(lost, run, group, kind) for (lost, run), group in groups.items())


def _sentence(lost: str, run: int, cells: Sequence[Cell], kind: str) -> str:
    hosts = _listed(cell.host for cell in cells)
    steps = _listed(cell.step for cell in cells)
    return {
        "": f"{_NEVER[kind]} on {hosts}",
        "failed": f"run {run}: {steps} failed on {hosts}",
        "set-up failed": f"run {run} failed to set it up on {hosts}",
        "rolled back": f"run {run} rolled it back on {hosts}",
        "half undone": f"run {run} tried to roll it back on {hosts}, and did not get to the end",
        "changed": f"run {run} changed it, and it was not verified since on {hosts}",
        "not run": f"run {run} did not get to {steps} on {hosts}",
    }[lost]


def _together(phase: PhaseState, kind: str, parts: Sequence[Proof]) -> Proof:
    """A phase's proof: that of all its components that have hosts."""
    identifier, command = f"{phase.name}/{kind}", (_first_verb(kind, parts), phase.name)
    if not parts:
        reason = "no host of the inventory is in a group of its components"
        return Proof(identifier, "unknown", reason=reason, command=("inventory",))
    if any(part.state == "refuted" for part in parts):
        last = max((p for p in parts if p.state == "refuted"), key=lambda p: p.run or 0)
        return Proof(identifier, "refuted", last.run, last.date, f"{_subject(last)}: {last.reason}", command)
    if lacking := [part for part in parts if part.state == "unknown"]:
        reason = "; ".join(f"{_subject(part)}: {part.reason}" for part in lacking)
        return Proof(identifier, "unknown", reason=reason, command=command)
    last = max(parts, key=lambda p: p.run or 0)
    return Proof(identifier, "proven", last.run, last.date, command=command)


def _first_verb(kind: str, parts: Sequence[Proof]) -> str:
    """What comes first: what is not set up is not verified, and what is set up is not seen red."""
    verbs = {part.command[0] for part in parts if part.state != "proven"}
    return next((verb for verb in ("rollback", "run") if verb in verbs), _VERBS[kind])


def _second_run(phase: PhaseState, history: History) -> Proof:
    identifier, command = f"{phase.name}/second-run", ("run", phase.name)
    if phase.second_run is None:
        reason = "no run of the whole phase on all of its hosts changed nothing yet"
        return Proof(identifier, "unknown", reason=reason, command=command)
    date = history.runs[phase.second_run].date
    return Proof(identifier, "proven", phase.second_run, date, command=command)


def _subject(proof: Proof) -> str:
    return proof.identifier.partition("/")[0]


def _listed(words: Iterable[str], most: int = 4) -> str:
    """List each name once; the rest of a long list is counted."""
    every = list(dict.fromkeys(words))
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
