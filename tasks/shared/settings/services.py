"""The settings of published services: the addresses they get, and the namespaces of the ingresses before them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from nornir.core.task import Task

from tasks.shared.address_pool import INGRESSES, RANGE, ends, ingresses_in, knative
from tasks.shared.settings.values import Address, AddressRange, Label
from thinkube_nornir.context import setting
from thinkube_nornir.settings.schema import Hosts, HostSettings, Mistake

NAMESPACES = ("ingress_namespace", "ingress_kn_namespace")
_TAKEN_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system", "metallb-system", "cert-manager")
_POOL_NETWORKS = ("network_cidr", "zerotier_cidr")
_OCTETS = "write load_balancer_range: 192.168.191.200-192.168.191.205, with whole addresses"
PREVIOUS = {
    "metallb_ip_start_octet": _OCTETS,
    "metallb_ip_end_octet": _OCTETS,
    "primary_ingress_ip_octet": "write primary_ingress_ip with the whole address",
    "secondary_ingress_ip_octet": "write knative: true, and secondary_ingress_ip with the whole address",
}


class Settings:
    """Published services."""

    load_balancer_range: AddressRange
    """What services of type LoadBalancer get: free addresses of the LAN, outside of its DHCP, or of the overlay."""
    primary_ingress_ip: Address
    """Address of all names below domain_name; the range's first one when not set."""
    knative: bool = False
    """Names below kn.domain_name have an ingress of their own, for Knative."""
    secondary_ingress_ip: Address
    """Its address; the range's second one when not set."""
    ingress_namespace: Label = "ingress"
    """Namespace of the controller for all names."""
    ingress_kn_namespace: Label = "ingress-kn"
    """Namespace of the controller for names below kn.domain_name."""


def ingress_namespaces(task: Task) -> tuple[str, ...]:
    """The namespace of the primary controller, and that of Knative's when Knative is on."""
    return all_ingress_namespaces(task)[: 2 if knative(task) else 1]


def all_ingress_namespaces(task: Task) -> tuple[str, str]:
    """The namespaces of both controllers, also when Knative is off."""
    first, second = (str(setting(task, name)) for name in NAMESPACES)
    return first, second


def pool_is_in_one_network(hosts: Hosts) -> Iterator[Mistake]:
    """The load balancer answers ARP for its addresses: nobody would ask for one that is in no network of the hosts."""
    for host in _with_pool(hosts):
        nets = [IPv4Network(host.settings[name]) for name in _POOL_NETWORKS if name in host.settings]
        pool = ends(host.settings[RANGE])
        home = next((net for net in nets if all(address in net for address in pool)), None)
        given = f"{RANGE} {host.settings[RANGE]}"
        if nets and home is None:
            within = " and ".join(map(str, nets))
            yield Mistake(f"{given} is not inside one network ({within})", "", host.name, RANGE)
        elif home and {home.network_address, home.broadcast_address} & set(pool):
            yield Mistake(f"{given} holds the network's own or its broadcast address", "", host.name, RANGE)


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


def namespaces_are_their_own(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        found = {name: host.settings[name] for name in NAMESPACES if name in host.settings}
        for name, value in found.items():
            if value in _TAKEN_NAMESPACES:
                what = f"{name} {value} is taken by another part of the cluster"
                yield Mistake(what, "rollback removes it as a whole, so give it one of its own", host.name, name)
        if len(set(found.values())) < len(found):
            what = f"{' and '.join(found)} are both {found[NAMESPACES[0]]}"
            yield Mistake(what, "give each its own", host.name, NAMESPACES[1])


RULES = (pool_is_in_one_network, ingresses_are_in_the_pool, pool_is_free_of_hosts, namespaces_are_their_own)


def _with_pool(hosts: Hosts) -> list[HostSettings]:
    return [host for host in hosts.values() if RANGE in host.settings]
