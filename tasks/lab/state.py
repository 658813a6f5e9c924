"""What the emulation remembers about a host: its snaps, units, links and DNS settings."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, cast

from thinkube_nornir.lab.emulation import Lab, LabHost


@dataclass
class Snap:
    name: str
    version: str
    revision: int
    channel: str
    publisher: str = "canonical**"
    classic: bool = False
    held: bool = False
    disabled: bool = False


@dataclass
class Unit:
    """A systemd unit; `active` and `enabled` are what systemctl reports."""

    name: str
    active: bool = True
    enabled: bool = True
    restarts: int = 0
    description: str = ""
    failed: bool = False
    started: float = field(default_factory=time.time)
    """Seconds since the epoch."""
    loaded: bool = True
    """False for one whose file has gone, and of which systemd remembers that it failed."""

    @property
    def state(self) -> str:
        return "active" if self.active else "failed" if self.failed else "inactive"

    @property
    def sub(self) -> str:
        return "running" if self.active else "failed" if self.failed else "dead"


@dataclass
class Link:
    name: str
    addresses: list[str] = field(default_factory=list)
    """Each has its prefix length: `192.168.1.110/24`."""
    kind: str = ""


@dataclass
class Resolved:
    """systemd-resolved's settings as loaded at its last start."""

    servers: list[str] = field(default_factory=list)
    routing: list[str] = field(default_factory=list)
    """Routing and search domains without `~`; `.` for everything."""
    search: list[str] = field(default_factory=list)
    fallback: list[str] = field(default_factory=list)


@dataclass
class Table:
    """One of a packet filter: chains with their policy, `-` for those that somebody added, and the rules of each."""

    policies: dict[str, str] = field(default_factory=dict)
    rules: dict[str, list[str]] = field(default_factory=dict)


Filter = dict[str, Table]
"""Tables by name: `filter`, `nat`."""


@dataclass
class Machine:
    hostname: str
    snaps: dict[str, Snap] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    resolved: Resolved = field(default_factory=Resolved)
    filters: dict[str, Filter] = field(default_factory=dict)
    """The packet filter, by what changes it: `iptables-nft`, `ip6tables-legacy`."""
    settings: dict[str, str] = field(default_factory=dict)
    """The kernel's, as sysctl names them."""
    node: Any = None
    """MicroK8s' own memory (microk8s.node.Node) while the snap is installed."""


def machine(host: LabHost) -> Machine:
    if "machine" not in host.state:
        host.state["machine"] = Machine(host_name(host))
    return cast(Machine, host.state["machine"])


def host_name(host: LabHost) -> str:
    """VMs have their full name as static host name, baremetal hosts the short one."""
    return f"{host.name}.{domain(host)}" if host.settings.get("parent_host") else host.name


def domain(host: LabHost) -> str:
    return str(host.settings.get("domain_name", "thinkube.com"))


def addresses(host: LabHost) -> list[str]:
    """The host's own addresses without prefix lengths, the LAN's first."""
    found = [str(host.settings[k]) for k in ("lan_ip", "internal_ip", "zerotier_ip") if host.settings.get(k)]
    extra = [a.split("/")[0] for link in machine(host).links.values() for a in link.addresses]
    return list(dict.fromkeys([*found, *extra]))


def host_at(lab: Lab, address: str) -> LabHost | None:
    """The host that has this address on the LAN or the overlay; internal networks do not reach other hosts."""
    for host in lab.hosts.values():
        if address in (str(host.settings.get("lan_ip")), str(host.settings.get("zerotier_ip"))):
            return host
    return None


def link_servers(host: LabHost) -> list[str]:
    """What the network configuration gave the LAN's link."""
    return [str(s) for s in host.settings.get("dns_servers", ())]


def upstream_servers(host: LabHost) -> list[str]:
    """What systemd-resolved asks, its global servers first."""
    return [*machine(host).resolved.servers, *link_servers(host)]
