"""Before a run relies on its journal: what hosts and clusters remember; before a rollback: what needs what is to go."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from nornir.core import Nornir
from nornir.core.inventory import Inventory
from nornir.core.task import Result, Task

from thinkube_nornir.catalog import Catalog, Entry
from thinkube_nornir.change_log import ChangeLog
from thinkube_nornir.component import Here, Step
from thinkube_nornir.context import Context, context
from thinkube_nornir.errors import ConfigError, Problem, ThinkubeError, Unreachable
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.plan import Node, Plan
from thinkube_nornir.program import command
from thinkube_nornir.remote.on_host_state import adopt_on_host_state
from thinkube_nornir.runner import execute

if TYPE_CHECKING:
    from thinkube_nornir.cluster import Cluster

_ENGINE = "engine"


class Recall:
    """Has the change log agree with a host and with the clusters that are reached through it, once in a run.

    `CLUSTERS = "cluster"` in the `__init__` of the tasks package names the module whose function `clusters(task)` opens
    those: a name, so that finding the components does not import it. Thread-safe.
    """

    def __init__(self, package: ModuleType) -> None:
        self._package = package
        self._known: set[str] = set()
        self._lost: dict[str, Unreachable] = {}
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def __call__(self, task: Task) -> None:
        """
        Raises:
            ThinkubeError: the host answers, and what it remembers cannot be read.
        """
        host, run = task.host.name, context(task)
        with self._locks[host]:
            if host not in self._known:
                try:
                    run.recalled.add(host, adopt_on_host_state(task))
                    self._ask_clusters(task)
                except Unreachable as error:  # a step that touches no host goes on, any other fails with it
                    self._lost[host] = error
                self._known.add(host)
        if lost := self._lost.get(host):
            run.roster.losses.setdefault(host, lost)

    def _ask_clusters(self, task: Task) -> None:
        """A cluster that does not answer stops nobody here: what relies on it asks again."""
        name = getattr(self._package, "CLUSTERS", None)
        if name is None:
            return
        clusters: Callable[[Task], list[Cluster]] = import_module(f"{self._package.__name__}.{name}").clusters
        host, run = task.host.name, context(task)
        try:
            there = clusters(task)
            for kube in there:
                from thinkube_nornir.cluster.managed import adopt_now  # only a run that meets a cluster needs it

                adopt_now(kube)
            if not there:  # what was changed in one that has gone went with it
                run.recalled.add(host, run.change_log.take_over(host, (), of_cluster=True))
        except Unreachable:
            raise
        except ThinkubeError as error:
            run.recalled.unasked[host] = error.what


def recall(nornir: Nornir, context: Context, hosts: Sequence[str]) -> None:
    """Let the change log know, before anything else, what all of the hosts remember.

    A host that does not answer is passed over here; its steps will say so.

    Raises:
        ThinkubeError: what a host remembers cannot be read, and must not be guessed.
        KeyboardInterrupt: the operator ended it, and nothing was changed.
    """
    step = Step(remember)
    nodes = [Node(f"{_ENGINE}/rollback/{step.name}@{host}", _ENGINE, "rollback", step, host) for host in hosts]
    run = execute(Plan("rollback", tuple(nodes)), nornir, context)
    if run.interrupted:
        raise KeyboardInterrupt
    for result in run.results.values():
        if isinstance(error := result.exception, ThinkubeError):
            error.what = f"{result.host}: {error.what}"
            raise error


def remember(task: Task) -> Result:
    """What it has to do was done before it: see Context.recall."""
    return unchanged(task, f"{task.host.name} was asked what was changed there")


def concerned(catalog: Catalog, entries: Sequence[Entry], inventory: Inventory, selected: Sequence[str]) -> list[str]:
    """The selected hosts, and those that may have something that needs the entries."""
    groups = {e.component.group for e in catalog.dependents(entries)}
    return [
        name
        for name, host in inventory.hosts.items()
        if name in selected or any(host.has_parent_group(group) for group in groups)
    ]


def refuse_while_needed(
    catalog: Catalog,
    entries: Sequence[Entry],
    inventory: Inventory,
    selected: Sequence[str],
    change_log: ChangeLog,
    asked: Sequence[str] = (),
) -> None:
    """Raise when something managed, that needs one of the entries, would be left standing on nothing.

    Args:
        asked: the selection as it was typed, where no filter narrows it; what to type in its place is proposed then.

    Raises:
        ConfigError: with each such component and its hosts.
    """
    going = {(e.name, host) for e in entries for host in selected if _gets(inventory, e, host)}
    shaken = set(going)
    for entry in catalog.entries:  # sorted by need: one pass finds the indirect ones too
        somewhere = {name for name, _ in shaken}
        for host in (h for h in inventory.hosts if _gets(inventory, entry, h)):
            needs = entry.component.needs
            if any((need, host) in shaken if isinstance(need, Here) else need in somewhere for need in needs):
                shaken.add((entry.name, host))
    left, found = shaken - going, dict[str, list[str]]()
    for name, host in ((e.name, h) for e in catalog.entries for h in inventory.hosts):
        if (name, host) in left and change_log.changes(host=host, component=name):
            found.setdefault(name, []).append(host)
    if found:
        together = command("rollback", *_together(found, asked)) if asked else ""
        problems = [_problem(name, hosts, entries, together) for name, hosts in found.items()]
        raise ConfigError(problems)


def _gets(inventory: Inventory, entry: Entry, host: str) -> bool:
    return bool(inventory.hosts[host].has_parent_group(entry.component.group))


def _together(found: Iterable[str], asked: Sequence[str]) -> list[str]:
    """What needs it, as whole phases where nothing of them was asked for, and what was asked for."""
    phases = {name.partition(".")[0] for name in asked}
    more = (phase if (phase := name.partition(".")[0]) not in phases else name for name in found)
    return list(dict.fromkeys([*more, *asked]))


def _problem(name: str, hosts: Sequence[str], entries: Sequence[Entry], together: str) -> Problem:
    needed = ", ".join(e.name for e in entries)
    return Problem(
        "rollback",
        f"{name} on {', '.join(hosts)} still needs {needed}",
        f"roll {name} back first, or together with it on all of its hosts" + (f": `{together}`" if together else ""),
    )
