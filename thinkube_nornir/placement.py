"""Which steps run on which hosts: what a request selects, and what is only read because that needs it.

A step runs on each selected host of its component's group, or `on` the first host of another group, once for all of
them. When a filter leaves this host out, its checks stay, as they change nothing; its changes are left out, and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from nornir.core.inventory import Inventory

from thinkube_nornir.catalog import Catalog, Entry
from thinkube_nornir.component import CHECKS, Chain, ChainName, Here, Step
from thinkube_nornir.errors import ConfigError, Problem

CHAINS: Mapping[str, tuple[ChainName, ...]] = {
    "run": ("preconditions", "setup", "verify"),
    "verify": ("verify",),
    "rollback": ("rollback",),
}
"""Verb to the chains it executes, in order."""

Place = tuple[str, ChainName]
"""A component and one of its chains."""
Wanted = dict[Place, dict[str, bool]]
"""Host to whether the chain's steps for each host run there, or those alone that run once."""


@dataclass(frozen=True)
class Part:
    """What of one chain of one component runs on one host."""

    entry: Entry
    chain: ChainName
    host: str
    steps: tuple[tuple[int, Step], ...]
    """With their places in the chain; early ones first: they cannot wait for those that need other components."""
    whole: bool
    """Whether the steps for each host are among them, or those alone that run once."""
    prerequisite: bool = False

    @property
    def place(self) -> Place:
        return self.entry.name, self.chain

    @property
    def checks(self) -> bool:
        return self.chain in CHECKS

    @cached_property
    def ids(self) -> tuple[str, ...]:
        return tuple(self.id(step) for _, step in self.steps)

    def id(self, step: Step) -> str:
        return f"{self.entry.name}/{self.chain}/{step.name}@{self.host}"


def chain_of(entry: Entry, name: ChainName) -> Chain:
    chain: Chain = getattr(entry.component, name)
    return chain


@dataclass
class Placement:
    catalog: Catalog
    entries: Sequence[Entry]
    inventory: Inventory
    selected: Mapping[str, object]
    """Hosts; a mapping, because they are looked up for each component and step."""
    verb: str
    _groups: dict[str, dict[str, None]] = field(default_factory=dict)

    def parts(self) -> list[Part]:
        """Return the parts in the order of catalog, inventory and chains.

        Raises:
            ConfigError: not one step falls on one of the hosts; a step runs on a group that has none.
        """
        wanted = self._wanted()
        if not wanted:
            raise ConfigError([self._nothing()])
        if self.verb == "run":
            self._add_prerequisites(wanted)
        return [
            part
            for entry in self.catalog.entries
            for host in self.inventory.hosts
            for chain in CHAINS[self.verb]
            if (whole := wanted.get((entry.name, chain), {}).get(host)) is not None
            if (part := self._part(entry, chain, host, whole=whole)).steps
        ]

    def left_out(self) -> dict[str, tuple[str, ...]]:
        """Component to the hosts that would get, or change, something for it, and are not selected."""
        found = {}
        for entry in self.entries:
            concerned = {*self._members(entry.component.group)}
            for chain in CHAINS[self.verb]:
                concerned |= set() if chain in CHECKS else self._once(entry, chain)
            if out := tuple(h for h in self.inventory.hosts if h in concerned and h not in self.selected):
                found[entry.name] = out
        return found

    def _wanted(self) -> Wanted:
        found: Wanted = {}
        for entry in self.entries:
            own = [host for host in self._members(entry.component.group) if host in self.selected]
            for chain in CHAINS[self.verb] if own else ():
                once = [host for host in self._once(entry, chain) if chain in CHECKS or host in self.selected]
                if chain_of(entry, chain).steps:
                    found[entry.name, chain] = dict.fromkeys(once, False) | dict.fromkeys(own, True)
        return found

    def _add_prerequisites(self, wanted: Wanted) -> None:
        """Verify chains of what selected components need and is not selected itself."""
        by_name = {entry.name: entry for entry in self.catalog.entries}
        for entry in self.entries:
            hosts = {host for chain in CHAINS[self.verb] for host in wanted.get((entry.name, chain), ())}
            for need in entry.component.needs if hosts else ():
                members = self._members(by_name[need].component.group)
                at = wanted.setdefault((need, "verify"), {})
                if isinstance(need, Here):
                    at.update({host: True for host in hosts if host in members})
                else:
                    once = self._once(by_name[need], "verify") - at.keys()
                    at.update(dict.fromkeys(once, False) | dict.fromkeys(members, True))

    def _part(self, entry: Entry, chain: ChainName, host: str, *, whole: bool) -> Part:
        steps = (
            (number, step)
            for number, step in enumerate(chain_of(entry, chain).steps)
            if (whole if step.on is None else self._first(step.on, entry) == host)
        )
        outside = entry not in self.entries or host not in self.selected
        return Part(entry, chain, host, tuple(sorted(steps, key=lambda s: not s[1].early)), whole, outside)

    def _once(self, entry: Entry, chain: ChainName) -> set[str]:
        """Where steps of the chain run that run once."""
        return {self._first(step.on, entry) for step in chain_of(entry, chain).steps if step.on is not None}

    def _first(self, group: str, entry: Entry) -> str:
        for host in self._members(group):
            return host
        problem = Problem("inventory", f"group {group} has no host, and steps of {entry.name} run there")
        raise ConfigError([problem])

    def _members(self, group: str) -> Iterable[str]:
        if group not in self._groups:
            hosts = self.inventory.hosts.items()
            self._groups[group] = {name: None for name, host in hosts if host.has_parent_group(group)}
        return self._groups[group]

    def _nothing(self) -> Problem:
        groups = ", ".join(sorted({e.component.group for e in self.entries}))
        none = f"none of {', '.join(self.selected)} is in a group that gets it: {groups}"
        return Problem("selection", none, "see `inventory`")
