"""Phases x components x hosts to a Plan: a graph of (step, host) nodes. Pure: the same for plan, run and resume.

Early preconditions (component.Step.early) come before the first change of a run, whichever component they belong to
and whatever that one needs. A host on which one of them fails is not changed at all. Other hosts only wait until all of
them have ended, and go on: one bad host does not stop them.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from nornir.core.inventory import Inventory

from thinkube_nornir.catalog import Catalog, Entry
from thinkube_nornir.component import Chain, ChainName, Step
from thinkube_nornir.errors import ConfigError, Problem

CHAINS: Mapping[str, tuple[ChainName, ...]] = {
    "run": ("preconditions", "setup", "verify"),
    "verify": ("verify",),
    "rollback": ("rollback",),
}
"""Verb to the chains it carries out, in order."""

CHECKS: tuple[ChainName, ...] = ("preconditions", "verify")
"""Chains that change nothing."""


@dataclass(frozen=True)
class Node:
    """One step on one host."""

    id: str
    """`phase5.coredns/setup/apply_corefile@tkc`."""
    component: str
    chain: ChainName
    step: Step
    host: str
    facts: Chain | None = None
    """On the first node of a chain: the chain whose facts are read before it."""
    needs: frozenset[str] = frozenset()
    """Nodes that must have succeeded."""
    after: frozenset[str] = frozenset()
    """Nodes that must have ended, well or not."""
    prerequisite: bool = False
    """Read-only, of a component or host outside the selection, because something selected needs it."""


@dataclass(frozen=True)
class Plan:
    verb: str
    nodes: tuple[Node, ...]
    """In an order in which they could run one by one."""

    @cached_property
    def by_id(self) -> Mapping[str, Node]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def followers(self) -> Mapping[str, tuple[str, ...]]:
        """Node to the nodes that wait for it."""
        waiting: dict[str, list[str]] = {node.id: [] for node in self.nodes}
        for node in self.nodes:
            for before in node.needs | node.after:
                waiting[before].append(node.id)
        return {node: tuple(others) for node, others in waiting.items()}

    @cached_property
    def remaining(self) -> Mapping[str, int]:
        """Node to the length of the longest chain that starts with it: the critical path's measure."""
        length: dict[str, int] = {}
        for node in reversed(self.nodes):
            length[node.id] = 1 + max((length[f] for f in self.followers[node.id]), default=0)
        return length

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(node.host for node in self.nodes))


def make(catalog: Catalog, entries: Sequence[Entry], inventory: Inventory, hosts: Collection[str], verb: str) -> Plan:
    """The graph for `verb` over the entries' steps, on those of `hosts` that are in each component's group.

    What selected components need and is outside the selection is verified first, read-only.

    Raises:
        ConfigError: not one step falls on one of the hosts.
    """
    members = {e.name: _members(inventory, e.component.group) for e in catalog.entries}
    parts = [
        _Part(entry, host, chain)
        for entry in entries
        for host in members[entry.name]
        if host in hosts
        for chain in CHAINS[verb]
        if getattr(entry.component, chain).steps
    ]
    if not parts:
        raise ConfigError([_nothing(entries, hosts)])
    if verb == "run":
        parts += _prerequisites(catalog, entries, parts, members)
    return Plan(verb, _sorted(_Graph(parts, verb).nodes()))


def _members(inventory: Inventory, group: str) -> list[str]:
    return [name for name, host in inventory.hosts.items() if host.has_parent_group(group)]


def _nothing(entries: Sequence[Entry], hosts: Collection[str]) -> Problem:
    groups = ", ".join(sorted({e.component.group for e in entries}))
    return Problem("selection", f"none of {', '.join(hosts)} is in a group that gets it: {groups}", "see `inventory`")


@dataclass(frozen=True)
class _Part:
    """One chain of one component on one host."""

    entry: Entry
    host: str
    chain: ChainName
    prerequisite: bool = False

    @property
    def steps(self) -> Chain:
        chain: Chain = getattr(self.entry.component, self.chain)
        return chain

    def id(self, step: Step) -> str:
        return f"{self.entry.name}/{self.chain}/{step.name}@{self.host}"

    @property
    def early(self) -> list[Step]:
        return [step for step in self.steps.steps if step.early]

    @property
    def ordered(self) -> list[Step]:
        """Early ones first: they cannot wait for those that need other components."""
        return [*self.early, *(step for step in self.steps.steps if not step.early)]

    @property
    def ids(self) -> list[str]:
        return [self.id(step) for step in self.ordered]

    @property
    def checks(self) -> bool:
        return self.chain in CHECKS


