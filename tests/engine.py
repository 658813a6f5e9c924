"""Small catalogs, inventories and contexts, so that the engine is tried without hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from nornir.core import Nornir
from nornir.core.configuration import Config as NornirConfig
from nornir.core.inventory import Defaults, Group, Groups, Host, Hosts, Inventory, ParentGroups
from nornir.core.state import GlobalState
from nornir.core.task import Result, Task

from tests.fake_host import MemoryChangeLog
from thinkube_nornir.catalog import Catalog, Entry
from thinkube_nornir.component import Chain, Component, StepFunction
from thinkube_nornir.config import Config
from thinkube_nornir.context import Context
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


def context(inventory: Inventory, **fields: Any) -> Context:
    return Context(**{"config": config(), "inventory": inventory, "change_log": MemoryChangeLog(), **fields})


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
