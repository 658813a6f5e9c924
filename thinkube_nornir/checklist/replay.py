"""Plays the results of the journal's runs in the order of time, and keeps what each step on each host still stands for.

A run whose end is unknown (killed, or still at work) proves nothing; what it may have changed counts all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from thinkube_nornir.errors import ConfigError
from thinkube_nornir.plan import make

if TYPE_CHECKING:
    from nornir.core.inventory import Inventory

    from thinkube_nornir.catalog import Catalog, Entry
    from thinkube_nornir.checklist.history import History, PastRun
    from thinkube_nornir.plan import Node

CHAINS = ("setup", "verify", "rollback")
_GOOD = ("unchanged", "passed", "changed")

LossKind = Literal["failed", "set-up failed", "rolled back", "half undone", "changed", "not run"]


@dataclass(frozen=True)
class Loss:
    """Why a cell stands for nothing any more."""

    kind: LossKind
    run: int

    @property
    def refutes(self) -> bool:
        """Whether it says no; the other kinds leave it open."""
        return self.kind not in ("changed", "not run")


@dataclass
class Cell:
    """One step of a component on one host."""

    component: ComponentState
    node: str
    step: str
    host: str
    since: int | None = None
    """The first run since which it has gone well."""
    last: int | None = None
    """The last run in which it did."""
    loss: Loss | None = None

    def holds(self, run: int) -> None:
        self.last = run
        if self.since is None:
            self.since, self.loss = run, None

    def lose(self, kind: LossKind, run: int) -> None:
        self.since, self.loss = None, Loss(kind, run)


@dataclass
class ComponentState:
    name: str
    phase: str
    group: str
    hosts: tuple[str, ...]
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    """By chain."""
    set_up: set[str] = field(default_factory=set)
    """Hosts on which set-up made changes that no rollback has undone."""
    red: int | None = None
    """The first run in which a check of its own failed while it was set up nowhere."""
    altered: int | None = None
    """The last run in which set-up altered something, or may have."""
    busy_until: float = 0.0
    """When that run ended: what was checked before may be of the time before."""
    undone: dict[str, Loss] = field(default_factory=dict)
    """Host to its last rollback."""
    at_stake: dict[str, int] = field(default_factory=dict)
    """Host to the last rollback that had something to undo there: another one proves nothing."""


@dataclass
class PhaseState:
    name: str
    components: tuple[ComponentState, ...]
    second_run: int | None = None
    """The first run of all its components on all their hosts that changed nothing."""
    quiet: Counter[int] = field(default_factory=Counter)
    """Run to its steps of set-up that changed nothing."""

    @property
    def steps(self) -> int:
        return sum(len(c.cells["setup"]) for c in self.components)


def replay(
    history: History, catalog: Catalog, inventory: Inventory
) -> tuple[tuple[ComponentState, ...], tuple[PhaseState, ...]]:
    """The states of all components and phases after all runs."""
    nodes = [node for verb in ("run", "rollback") for node in _planned(catalog, inventory, verb)]
    components = tuple(_component(entry, nodes) for entry in catalog.entries)
    names = dict.fromkeys(c.phase for c in components)
    phases = {name: PhaseState(name, tuple(c for c in components if c.phase == name)) for name in names}
    cells = {cell.node: cell for c in components for chain in c.cells.values() for cell in chain}
    for number, node, outcome, kind in history.rows:
        run, cell = history.runs[number], cells.get(node)
        if cell is None:
            continue
        if "/verify/" in node:
            _play_check(cell, run, outcome, kind)
        elif "/setup/" in node:
            _play_setup(cell, run, outcome, phases[cell.component.phase])
        else:
            _play_rollback(cell, run, outcome, kind)
    for phase in phases.values():
        phase.second_run = _second_run(phase, history)
    return components, tuple(phases.values())


def _planned(catalog: Catalog, inventory: Inventory, verb: str) -> Sequence[Node]:
    """What a run of everything on all hosts consists of; nothing where no host gets anything."""
    try:
        return make(catalog, catalog.entries, inventory, tuple(inventory.hosts), verb).nodes
    except ConfigError:
        return ()


def _component(entry: Entry, nodes: Sequence[Node]) -> ComponentState:
    own = [node for node in nodes if node.component == entry.name]
    state = ComponentState(entry.name, entry.phase, entry.component.group, tuple(dict.fromkeys(n.host for n in own)))
    state.cells = {chain: [Cell(state, n.id, n.step.name, n.host) for n in own if n.chain == chain] for chain in CHAINS}
    return state


def _play_check(cell: Cell, run: PastRun, outcome: str | None, kind: str | None) -> None:
    component = cell.component
    if run.outcome is None:
        return
    if outcome in _GOOD:
        # A verify needs no lock, and may have looked while another run was changing things.
        if component.altered == run.id or run.started >= component.busy_until:
            cell.holds(run.id)
    elif outcome == "failed":
        cell.lose("failed", run.id)
        if kind == "CheckFailed" and component.red is None and not component.set_up:
            component.red = run.id
    elif cell.since is not None:
        cell.lose("not run", run.id)


def _play_setup(cell: Cell, run: PastRun, outcome: str | None, phase: PhaseState) -> None:
    component = cell.component
    if outcome in ("changed", "failed", None):
        component.set_up.add(cell.host)
        _alter(component, run)
    if outcome == "failed":
        for check in component.cells["verify"]:
            if check.host == cell.host:
                check.lose("set-up failed", run.id)
    if run.outcome is None:
        return
    if outcome in _GOOD or _passed_over(run, outcome):
        cell.holds(run.id)
        phase.quiet[run.id] += outcome != "changed"
    elif outcome == "failed":
        cell.lose("failed", run.id)


def _alter(component: ComponentState, run: PastRun) -> None:
    """Checks on any of its hosts are worth nothing now; those of the same run come after the changes."""
    component.altered = run.id
    component.busy_until = max(component.busy_until, run.finished or run.started)
    for check in component.cells["verify"]:
        if check.last == run.id and check.since is not None:
            check.since = run.id
        elif check.since is not None or (check.loss and check.loss.run != run.id):
            check.lose("changed", run.id)


def _play_rollback(cell: Cell, run: PastRun, outcome: str | None, kind: str | None) -> None:
    if kind == "Refused" or outcome == "skipped":  # nothing was undone
        if _passed_over(run, outcome):
            cell.holds(run.id)
        return
    component = cell.component
    if outcome == "changed" or cell.host in component.set_up:
        component.at_stake[cell.host] = run.id
    _undo(component, cell.host, run, whole=outcome in _GOOD)
    if run.outcome is None:
        return
    if outcome in _GOOD:
        if component.at_stake.get(cell.host) == run.id:
            cell.holds(run.id)
    else:
        cell.lose("failed", run.id)


def _undo(component: ComponentState, host: str, run: PastRun, *, whole: bool) -> None:
    """One step of a rollback ran on this host; one that failed leaves the host in between."""
    loss, half = Loss("rolled back" if whole else "half undone", run.id), Loss("half undone", run.id)
    known = component.undone.get(host)
    first = known not in (loss, half)
    component.undone[host] = loss = loss if first or known is None else known
    component.busy_until = max(component.busy_until, run.finished or run.started)
    if first:
        (component.set_up.discard if whole else component.set_up.add)(host)
    for other in (*component.cells["setup"], *component.cells["verify"]):
        if other.host == host and (first or other.since is not None):
            other.lose(loss.kind, run.id)


def _passed_over(run: PastRun, outcome: str | None) -> bool:
    """Whether a step itself found that it has nothing to do: in a run that went well nothing stood in its way."""
    return outcome == "skipped" and run.outcome == "done"


def _second_run(phase: PhaseState, history: History) -> int | None:
    """The first run of the whole phase that changed nothing."""
    complete = (run for run in sorted(phase.quiet) if phase.quiet[run] == phase.steps)
    return next((run for run in complete if history.runs[run].outcome == "done"), None)