def _prerequisites(
    catalog: Catalog, entries: Sequence[Entry], parts: Sequence[_Part], members: Mapping[str, list[str]]
) -> list[_Part]:
    """Verify chains outside the selection that selected components need."""
    planned = {(part.entry.name, part.host) for part in parts}
    active = [e for e in entries if any(part.entry is e for part in parts)]
    needed = {need for e in active for need in e.component.needs}
    return [
        _Part(entry, host, "verify", prerequisite=True)
        for entry in catalog.entries
        if entry.name in needed
        for host in members[entry.name]
        if (entry.name, host) not in planned
    ]


@dataclass
class _Graph:
    parts: Sequence[_Part]
    verb: str
    _by_component: dict[str, list[_Part]] = field(default_factory=dict)
    _early: dict[str, list[str]] = field(default_factory=dict)
    """Host to its early preconditions, of all components."""
    _last_early: set[str] = field(default_factory=set)
    """Of each component and host, the one that comes after the others."""

    def __post_init__(self) -> None:
        for part in self.parts:
            self._by_component.setdefault(part.entry.name, []).append(part)
            early = [part.id(step) for step in part.early]
            self._early.setdefault(part.host, []).extend(early)
            self._last_early.update(early[-1:])

    def nodes(self) -> list[Node]:
        return [node for part in self.parts for node in self._part_nodes(part)]

    def _part_nodes(self, part: _Part) -> list[Node]:
        nodes: list[Node] = []
        crossed = False
        for step in part.ordered:
            before = frozenset([nodes[-1].id]) if nodes else frozenset[str]()
            needs = self._earlier_chains(part) if part.checks or not nodes else before
            after = before
            if step.needs is not None:
                needs |= self._named(step.needs, part.entry.name)
            elif not crossed and not step.early:
                needs |= self._other_components(part)
                crossed = not part.checks
            if part.chain == "setup" and not nodes:
                needs |= frozenset(self._early[part.host])
                after |= self._last_early
            nodes.append(
                Node(
                    id=part.id(step),
                    component=part.entry.name,
                    chain=part.chain,
                    step=step,
                    host=part.host,
                    facts=part.steps if not nodes and part.steps.facts else None,
                    needs=needs,
                    after=after - needs,
                    prerequisite=part.prerequisite,
                )
            )
        return nodes

    def _earlier_chains(self, part: _Part) -> frozenset[str]:
        """The chain before this one of the same component and host: all checks of it, or its last step."""
        chains = CHAINS[self.verb]
        index = chains.index(part.chain) if part.chain in chains else 0
        for name in reversed(chains[:index]):
            for other in self._by_component[part.entry.name]:
                if other.host == part.host and other.chain == name:
                    return frozenset(other.ids if other.checks else other.ids[-1:])
        return frozenset()

    def _other_components(self, part: _Part) -> frozenset[str]:
        """The default edge between components; see Step.needs."""
        if self.verb == "rollback":
            dependents = [p for p in self.parts if part.entry.name in p.entry.component.needs]
            return frozenset(p.ids[-1] for p in dependents)
        if self.verb == "verify" or part.chain == "verify":
            return frozenset()
        return self._verified(part.entry.component.needs)

    def _verified(self, components: Iterable[str]) -> frozenset[str]:
        """The last sign that components are usable: their verify chains, or what they have instead."""
        return frozenset(
            node
            for component in components
            for node in (
                [i for p in self._by_component.get(component, []) if p.chain == "verify" for i in p.ids]
                or [p.ids[-1] for p in self._by_component.get(component, [])]
            )
        )

    def _named(self, steps: Iterable[str], own: str) -> frozenset[str]:
        """Nodes of `phase5.microk8s_control.enable_addons` on all of its hosts; verified, where that is not planned.

        A component's own step that is not planned is waited for by nobody.
        """
        found: set[str] = set()
        for name in steps:
            component, _, step = name.rpartition(".")
            parts = self._by_component.get(component, [])
            nodes = {p.id(s) for p in parts for s in p.steps.steps if s.name == step}
            found |= nodes or (frozenset() if component == own else self._verified([component]))
        return frozenset(found)


def _sorted(nodes: list[Node]) -> tuple[Node, ...]:
    """In an order in which they could run one by one; where needs leave it open, as they were made."""
    place = {node.id: number for number, node in enumerate(nodes)}
    sorter = TopologicalSorter({node.id: node.needs | node.after for node in nodes})
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ConfigError([Problem("tasks", f"steps wait for each other in a circle: {circle}")]) from None
    ready: list[int] = []
    order: list[Node] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, place[name])
        order.append(nodes[heapq.heappop(ready)])
        sorter.done(order[-1].id)
    return tuple(order)
