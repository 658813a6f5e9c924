"""The components of a tasks folder, found by looking, sorted by what they need."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType

from thinkube_nornir.component import Component
from thinkube_nornir.errors import ConfigError, Problem


@dataclass(frozen=True)
class Entry:
    """A component and the name under which an operator knows it."""

    name: str
    """`phase5.coredns`."""
    phase: str
    """`phase5`."""
    component: Component


@dataclass(frozen=True)
class Catalog:
    entries: tuple[Entry, ...]
    """Phase by phase; within a phase what is needed comes first, then by number."""
    package: ModuleType

    def select(self, wanted: Sequence[str]) -> tuple[Entry, ...]:
        """The entries that `phase5`, `phase5.coredns` or `all` name, each once, in the catalog's order.

        Raises:
            ConfigError: a name that is neither, with the nearest one.
        """
        problems = [_unknown(name, self._names()) for name in wanted if name not in self._names()]
        if problems or not wanted:
            raise ConfigError(problems or [Problem("selection", "nothing is selected", "name a phase, or `all`")])
        return tuple(e for e in self.entries if {"all", e.phase, e.name} & set(wanted))

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
        ConfigError: no such folder, no PHASES, a module without COMPONENT, an unknown need, a cycle.
    """
    package = _import_package(folder)
    phases = getattr(package, "PHASES", None)
    if phases is None:
        raise ConfigError([Problem(f"{folder.name}/__init__.py", "PHASES is missing: the phases' folders, in order")])
    found = [_phase_entries(folder, phase) for phase in phases]
    every = {entry.name: entry for entries in found for entry in entries}
    _refuse_unknown_needs(folder, every)
    return Catalog(tuple(entry for entries in found for entry in _sorted(folder, entries)), package)


def _import_package(folder: Path) -> ModuleType:
    if not (folder / "__init__.py").is_file():
        raise ConfigError([Problem(str(folder), "is not a tasks folder: it has no __init__.py")])
    loaded = sys.modules.get(folder.name)
    if loaded is not None and Path(loaded.__file__ or "").parent != folder:
        for name in [n for n in sys.modules if n == folder.name or n.startswith(f"{folder.name}.")]:
            del sys.modules[name]
    if str(folder.parent) not in sys.path:
        sys.path.insert(0, str(folder.parent))
    importlib.invalidate_caches()
    return importlib.import_module(folder.name)


def _phase_entries(folder: Path, phase: str) -> list[Entry]:
    if not (folder / phase).is_dir():
        raise ConfigError([Problem(f"{folder.name}/__init__.py", f"PHASES names {phase}, which is no folder here")])
    modules = sorted(p.stem for p in (folder / phase).glob("[!_]*.py"))
    return [_entry(folder, phase, module) for module in modules]


def _entry(folder: Path, phase: str, name: str) -> Entry:
    module = importlib.import_module(f"{folder.name}.{phase}.{name}")
    component = getattr(module, "COMPONENT", None)
    if not isinstance(component, Component):
        raise ConfigError([Problem(f"{folder.name}/{phase}/{name}.py", "declares no COMPONENT")])
    short = phase.partition("_")[0]
    return Entry(f"{short}.{name}", short, component)


def _refuse_unknown_needs(folder: Path, every: dict[str, Entry]) -> None:
    problems = [
        _unknown(need, list(every), where=f"{folder.name}: {entry.name} needs")
        for entry in every.values()
        for need in entry.component.needs
        if need not in every
    ]
    if problems:
        raise ConfigError(problems)


def _sorted(folder: Path, entries: list[Entry]) -> list[Entry]:
    """By need, and by number where needs leave it open."""
    by_name = {e.name: e for e in entries}
    sorter = TopologicalSorter({e.name: [n for n in e.component.needs if n in by_name] for e in entries})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise ConfigError([Problem(folder.name, f"components need each other in a circle: {cycle}")]) from None
    order: list[Entry] = []
    ready: list[Entry] = []
    while sorter.is_active():
        ready += [by_name[name] for name in sorter.get_ready()]
        ready.sort(key=lambda e: (e.component.number, e.name))
        order.append(ready.pop(0))
        sorter.done(order[-1].name)
    return order


def _unknown(name: str, names: Sequence[str], where: str = "selection") -> Problem:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}"
    return Problem(where, f"no phase or component is called {name!r}", hint)
