"""The address plan: every address inside its network, and given to one only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import combinations

from thinkube_nornir.settings.schema import HostSettings, Mistake

Hosts = Mapping[str, HostSettings]

_NETWORK_OF = {"lan_ip": "network_cidr", "network_gateway": "network_cidr", "zerotier_ip": "zerotier_cidr"}


def pool_address(zerotier_cidr: str, octet: int) -> str:
    """
    >>> pool_address("192.168.191.0/24", 200)
    '192.168.191.200'
    """
    return str(IPv4Network(zerotier_cidr).network_address + octet)


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


def pool_is_sound(hosts: Hosts) -> Iterator[Mistake]:
    """The load balancer's addresses: a range inside the ZeroTier network, with two different ingresses in it."""
    for host in hosts.values():
        pool = _pool(host)
        if pool is None:
            continue
        start, end = pool
        if start > end:
            what = f"metallb_ip_start_octet {start} is above metallb_ip_end_octet {end}"
            yield Mistake(what, "", host.name, "metallb_ip_start_octet")
        cidr = host.settings.get("zerotier_cidr")
        if cidr and IPv4Address(pool_address(cidr, max(pool))) not in IPv4Network(cidr):
            what = f"metallb_ip_end_octet {end} leads out of {cidr}"
            yield Mistake(what, "", host.name, "metallb_ip_end_octet")
        yield from _ingresses(host, start, end)


def _ingresses(host: HostSettings, start: int, end: int) -> Iterator[Mistake]:
    names = ("primary_ingress_ip_octet", "secondary_ingress_ip_octet")
    octets = [host.settings.get(name) for name in names]
    for name, octet in zip(names, octets, strict=True):
        if octet is not None and not start <= octet <= end:
            yield Mistake(f"{name} {octet} is outside the pool {start} to {end}", "", host.name, name)
    if octets[0] is not None and octets[0] == octets[1]:
        yield Mistake(f"both ingresses have octet {octets[0]}", "give each its own", host.name, names[1])


def pool_is_free_of_hosts(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        pool, cidr, address = _pool(host), host.settings.get("zerotier_cidr"), host.settings.get("zerotier_ip")
        if pool is None or cidr is None or address is None:
            continue
        first, last = pool_address(cidr, pool[0]), pool_address(cidr, pool[1])
        if IPv4Address(first) <= IPv4Address(address) <= IPv4Address(last):
            what = f"{host.name}: zerotier_ip {address} is inside the load balancer's pool {first} to {last}"
            yield Mistake(what, "", host.name, "zerotier_ip")


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


CHECKS = (addresses_in_their_networks, addresses_are_unique, pool_is_sound, pool_is_free_of_hosts, networks_are_apart)


def _outside(host: HostSettings, name: str, net: IPv4Network) -> Iterator[Mistake]:
    address = host.settings.get(name)
    if address is None:
        return
    if IPv4Address(address) not in net:
        yield Mistake(f"{name} {address} is outside {net}", "", host.name, name)
    elif address in (str(net.network_address), str(net.broadcast_address)):
        yield Mistake(f"{name} {address} is the network's own or its broadcast address", "", host.name, name)


def _pool(host: HostSettings) -> tuple[int, int] | None:
    names = ("metallb_ip_start_octet", "metallb_ip_end_octet")
    if any(name not in host.settings for name in names):
        return None
    return host.settings[names[0]], host.settings[names[1]]
