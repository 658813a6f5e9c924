"""Which hosts `-l/--limit` names."""

from __future__ import annotations

from nornir.core.inventory import Inventory

from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.program import command

_WHERE = "-l/--limit"


def select_hosts(inventory: Inventory, limit: str | None) -> list[str]:
    """Return the names of the selected hosts in the inventory's order.

    Args:
        limit: hosts, groups and `!` exclusions, comma separated: `microk8s,!bcn1`. With exclusions alone, all other
            hosts; None for all hosts.

    Raises:
        ConfigError: a name that is neither host nor group, or no host is left.
    """
    words = [] if limit is None else [word.strip() for word in limit.split(",")]
    names = [word.removeprefix("!").strip() for word in words]
    problems = [problem for name in names if (problem := _unknown(inventory, name))]
    if problems:
        raise ConfigError(problems)
    chosen = {h for word in words if not word.startswith("!") for h in _members(inventory, word)}
    excluded = {
        h for word, name in zip(words, names, strict=True) if word.startswith("!") for h in _members(inventory, name)
    }
    only_exclusions = all(word.startswith("!") for word in words)
    selected = [h for h in inventory.hosts if (only_exclusions or h in chosen) and h not in excluded]
    if not selected:
        raise ConfigError(
            [Problem(_WHERE, f"{limit or 'the inventory'} selects no host", f"see: `{command('inventory')}`")]
        )
    return selected


def _unknown(inventory: Inventory, name: str) -> Problem | None:
    known = [*inventory.hosts, *inventory.groups]
    if name in known:
        return None
    what = f"there is no host or group {name}" if name else "an empty name"
    return Problem(_WHERE, what, did_you_mean(name, known) if name else "separate names with one comma")


def _members(inventory: Inventory, name: str) -> list[str]:
    if name in inventory.hosts:
        return [name]
    return [host.name for host in inventory.hosts.values() if host.has_parent_group(name)]
