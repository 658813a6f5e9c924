"""Before a rollback: what the hosts themselves remember as ours, and what still stands on what is to go."""

from __future__ import annotations

from collections.abc import Sequence

from nornir.core import Nornir
from nornir.core.inventory import Inventory
from nornir.core.task import Result, Task

from thinkube_nornir.catalog import Catalog, Entry
from thinkube_nornir.component import Step
from thinkube_nornir.context import Context
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.ledger import Ledger
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.plan import Node, Plan
from thinkube_nornir.remote.host_part import adopt_host_part
from thinkube_nornir.runner import carry_out

_ENGINE = "engine"


def recall(nornir: Nornir, context: Context, hosts: Sequence[str]) -> None:
    """Enter into the ledger what the hosts remember and it lacks: another controller may have set them up.

    A host that does not answer is passed over here; its steps of the rollback will say so.
    """
    step = Step(remember)
    nodes = [Node(f"{_ENGINE}/rollback/{step.name}@{host}", _ENGINE, "rollback", step, host) for host in hosts]
    carry_out(Plan("rollback", tuple(nodes)), nornir, context)


def remember(task: Task) -> Result:
    return unchanged(task, f"{len(adopt_host_part(task))} changes were known to the host alone")


def concerned(catalog: Catalog, entries: Sequence[Entry], inventory: Inventory, selected: Sequence[str]) -> list[str]:
    """The selected hosts, and those that may have something that needs the entries."""
    groups = {e.component.group for e in catalog.dependents(entries)}
    return [
        name
        for name, host in inventory.hosts.items()
        if name in selected or any(host.has_parent_group(group) for group in groups)
    ]


def refuse_while_needed(
    catalog: Catalog, entries: Sequence[Entry], inventory: Inventory, selected: Sequence[str], ledger: Ledger
) -> None:
    """Raise when something of ours, that needs one of the entries, would be left standing on nothing.

    Raises:
        ConfigError: with each such component and its hosts.
    """
    left = [(e, host) for e in catalog.dependents(entries) for host in inventory.hosts]
    left += [(e, host) for e in entries for host in inventory.hosts if host not in selected and _is_needed(e, entries)]
    found: dict[str, list[str]] = {}
    for entry, host in left:
        if ledger.changes(host=host, component=entry.name):
            found.setdefault(entry.name, []).append(host)
    if found:
        problems = [_problem(name, hosts, entries) for name, hosts in found.items()]
        raise ConfigError(problems)


def _is_needed(dependent: Entry, entries: Sequence[Entry]) -> bool:
    """Whether a selected component stands on another selected one, so that all of its hosts have to go first."""
    return bool(set(dependent.component.needs) & {e.name for e in entries})


def _problem(name: str, hosts: Sequence[str], entries: Sequence[Entry]) -> Problem:
    needed = ", ".join(e.name for e in entries)
    return Problem(
        "rollback",
        f"{name} on {', '.join(hosts)} still needs {needed}",
        f"roll {name} back first, or together with it on all of its hosts",
    )
