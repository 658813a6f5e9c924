"""Before a rollback: what the hosts themselves remember as ours, and what still stands on what is to go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nornir.core import Nornir
from nornir.core.inventory import Inventory
from nornir.core.task import Result, Task

from thinkube_nornir.catalog import Catalog, Entry
from thinkube_nornir.change_log import ChangeLog
from thinkube_nornir.component import Here, Step
from thinkube_nornir.context import Context
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.plan import Node, Plan
from thinkube_nornir.program import command
from thinkube_nornir.remote.on_host_state import adopt_on_host_state
from thinkube_nornir.runner import execute

_ENGINE = "engine"


def recall(nornir: Nornir, context: Context, hosts: Sequence[str]) -> None:
    """Enter into the change log what the hosts remember and it lacks: another controller may have set them up.

    A host that does not answer is passed over here; its steps of the rollback will say so.
    """
    step = Step(remember)
    nodes = [Node(f"{_ENGINE}/rollback/{step.name}@{host}", _ENGINE, "rollback", step, host) for host in hosts]
    execute(Plan("rollback", tuple(nodes)), nornir, context)


def remember(task: Task) -> Result:
    return unchanged(task, f"{len(adopt_on_host_state(task))} changes were known to the host alone")


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
    """Raise when something of ours, that needs one of the entries, would be left standing on nothing.

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
