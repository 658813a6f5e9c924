"""The name servers of the lab: BIND on dns1 with the zones of phase 4, and the public resolvers' few names.

Unproven: BIND answers by RFC 1034 and RFC 4592, and forwards the rest, as phase 4 is to configure it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tasks.lab.state import domain, machine
from tasks.shared.address_pool import ingresses_in
from thinkube_nornir.lab.emulation import Lab, LabHost

Rcode = Literal["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "TIMEOUT"]


@dataclass(frozen=True)
class Query:
    name: str
    """Lower case, without the final dot; empty for the root."""
    kind: str = "A"


@dataclass(frozen=True)
class Answer:
    rcode: Rcode = "NOERROR"
    records: tuple[str, ...] = ()
    """The data of the records asked for; empty with NOERROR when the name has none of this type."""
    authoritative: bool = False


TIMEOUT = Answer("TIMEOUT")
PUBLIC_NAMES = [
    "ubuntu.com",
    "archive.ubuntu.com",
    "security.ubuntu.com",
    "connectivity-check.ubuntu.com",
    "api.snapcraft.io",
    "github.com",
    "google.com",
    "www.google.com",
    "cloudflare.com",
    "example.com",
    "pypi.org",
    "kubernetes.io",
    "docker.io",
    "registry-1.docker.io",
    "quay.io",
    "ghcr.io",
    "registry.k8s.io",
    "nvcr.io",
    "helm.ngc.nvidia.com",
    "letsencrypt.org",
    "acme-v02.api.letsencrypt.org",
    "acme-staging-v02.api.letsencrypt.org",
    "api.cloudflare.com",
    "charts.jetstack.io",
    "traefik.github.io",
    "dns.google",
    "one.one.one.one",
]


@dataclass(frozen=True)
class Zone:
    """A zone BIND is authoritative for. Names are relative: `@`, `*`, `tkc`."""

    origin: str
    records: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def answer(self, query: Query) -> Answer:
        """The answer by RFC 4592: a wildcard answers only below the closest name that exists."""
        relative = query.name.removesuffix(self.origin).rstrip(".") or "@"
        found = self._find(relative)
        if found is None:
            return Answer("NXDOMAIN", authoritative=True)
        return Answer("NOERROR", tuple(found.get(query.kind, ())), authoritative=True)

    def _find(self, relative: str) -> Mapping[str, tuple[str, ...]] | None:
        if relative in self.records:
            return self.records[relative]
        if any(name.endswith(f".{relative}") for name in self.records):
            return {}
        parent = relative.partition(".")[2]
        while parent and not self._exists(parent):
            parent = parent.partition(".")[2]
        return self.records.get(f"*.{parent}" if parent else "*")

    def _exists(self, relative: str) -> bool:
        return any(name == relative or name.endswith(f".{relative}") for name in self.records)


def zones_of_phase4(lab: Lab) -> list[Zone]:
    """What phase 4 wrote on the DNS host: every host, apex and `*` to the ingress, `*.kn` to the second one if any."""
    server = dns_host(lab)
    if server is None:
        return []
    own = _address(server)
    primary, *seconds = ingresses_in(server.settings)
    soa = {"NS": (f"dns.{domain(server)}.",), "SOA": (f"dns.{domain(server)}. admin.{domain(server)}.",)}
    hosts = {h.name: {"A": (_address(h),)} for h in lab.hosts.values() if _address(h)}
    base = {"@": {**soa, "A": (primary,)}, "dns": {"A": (own,)}, "*": {"A": (primary,)}, **hosts}
    knative = [Zone(f"kn.{domain(server)}", {"@": soa, "*": {"A": (second,)}}) for second in seconds]
    return [Zone(domain(server), base), *knative]


def _address(host: LabHost) -> str:
    """The host's address in the overlay, or in the LAN where it has none."""
    return str(host.settings.get("zerotier_ip") or host.settings.get("lan_ip") or "")


def dns_host(lab: Lab) -> LabHost | None:
    for host in lab.hosts.values():
        if host.groups & {"dns", "dns_servers"}:
            return host
    return None


def closest_zone(names: list[str], query: str) -> str | None:
    """The longest of `names` (`.` or empty: the root) that `query` is in."""
    fitting = [n for n in names if within(query, n)]
    return max(fitting, key=lambda n: len(n.strip(".")), default=None)


def within(name: str, zone: str) -> bool:
    zone = zone.strip(".").lower()
    return not zone or name == zone or name.endswith(f".{zone}")


def ask_bind(lab: Lab, query: Query) -> Answer:
    """BIND: authoritative for its zones, forwards the rest; silent while its unit is stopped."""
    server = dns_host(lab)
    if server is None or not machine(server).units["named"].active:
        return TIMEOUT
    zones: dict[str, Zone] = {z.origin: z for z in lab.state.get("zones", ())}
    origin = closest_zone(list(zones), query.name)
    return zones[origin].answer(query) if origin is not None else ask_public(lab, query)


def ask_public(lab: Lab, query: Query) -> Answer:
    """The public resolvers, reduced to a handful of names; addresses are of the documentation range."""
    known: dict[tuple[str, str], tuple[str, ...]] = lab.state.setdefault("public", {})
    if (query.name, query.kind) in known:
        return Answer("NOERROR", known[(query.name, query.kind)])
    if any(name == query.name for name, _ in known):
        return Answer()
    if query.name not in PUBLIC_NAMES:
        return Answer("NXDOMAIN")
    return Answer("NOERROR", (f"203.0.113.{10 + PUBLIC_NAMES.index(query.name)}",) if query.kind == "A" else ())


def public_servers(lab: Lab) -> set[str]:
    configured = {str(s) for h in lab.hosts.values() for s in h.settings.get("dns_servers", ())}
    return configured | {"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9"}


def ask_server(lab: Lab, source: LabHost, server: str, query: Query) -> Answer:
    """Ask a name server by its address, as seen from `source`; nobody answers at an address without a server."""
    if server in public_servers(lab):
        return ask_public(lab, query)
    bind = dns_host(lab)
    reachable = bind is not None and server in _reachable(bind, source)
    return ask_bind(lab, query) if reachable else TIMEOUT


def _reachable(bind: LabHost, source: LabHost) -> set[str]:
    """The overlay needs a ZeroTier address at the source, the internal network the same parent host."""
    found = {str(bind.settings.get("lan_ip"))}
    if source.settings.get("zerotier_ip"):
        found.add(str(bind.settings.get("zerotier_ip")))
    if source.settings.get("parent_host") == bind.settings.get("parent_host"):
        found.add(str(bind.settings.get("internal_ip")))
    if source is bind:
        found.add("127.0.0.1")
    return found
