"""The address plan: every address inside its network, and given to one only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import combinations

from tasks.shared.address_pool import INGRESSES, RANGE, ends, ingresses_in
from thinkube_nornir.settings.schema import HostSettings, Mistake

Hosts = Mapping[str, HostSettings]

_POOL_NETWORKS = ("network_cidr", "zerotier_cidr")
_NETWORK_OF = {"lan_ip": "network_cidr", "network_gateway": "network_cidr", "zerotier_ip": "zerotier_cidr"}


def addresses_in_their_networks(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        for name, within in _NETWORK_OF.items():
            if within in host.settings:
                yield from _outside(host, name, IPv4Network(host.settings[within]))
        if "lxd_network_ipv4_address" in host.settings:
            internal = IPv4Interface(host.settings["lxd_network_ipv4_address"])
            yield from _outside(host, "internal_ip", internal.network)
            if host.settings.get("internal_gateway", str(internal.ip)) != str(internal.ip):
                what = f"internal_gateway must be the address in lxd_network_ipv4_address, {internal.ip}"
                yield Mistake(what, "", host.name, "internal_gateway")


def addresses_are_unique(hosts: Hosts) -> Iterator[Mistake]:
    """The internal network is one of its own on each parent, so an internal address may occur once per parent."""
    taken: dict[tuple[str, str], str] = {}
    for host in hosts.values():
        for gateway in ("network_gateway", "internal_gateway"):
            taken.setdefault(("", host.settings.get(gateway, "")), gateway)
    for host in hosts.values():
        for name in ("lan_ip", "internal_ip", "zerotier_ip"):
            address = host.settings.get(name)
            scope = str(host.settings.get("parent_host")) if name == "internal_ip" else name
            if address is None:
                continue
            other = taken.get(("", address)) or taken.setdefault((scope, address), host.name)
            if other != host.name:
                yield Mistake(f"{host.name}: {name} {address} is taken by {other}", "", host.name, name)


def pool_is_in_one_network(hosts: Hosts) -> Iterator[Mistake]:
    """The load balancer answers ARP for its addresses: nobody would ask for one that is in no network of the hosts."""
    for host in _with_pool(hosts):
        nets = [IPv4Network(host.settings[name]) for name in _POOL_NETWORKS if name in host.settings]
        pool = ends(host.settings[RANGE])
        home = next((net for net in nets if all(address in net for address in pool)), None)
        told = f"{RANGE} {host.settings[RANGE]}"
        if nets and home is None:
            within = " and ".join(map(str, nets))
            yield Mistake(f"{told} is not inside one network ({within})", "", host.name, RANGE)
        elif home and {home.network_address, home.broadcast_address} & set(pool):
            yield Mistake(f"{told} holds the network's own or its broadcast address", "", host.name, RANGE)


def ingresses_are_in_the_pool(hosts: Hosts) -> Iterator[Mistake]:
    for host in _with_pool(hosts):
        first, last = ends(host.settings[RANGE])
        found = dict(zip(INGRESSES, ingresses_in(host.settings), strict=False))
        for name, address in found.items():
            at = name if name in host.settings else RANGE
            if not first <= IPv4Address(address) <= last:
                fix = "" if name in host.settings else "with `knative: true` the range needs a second address"
                yield Mistake(f"{name} {address} is outside {RANGE} {first}-{last}", fix, host.name, at)
        if len(set(found.values())) < len(found):
            what = f"both ingresses have {found[INGRESSES[0]]}"
            at = next((name for name in reversed(INGRESSES) if name in host.settings), RANGE)
            yield Mistake(what, "give each its own", host.name, at)


def pool_is_free_of_hosts(hosts: Hosts) -> Iterator[Mistake]:
    for host in _with_pool(hosts):
        first, last = ends(host.settings[RANGE])
        for name in ("lan_ip", "zerotier_ip", "network_gateway"):
            address = host.settings.get(name)
            if address is not None and first <= IPv4Address(address) <= last:
                who = "" if name == "network_gateway" else f"{host.name}: "
                what = f"{who}{name} {address} is inside the load balancer's range {first}-{last}"
                yield Mistake(what, "", host.name, name)


def networks_are_apart(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        named = {
            name: IPv4Network(host.settings[name])
            for name in ("network_cidr", "zerotier_cidr")
            if name in host.settings
        }
        if "lxd_network_ipv4_address" in host.settings:
            named["lxd_network_ipv4_address"] = IPv4Interface(host.settings["lxd_network_ipv4_address"]).network
        for (other, its), (name, net) in combinations(named.items(), 2):
            if net.overlaps(its):
                yield Mistake(f"{name} {net} overlaps {other} {its}", "", host.name, name)


CHECKS = (
    addresses_in_their_networks,
    addresses_are_unique,
    pool_is_in_one_network,
    ingresses_are_in_the_pool,
    pool_is_free_of_hosts,
    networks_are_apart,
)


def _outside(host: HostSettings, name: str, net: IPv4Network) -> Iterator[Mistake]:
    address = host.settings.get(name)
    if address is None:
        return
    if IPv4Address(address) not in net:
        yield Mistake(f"{name} {address} is outside {net}", "", host.name, name)
    elif address in (str(net.network_address), str(net.broadcast_address)):
        yield Mistake(f"{name} {address} is the network's own or its broadcast address", "", host.name, name)


def _with_pool(hosts: Hosts) -> list[HostSettings]:
    return [host for host in hosts.values() if RANGE in host.settings]
