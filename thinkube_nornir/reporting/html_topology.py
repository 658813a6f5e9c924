"""The topology as the page draws it: a row for each host, and past it a line for each network and each cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thinkube_nornir.reporting.topology import Cluster, Topology, in_order


@dataclass(frozen=True)
class Stop:
    """Where a line meets a row: whether it comes from above, goes on below, and what mark it has here."""

    above: bool
    below: bool
    mark: str
    """`member`, `leader`, or empty where the line only passes."""


@dataclass(frozen=True)
class Place:
    """A row: a host, or something else that has an address."""

    name: str
    kind: str
    depth: int
    addresses: Mapping[int, str]
    """By the number of the network's line."""
    roles: tuple[str, ...]
    notes: tuple[str, ...]
    stops: tuple[Stop, ...]
    is_host: bool


@dataclass(frozen=True)
class Line:
    name: str
    detail: str


@dataclass(frozen=True)
class Drawing:
    lines: tuple[Line, ...]
    """Networks first, then clusters."""
    places: tuple[Place, ...]
    facts: Mapping[str, str]


@dataclass(frozen=True)
class _Row:
    name: str
    kind: str = ""
    depth: int = 0
    notes: tuple[str, ...] = ()
    network: int | None = None
    """Of what is no host: the one network that it has its address in."""
    address: str = ""


def drawing(topology: Topology) -> Drawing:
    rows = [_Row(host.name, host.kind, depth, host.notes) for host, depth in in_order(topology)]
    rows += [
        _Row(name, network=number, address=address)
        for number, network in enumerate(topology.networks)
        for name, address in network.others.items()
    ]
    marks = [[_marks(topology, row)[line] for row in rows] for line in range(_count(topology))]
    return Drawing(
        tuple(_lines(topology)),
        tuple(_place(topology, row, tuple(_stop(line, at) for line in marks)) for at, row in enumerate(rows)),
        topology.facts,
    )


def _count(topology: Topology) -> int:
    return len(topology.networks) + len(topology.clusters)


def _lines(topology: Topology) -> list[Line]:
    networks = [Line(network.name, network.cidr) for network in topology.networks]
    return networks + [Line(cluster.name, _size(cluster)) for cluster in topology.clusters]


def _size(cluster: Cluster) -> str:
    plural = "" if len(cluster.members) == 1 else "s"
    return f"{len(cluster.leaders)} {cluster.leading_role}, {len(cluster.members)} {cluster.role}{plural}"


def _marks(topology: Topology, row: _Row) -> list[str]:
    if row.network is not None:
        return ["member" if number == row.network else "" for number in range(_count(topology))]
    networks = ["member" if row.name in network.addresses else "" for network in topology.networks]
    return networks + [
        "leader" if row.name in cluster.leaders else "member" if row.name in cluster.members else ""
        for cluster in topology.clusters
    ]


def _stop(marks: list[str], at: int) -> Stop:
    """A line reaches from its first member to its last one."""
    return Stop(
        above=any(marks[:at]) and any(marks[at:]), below=any(marks[: at + 1]) and any(marks[at + 1 :]), mark=marks[at]
    )


def _place(topology: Topology, row: _Row, stops: tuple[Stop, ...]) -> Place:
    is_host = row.network is None
    known = {n: net.addresses[row.name] for n, net in enumerate(topology.networks) if row.name in net.addresses}
    roles = [c.leading_role for c in topology.clusters if row.name in c.leaders]
    roles += [c.role for c in topology.clusters if row.name in c.members]
    return Place(
        name=row.name,
        kind=row.kind,
        depth=row.depth,
        addresses=known if row.network is None else {row.network: row.address},
        roles=tuple(roles) if is_host else (),
        notes=row.notes,
        stops=stops,
        is_host=is_host,
    )
