"""What the full lab has of an inventory: its machines, in the LAN of the address plan, as Ubuntu would be installed."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

from nornir.core.inventory import Host, Inventory

from thinkube_nornir.full_lab.layout import Layout, Link, Machine, Network

_LAN = "lan"
_USER = "thinkube"
"""Logs in where the inventory names nobody."""
_PACKAGES = ("snapd", "squashfuse", "fuse3", "ufw", "iptables", "pciutils", "curl", "rsync")
"""What Ubuntu's server has beside the least, as far as it matters here; snapd mounts by squashfuse in a container."""


def layout(inventory: Inventory) -> Layout:
    """Every host with a `lan_ip` stands in one LAN; this machine is its router, which leads nowhere."""
    plan = inventory.defaults.data
    lan = ip_network(plan["network_cidr"])
    gateway = plan["network_gateway"]
    hosts = [host for host in inventory.hosts.values() if host.get("lan_ip")]
    return Layout(
        networks=(Network(_LAN, f"{gateway}/{lan.prefixlen}"),),
        machines=tuple(_machine(host, gateway, lan.prefixlen) for host in hosts),
        packages=_PACKAGES,
        emulated=("the Internet (there is none)",),
    )


def _machine(host: Host, gateway: str, prefix: int) -> Machine:
    address = str(ip_interface(f"{host['lan_ip']}/{prefix}"))
    return Machine(
        name=host.name,
        hostname=host.name,
        user=host.username or _USER,
        links=(Link(_LAN, address, gateway),),
        sudo_password=host.get("lab_sudo_password") or "",
    )
