"""Hosts, networks and clusters of an installation, as plain values; what they are is said by the tasks folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nornir.core.inventory import Inventory


@dataclass(frozen=True)
class PlacedHost:
    name: str
    kind: str = ""
    """In one or two words: `virtual machine`."""
    runs_on: str = ""
    """The host that this one is a guest of."""
    notes: tuple[str, ...] = ()
    """What is particular about it: a card, a service."""


@dataclass(frozen=True)
class Network:
    name: str
    cidr: str
    addresses: Mapping[str, str]
    """Host to its address in this network."""
    others: Mapping[str, str] = field(default_factory=dict)
    """What is no host and has addresses here: `gateway` to `192.168.1.1`."""


@dataclass(frozen=True)
class Cluster:
    name: str
    leaders: tuple[str, ...]
    """Hosts in the leading role."""
    members: tuple[str, ...]
    """All other hosts that belong to it."""
    leading_role: str = "leader"
    role: str = "member"


@dataclass(frozen=True)
class Topology:
    hosts: tuple[PlacedHost, ...]
    networks: tuple[Network, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    """What holds for the installation as a whole: `domain` to `home.example`."""


def topology_of(package: ModuleType, inventory: Inventory) -> Topology:
    """Ask the tasks package for the topology; without an answer it is hosts and their groups.

    `TOPOLOGY = "topology"` in its `__init__` names the module whose function `topology(inventory)` knows: a name, as
    for SETTINGS, so that finding the components does not import it.
    """
    name = getattr(package, "TOPOLOGY", None)
    if name is None:
        hosts = inventory.hosts.values()
        return Topology(tuple(PlacedHost(host.name, notes=tuple(g.name for g in host.groups)) for host in hosts))
    known: Callable[[Inventory], Topology] = import_module(f"{package.__name__}.{name}").topology
    return known(inventory)


def in_order(topology: Topology) -> list[tuple[PlacedHost, int]]:
    """Yield each host with how deep it is nested: guests follow the host that they run on."""
    names = {host.name for host in topology.hosts}
    guests: dict[str, list[PlacedHost]] = {}
    for host in topology.hosts:
        guests.setdefault(host.runs_on if host.runs_on in names else "", []).append(host)
    ordered: list[tuple[PlacedHost, int]] = []
    waiting = [(host, 0) for host in reversed(guests.pop("", []))]
    while waiting:
        host, depth = waiting.pop()
        ordered.append((host, depth))
        waiting += [(guest, depth + 1) for guest in reversed(guests.pop(host.name, []))]
    return [*ordered, *((host, 0) for rest in guests.values() for host in rest)]  # hosts that run on each other
