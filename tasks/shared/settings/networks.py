"""The settings of networks, and of each host's addresses: inside of its network, and no other host's."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import combinations
from typing import Annotated

from annotated_types import MinLen

from tasks.shared.settings.values import Address, Domain, Interface, Network, ZeroTierNetwork
from thinkube_nornir.settings.schema import Hosts, HostSettings, Mistake, Required

_NETWORK_OF = {"lan_ip": "network_cidr", "network_gateway": "network_cidr", "zerotier_ip": "zerotier_cidr"}


class Settings:
    """Networks and addresses."""

    network_cidr: Annotated[Network, Required()]
    """The LAN: nodes talk to each other here."""
    network_gateway: Annotated[Address, Required("baremetal")]
    """The LAN's router."""
    network_bridge_name: Interface
    """The bridge that VMs use to reach the LAN."""
    bridge_interface: Interface
    """The port behind the bridge, for machines with several; found by itself when not set."""
    internal_gateway: Annotated[Address, Required("baremetal")]
    """A machine's own address in the network of its VMs."""
    zerotier_network_id: Annotated[ZeroTierNetwork, Required("zerotier_nodes")]
    """The overlay network; in quotes, because some look like numbers."""
    zerotier_cidr: Annotated[Network, Required("zerotier_nodes")]
    """The overlay's addresses, those of published services among them."""
    dns_servers: Annotated[list[Address], MinLen(1), Required()]
    """Public name servers, for what is not below domain_name."""
    dns_search_domains: list[Domain]
    """Leave it empty: with the wildcard zone, every external name would lead to the ingress."""
    lan_ip: Annotated[Address, Required("baremetal", "lxd_containers", "dns_servers", "microk8s")]
    """The host's address in network_cidr; its Kubernetes node has it too."""
    internal_ip: Annotated[Address, Required("lxd_containers")]
    """The VM's address in its machine's own network."""
    zerotier_ip: Annotated[Address, Required("zerotier_nodes")]
    """The host's address in the overlay."""


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


RULES = (addresses_in_their_networks, addresses_are_unique, networks_are_apart)


def _outside(host: HostSettings, name: str, net: IPv4Network) -> Iterator[Mistake]:
    address = host.settings.get(name)
    if address is None:
        return
    if IPv4Address(address) not in net:
        yield Mistake(f"{name} {address} is outside {net}", "", host.name, name)
    elif address in (str(net.network_address), str(net.broadcast_address)):
        yield Mistake(f"{name} {address} is the network's own or its broadcast address", "", host.name, name)
