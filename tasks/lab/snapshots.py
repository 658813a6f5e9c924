"""The whole emulated state as plain data, to compare before and after."""

from __future__ import annotations

from typing import Any

from tasks.lab import accounts
from tasks.lab.microk8s import addon_list
from tasks.lab.microk8s.node import Node, node_of
from tasks.lab.packet_filter import saved
from tasks.lab.state import Filter, machine
from tasks.lab.ufw import ufw_of
from thinkube_nornir.lab.emulation import Lab, LabHost


def snapshot(lab: Lab) -> dict[str, Any]:
    """Per host: snaps, units, links, group members, the resolver's settings, and MicroK8s where it is installed."""
    return {name: _of(host) for name, host in sorted(lab.hosts.items())}


def _of(host: LabHost) -> dict[str, Any]:
    now, node = machine(host), node_of(host)
    found: dict[str, Any] = {
        "snaps": {s.name: [s.version, s.channel, s.held, s.disabled] for s in now.snaps.values()},
        "units": {u.name: [u.active, u.enabled, u.failed] for u in now.units.values()},
        "filters": {kind: filled for kind, filters in now.filters.items() if (filled := saved(_filled(filters)))},
        "settings": dict(now.settings),
        "ufw": [ufw_of(host).active, [rule.command for rule in ufw_of(host).rules]],
        "links": {link.name: list(link.addresses) for link in now.links.values()},
        "groups": {name: sorted(accounts.members(fields)) for name, fields in accounts.groups(host).items()},
        "resolved": [list(now.resolved.servers), list(now.resolved.routing)],
    }
    return found if node is None else {**found, "microk8s": _microk8s(node)}


def _microk8s(node: Node) -> dict[str, Any]:
    listed = [] if node.worker else node.api.list("v1", "Node")
    return {
        "control plane": node.control.name,
        "addons": sorted(addon_list.enabled(node)),
        "api": node.down is None,
        "nodes": {n["metadata"]["name"]: _is_ready(n) for n in listed},
    }


def _is_ready(node: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions") or ())


def _filled(filters: Filter) -> Filter:
    """The tables that say something: iptables makes an empty one when it reads for the first time."""
    return {name: t for name, t in filters.items() if any(t.rules.values()) or "-" in t.policies.values()}
