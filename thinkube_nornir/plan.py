"""Phases x components x hosts to a Plan: a graph of (step, host) nodes. Pure: the same for plan, run and resume.

placement.py says which steps run on which hosts, relations.py which of them wait for which.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from nornir.core.inventory import Inventory

from thinkube_nornir.catalog import Catalog, Entry
from thinkube_nornir.component import Chain, ChainName, Step
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.garbage import nothing_collected
from thinkube_nornir.placement import Part, Placement, chain_of
from thinkube_nornir.relations import Relations


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
    """Nodes that must have succeeded, or gates of such."""
    after: frozenset[str] = frozenset()
    """Nodes that must have ended, well or not, or gates of such."""
    prerequisite: bool = False
    """Read-only, of a component or host outside the selection, because something selected needs it."""


@dataclass(frozen=True)
class Plan:
    verb: str
    nodes: tuple[Node, ...]
    """In an order in which they could run one by one."""
    gates: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """`phase5.coredns/verify@*` to its nodes on all hosts: so many hosts that wait for as many would be the square."""
    selected: frozenset[str] | None = None
    """The hosts that the run is for; None for all."""
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Component to the hosts that would get something of it, and are not selected."""

    @cached_property
    def by_id(self) -> Mapping[str, Node]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def dependents(self) -> Mapping[str, tuple[str, ...]]:
        """Node or gate to the nodes and gates that wait for it."""
        waiting: dict[str, list[str]] = {name: [] for name in (*(node.id for node in self.nodes), *self.gates)}
        for name, befores in _waits(self.nodes, self.gates):
            for before in befores:
                waiting[before].append(name)
        return {name: tuple(others) for name, others in waiting.items()}

    @cached_property
    def remaining(self) -> Mapping[str, float]:
        """Node to the length of the longest chain that starts with it: the critical path's measure."""
        ones = dict.fromkeys(self.by_id, 1.0)
        return {name: 1 + length for name, length in self.longest_after(ones).items()}

    def longest_after(self, lengths: Mapping[str, float]) -> dict[str, float]:
        """Node or gate to the length of the longest chain of nodes that wait for it."""
        return _longest([node.id for node in reversed(self.nodes)], self.dependents, lengths)

    def longest_before(self, lengths: Mapping[str, float]) -> dict[str, float]:
        """Node or gate to the length of the longest chain of nodes that it waits for."""
        return _longest(list(self.by_id), dict(_waits(self.nodes, self.gates)), lengths)

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(node.host for node in self.nodes))


def make(catalog: Catalog, entries: Sequence[Entry], inventory: Inventory, hosts: Collection[str], verb: str) -> Plan:
    """The graph for `verb` over the entries' steps, on those of `hosts` that are in each component's group.

    What selected components need and is outside the selection is verified first, read-only.

    Raises:
        ConfigError: not one step falls on one of the hosts; a step runs on a group without hosts.
    """
    with nothing_collected():
        plan = _make(catalog, entries, inventory, hosts, verb)
        _ = plan.remaining  # now, because it grows and stays like the plan itself
        return plan


def _make(catalog: Catalog, entries: Sequence[Entry], inventory: Inventory, hosts: Collection[str], verb: str) -> Plan:
    placement = Placement(catalog, entries, inventory, dict.fromkeys(hosts), verb)
    relations = Relations(placement.parts(), verb)
    nodes = [node for part in relations.parts for node in _nodes(relations, part)]
    gates = relations.gates
    return Plan(verb, _sorted(nodes, gates), gates, frozenset(hosts), placement.left_out())


def _nodes(relations: Relations, part: Part) -> Iterator[Node]:
    facts = chain_of(part.entry, part.chain)
    for number, (step, needs, after) in enumerate(relations.edges(part)):
        yield Node(
            id=part.id(step),
            component=part.entry.name,
            chain=part.chain,
            step=step,
            host=part.host,
            facts=facts if facts.facts and part.whole and not number else None,
            needs=needs,
            after=after,
            prerequisite=part.prerequisite,
        )


def _waits(nodes: Iterable[Node], gates: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, frozenset[str]]]:
    for node in nodes:
        yield node.id, node.needs | node.after
    yield from gates.items()


def _longest(
    nodes: Sequence[str], next_to: Mapping[str, Collection[str]], lengths: Mapping[str, float]
) -> dict[str, float]:
    """
    Args:
        nodes: each comes after those next to it; so do gates, which are not among them.
    """
    found: dict[str, float] = {}

    def of(name: str) -> float:
        return max((lengths.get(other, 0.0) + found[other] for other in next_to[name]), default=0.0)

    for node in nodes:
        found |= {gate: of(gate) for gate in next_to[node] if gate not in found}
        found[node] = of(node)
    return found


def _is_sorted(nodes: Sequence[Node], gates: Mapping[str, frozenset[str]], place: Mapping[str, int]) -> bool:
    """Whether each comes after all that it waits for: a graph library costs three times as much, and forgets hosts."""
    last = {gate: max((place.get(node, len(nodes)) for node in waited), default=-1) for gate, waited in gates.items()}
    return all(
        last.get(before, place.get(before, -1)) < number
        for number, node in enumerate(nodes)
        for before in node.needs | node.after
    )


def _sorted(nodes: list[Node], gates: Mapping[str, frozenset[str]]) -> tuple[Node, ...]:
    """Sort nodes so that they could run one by one; where needs leave it open, as they were made."""
    place = {node.id: number for number, node in enumerate(nodes)}
    if _is_sorted(nodes, gates, place):
        return tuple(nodes)
    sorter = TopologicalSorter(dict(_waits(nodes, gates)))
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise ConfigError([Problem("tasks", f"steps wait for each other in a cycle: {cycle}")]) from None
    ready: list[int] = []
    order: list[Node] = []
    while sorter.is_active():
        while names := sorter.get_ready():
            sorter.done(*(name for name in names if name in gates))
            for name in names:
                if name in place:
                    heapq.heappush(ready, place[name])
        if ready:
            order.append(nodes[heapq.heappop(ready)])
            sorter.done(order[-1].id)
    return tuple(order)
