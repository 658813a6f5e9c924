"""Small catalogs, inventories and contexts, so that the engine is tried without hosts."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from nornir.core import Nornir
from nornir.core.configuration import Config as NornirConfig
from nornir.core.inventory import Defaults, Group, Groups, Host, Hosts, Inventory, ParentGroups
from nornir.core.state import GlobalState
from nornir.core.task import Result, Task

from thinkube_nornir.catalog import Catalog, Entry
from thinkube_nornir.component import Chain, Component, StepFunction
from thinkube_nornir.config import Config
from thinkube_nornir.context import Context
from thinkube_nornir.ledger import Change
from thinkube_nornir.outcome import changed, unchanged


def inventory(groups: Mapping[str, Sequence[str]]) -> Inventory:
    """`{"workers": ["w1", "w2"]}`: hosts in the order in which they are first named."""
    made = Groups({name: Group(name) for name in groups})
    hosts: dict[str, Host] = {}
    for group, members in groups.items():
        for name in members:
            hosts.setdefault(name, Host(name, groups=ParentGroups())).groups.append(made[group])
    return Inventory(Hosts(hosts), made, Defaults())


def entry(name: str, group: str = "all", **chains: Any) -> Entry:
    """A component whose chains are given by keyword; those not given are empty."""
    fields: dict[str, Any] = {"title": name, "number": 10, "group": group}
    empty = {"setup": Chain(), "verify": Chain(), "rollback": Chain()}
    return Entry(name, name.partition(".")[0], Component(**{**fields, **empty, **chains}))


def catalog(*entries: Entry) -> Catalog:
    return Catalog(entries, ModuleType("no_tasks"))


def config(root: Path = Path("/nonexistent"), **settings: Any) -> Config:
    folders = {name: root / name for name in ("tasks", "templates", "inventory", "state")}
    return Config(root=root, target="ssh", **{**folders, **settings})


class MemoryLedger:
    """A ledger that forgets when the test ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes: dict[tuple[str, str], Change] = {}
        self._count = 0

    def intend(self, *, host: str, component: str, key: str, summary: str, before: Mapping[str, Any]) -> Change:
        with self._lock:
            if (host, key) not in self._changes:
                self._count += 1
                self._changes[host, key] = Change(self._count, host, component, key, summary, dict(before), "intended")
            return self._changes[host, key]

    def done(self, change: Change) -> None:
        self._set(change, "done")

    def undone(self, change: Change) -> None:
        with self._lock:
            self._changes.pop((change.host, change.key), None)

    def _set(self, change: Change, state: str) -> None:
        with self._lock:
            kept = {**self._changes[change.host, change.key].__dict__, "state": state}
            self._changes[change.host, change.key] = Change(**kept)

    def ours(self, host: str, key: str) -> Change | None:
        return self._changes.get((host, key))

    def changes(self, *, host: str | None = None, component: str | None = None) -> list[Change]:
        return [
            c
            for c in sorted(self._changes.values(), key=lambda c: c.id)
            if host in (None, c.host) and component in (None, c.component)
        ]


def context(inventory: Inventory, **fields: Any) -> Context:
    return Context(**{"config": config(), "inventory": inventory, "ledger": MemoryLedger(), **fields})


def nornir(inventory: Inventory) -> Nornir:
    return Nornir(inventory=inventory, config=NornirConfig(), data=GlobalState())


def quiet(name: str) -> StepFunction:
    """A step that finds nothing to do."""

    def step(task: Task) -> Result:
        return unchanged(task, f"{name} is as it should be")

    step.__name__ = name
    return step


def altering(name: str) -> StepFunction:
    """A step that changes something, or promises to."""

    def step(task: Task) -> Result:
        return changed(task, name, planned=task.is_dry_run())

    step.__name__ = name
    return step


def failing(name: str, error: Exception) -> StepFunction:
    def step(task: Task) -> Result:
        raise error

    step.__name__ = name
    return step
