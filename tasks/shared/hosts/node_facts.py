"""What can be read about a machine that becomes a Kubernetes node: snap, addresses, units, users, mounts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.errors import ThinkubeError


def parse_addresses(done: Completed) -> Mapping[str, tuple[str, ...]]:
    """Read `ip -json address show`: interface to its addresses, primary ones first."""
    return {
        link["ifname"]: tuple(
            a["local"] for a in sorted(link.get("addr_info", ()), key=lambda a: a.get("secondary", False))
        )
        for link in json.loads(done.text or "[]")
        if "ifname" in link
    }


@dataclass(frozen=True)
class Route:
    device: str
    source: str
    """Empty when the kernel takes the device's first address."""


def parse_default_route(done: Completed) -> Route | None:
    """The preferred one of `ip -json route show default`."""
    routes = sorted(json.loads(done.text or "[]"), key=lambda r: int(r.get("metric", 0)))
    return Route(routes[0]["dev"], routes[0].get("prefsrc", "")) if routes else None


def parse_ports(done: Completed) -> frozenset[int]:
    """Ports that anything listens on, from `ss -Hltn`: state, queues, local address, peer."""
    return frozenset(int(line.split()[3].rpartition(":")[2]) for line in done.text.splitlines() if line.strip())


def parse_mounts(done: Completed) -> tuple[str, ...]:
    """Mount points of /proc/mounts, deepest first."""
    points = [line.split()[1].replace("\\040", " ") for line in done.text.splitlines()]
    return tuple(sorted(points, key=lambda point: (-point.count("/"), point)))


def parse_links(done: Completed) -> frozenset[str]:
    return frozenset(link["ifname"] for link in json.loads(done.text or "[]") if "ifname" in link)


def units(*names: str) -> Fact[Mapping[str, str]]:
    """Unit to `active`, `inactive`, `failed`, `unknown` ..."""

    def parse(done: Completed) -> Mapping[str, str]:
        states = done.text.splitlines()
        if len(states) != len(names):
            said = (done.text + done.stderr.decode(errors="backslashreplace")).strip()
            why = f"`systemctl is-active` ended with {done.status} and said: {said or 'nothing'}"
            fix = "see whether systemd answers on the host: `systemctl is-system-running`"
            raise ThinkubeError(f"systemctl does not say the state of {', '.join(names)}", why=why, fix=fix)
        return dict(zip(names, states, strict=True))

    return Fact(f"units {' '.join(names)}", ("systemctl", "is-active", *names), parse, accept=None)


HOSTNAME: Fact[str] = Fact("host name", ("hostname",), lambda done: done.text.strip().lower())
"""Under which the kubelet registers this machine: always in lower case."""
ADDRESSES = Fact("addresses", ("ip", "-json", "address", "show"), parse_addresses)
DEFAULT_ROUTE = Fact("default route", ("ip", "-json", "route", "show", "default"), parse_default_route)
LISTENING = Fact("listening ports", ("ss", "-Hltn"), parse_ports)
MOUNTS = Fact("mounts", ("cat", "/proc/mounts"), parse_mounts)
LINKS = Fact("network links", ("ip", "-json", "link", "show"), parse_links)
CLOCK = Fact("clock", ("date", "+%s"), lambda done: float(done.text))
"""Seconds since the epoch."""
