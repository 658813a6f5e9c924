"""What the inventory says of machines, VMs, networks and the cluster, for reports."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Any

from nornir.core.inventory import Host, Inventory

from tasks.shared.address_pool import INGRESSES, KNATIVE, RANGE, ends, ingresses_in
from tasks.shared.settings.gpus import cards_of
from thinkube_nornir.reporting.topology import Cluster, Network, PlacedHost, Topology

LAN = "LAN"
OVERLAY = "ZeroTier"
_KINDS = {"desktops": "desktop", "headless": "headless machine", "lxd_containers": "virtual machine"}


def topology(inventory: Inventory) -> Topology:
    hosts = list(inventory.hosts.values())
    networks = (
        _network(LAN, hosts, "network_cidr", "lan_ip"),
        _network(OVERLAY, hosts, "zerotier_cidr", "zerotier_ip"),
    )
    return Topology(
        hosts=tuple(_placed(host) for host in hosts),
        networks=tuple(network for network in networks if network.addresses),
        clusters=_clusters(hosts),
        facts=_facts(hosts),
    )


def _placed(host: Host) -> PlacedHost:
    kind = next((kind for group, kind in _KINDS.items() if host.has_parent_group(group)), "")
    return PlacedHost(host.name, kind, str(host.get("parent_host") or ""), tuple(_notes(host)))


def _notes(host: Host) -> Iterable[str]:
    if host.has_parent_group("dns_servers"):
        yield "name server"
    if model := host.get("gpu_model"):
        yield f"GPU {model}{_use(host)}"


def _use(host: Host) -> str:
    """Whether the cluster gets the card, or a VM does."""
    in_cluster = host.has_parent_group("microk8s") and cards_of(dict(host.items()))
    return ", for VMs" if host.get("assigned_pci_slots") and not in_cluster else ""


def _network(name: str, hosts: list[Host], cidr: str, address: str) -> Network:
    addresses = {host.name: str(host[address]) for host in hosts if host.get(address)}
    networks = dict.fromkeys(str(host.get(cidr) or "") for host in hosts if host.name in addresses)
    return Network(name, ", ".join(filter(None, networks)), addresses, dict(_others(name, hosts, networks)))


def _others(name: str, hosts: list[Host], networks: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Addresses that no host has."""
    if name == LAN and (gateway := _first(hosts, "network_gateway")):
        yield "gateway", str(gateway)
    pool = _first(hosts, RANGE)
    if pool and any(_holds(network, pool) for network in networks):
        yield "published services", str(pool)


def _holds(network: str, pool: str) -> bool:
    return bool(network) and ends(pool)[0] in IPv4Network(network)


def _clusters(hosts: list[Host]) -> tuple[Cluster, ...]:
    leaders = tuple(host.name for host in hosts if host.has_parent_group("microk8s_control_plane"))
    members = tuple(h.name for h in hosts if h.has_parent_group("microk8s") and h.name not in leaders)
    found = Cluster("MicroK8s", leaders, members, "control plane", "worker")
    return (found,) if leaders or members else ()


def _facts(hosts: list[Host]) -> dict[str, str]:
    """Of the installation as a whole, where all its hosts have the same."""
    channel = _first([host for host in hosts if host.has_parent_group("microk8s")], "microk8s_channel")
    servers = _first(hosts, "dns_servers") or ()
    facts = {
        "domain": str(_first(hosts, "domain_name") or ""),
        "MicroK8s channel": str(channel or ""),
        "public name servers": ", ".join(map(str, servers)),
        "ingress": ", ".join(_ingresses(hosts)),
    }
    return {name: text for name, text in facts.items() if text}


def _ingresses(hosts: list[Host]) -> tuple[str, ...]:
    given = {name: _first(hosts, name) for name in (RANGE, KNATIVE, *INGRESSES)}
    return ingresses_in(given) if given[RANGE] else ()


def _first(hosts: list[Host], setting: str) -> Any:
    return next((host[setting] for host in hosts if host.get(setting) is not None), None)
