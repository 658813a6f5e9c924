"""The components of a tasks folder, found by looking, sorted by what they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType

from thinkube_nornir.component import Component
from thinkube_nornir.component_files import component_files
from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.task_modules import import_module, import_package


@dataclass(frozen=True)
class Entry:
    """A component and the name under which an operator knows it."""

    name: str
    """`phase5.coredns`."""
    phase: str
    """`phase5`."""
    component: Component
    file: Path = Path()
    """The module that declares it."""

    @property
    def where(self) -> str:
        """That module as errors show it: `tasks/phase5_core_services/ntp.py`."""
        return "/".join(self.file.parts[-4 if self.file.stem == "__init__" else -3 :])

    @property
    def folder(self) -> str:
        """The name of its phase's folder: `phase5_core_services`."""
        return self.where.split("/")[1]


@dataclass(frozen=True)
class Catalog:
    entries: tuple[Entry, ...]
    """Phase by phase; within a phase what is needed comes first, then by number."""
    package: ModuleType
    planned: tuple[str, ...] = ()
    """Phases that this version does not have yet, by their short names."""

    def select(self, wanted: Sequence[str]) -> tuple[Entry, ...]:
        """The entries that `phase5`, `phase5.coredns` or `all` name, each once, in the catalog's order.

        Raises:
            ConfigError: a name that is neither, with the nearest one.
        """
        names = self._names()
        problems = [self.no_phase(name) or _unknown(name, names) for name in wanted if name not in names]
        if problems or not wanted:
            raise ConfigError(problems or [Problem("selection", "nothing is selected", "name a phase, or `all`")])
        return tuple(e for e in self.entries if {"all", e.phase, e.name} & set(wanted))

    def no_phase(self, name: str, where: str = "selection") -> Problem | None:
        """What to say of a phase, or of one of its components, that is planned and not built."""
        phase = name.partition(".")[0]
        if phase not in self.planned:
            return None
        return Problem(where, f"{phase} is not built in this version", "it is taken as done: see to it by other means")

    def needed_by(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """What the given entries need directly and is not among them."""
        chosen = {e.name for e in entries}
        needed = {need for e in entries for need in e.component.needs} - chosen
        return tuple(e for e in self.entries if e.name in needed)

    def dependents(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """What needs one of the given entries, directly or not, and is not among them."""
        reached = {e.name for e in entries}
        chosen = frozenset(reached)
        for entry in self.entries:  # sorted by need: one pass finds the indirect ones too
            if reached & set(entry.component.needs):
                reached.add(entry.name)
        return tuple(e for e in self.entries if e.name in reached - chosen)

    def _names(self) -> list[str]:
        return ["all", *dict.fromkeys(e.phase for e in self.entries), *(e.name for e in self.entries)]


def load(folder: Path) -> Catalog:
    """Import the tasks package at `folder` and read its phases and components.

    Raises:
        ConfigError: no such folder; no PHASES; a phase's folder that PHASES does not name, or that is not there; a
            module that cannot be imported or has no COMPONENT; an unknown need; a cycle.
    """
    package = import_package(folder)
    found = [_phase_entries(folder, phase) for phase in _phases(folder, package)]
    every = {entry.name: entry for entries in found for entry in entries}
    _refuse_unknown_needs(every)
    planned = tuple(getattr(package, "PLANNED", ()))
    return Catalog(tuple(entry for entries in found for entry in _sorted(folder, entries)), package, planned)


def _phases(folder: Path, package: ModuleType) -> Sequence[str]:
    """PHASES, when it names exactly the folders there are, each with a short name of its own."""
    where = f"{folder.name}/__init__.py"
    phases = getattr(package, "PHASES", None)
    if not isinstance(phases, list | tuple):
        raise ConfigError([Problem(where, "PHASES is missing: a tuple with the phases' folders, in order")])
    problems = [
        Problem(where, f"PHASES names {phase}, which is no folder here")
        for phase in phases
        if not (folder / phase).is_dir()
    ]
    problems += [
        Problem(f"{folder.name}/{path.name}", "is a phase's folder, and PHASES does not name it", f"add it in {where}")
        for path in sorted(folder.glob("phase[0-9]*"))
        if path.is_dir() and path.name not in phases and component_files(path)
    ]
    short = [_short(phase) for phase in phases]
    problems += [
        Problem(where, f"PHASES has more than one folder for {name}") for name in set(short) if short.count(name) > 1
    ]
    if problems:
        raise ConfigError(problems)
    return phases


def _short(phase: str) -> str:
    """`phase5` for `phase5_core_services`."""
    return phase.partition("_")[0]


def _phase_entries(folder: Path, phase: str) -> list[Entry]:
    files = component_files(folder / phase)
    return [_entry(folder, phase, name, files[name]) for name in sorted(files)]


def _entry(folder: Path, phase: str, name: str, file: Path) -> Entry:
    module = import_module(folder, f"{folder.name}.{phase}.{name}")
    component = getattr(module, "COMPONENT", None)
    if not isinstance(component, Component):
        fix = "a component declares it; a module of helpers has a name that begins with _"
        raise ConfigError([Problem(str(file.relative_to(folder.parent)), "declares no COMPONENT", fix)])
    return Entry(f"{_short(phase)}.{name}", _short(phase), component, file)


def _refuse_unknown_needs(every: Mapping[str, Entry]) -> None:
    steps = {f"{e.name}.{step.name}" for e in every.values() for chain in e.component.chains for step in chain.steps}
    problems = [
        _unknown(need, list(every), _line(entry, need), "component")
        for entry in every.values()
        for need in entry.component.needs
        if need not in every
    ]
    problems += [
        _unknown(need, sorted(steps), _line(entry, need), "step")
        for entry in every.values()
        for chain in entry.component.chains
        for step in chain.steps
        for need in step.needs or ()
        if need not in steps
    ]
    if problems:
        raise ConfigError(problems)


def _line(entry: Entry, name: str) -> str:
    """Where a component's module has a name: with its line, when it stands there in one piece."""
    lines = entry.file.read_text().splitlines()
    found = [number for number, line in enumerate(lines, 1) if f'"{name}"' in line or f"'{name}'" in line]
    return f"{entry.where}:{found[0]}" if found else entry.where


def _sorted(folder: Path, entries: list[Entry]) -> list[Entry]:
    """Sort entries by need, and by number where needs leave it open."""
    by_name = {e.name: e for e in entries}
    sorter = TopologicalSorter({e.name: [n for n in e.component.needs if n in by_name] for e in entries})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise ConfigError([Problem(folder.name, f"components need each other in a cycle: {cycle}")]) from None
    order: list[Entry] = []
    ready: list[Entry] = []
    while sorter.is_active():
        ready += [by_name[name] for name in sorter.get_ready()]
        ready.sort(key=lambda e: (e.component.number, e.name))
        order.append(ready.pop(0))
        sorter.done(order[-1].name)
    return order


def _unknown(name: str, names: Sequence[str], where: str = "selection", kind: str = "phase or component") -> Problem:
    return Problem(where, f"no {kind} is called {name!r}", did_you_mean(name, names))
