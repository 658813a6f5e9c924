"""What a running CoreDNS answers, given the Corefile it serves.

Source: coredns/coredns@v1.10.1 core/dnsserver/server.go
Source: coredns/coredns@v1.10.1 plugin.cfg
Source: coredns/coredns@v1.10.1 plugin/forward/forward.go
Source: coredns/coredns@v1.10.1 plugin/hosts/hosts.go
Source: coredns/coredns@v1.10.1 plugin/template/template.go
Source: coredns/coredns@v1.13.1 plugin.cfg
Unproven: of several upstreams of one forward the first that is there answers; CoreDNS takes one at random.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from tasks.lab.corefile import CorefileError, Directive, Server, read, upstreams
from tasks.lab.dns import Answer, Query, Rcode, closest_zone, within

STUB = ("127.", "::1")
SEVERAL_FORWARDS_SINCE = (1, 10)
NO_HANDLERS = frozenset(("bind", "debug", "health", "pprof", "ready", "reload", "root", "tls"))
"""Plugins without a part in the chain that answers."""


@dataclass(frozen=True)
class Surroundings:
    """What CoreDNS sees outside its own file."""

    cluster: Callable[[Query], Answer]
    """Services and pods of the cluster's zones."""
    upstream: Callable[[str, Query], Answer]
    """Asks a name server by its address."""
    resolv_conf: tuple[str, ...]
    """Name servers in the pod's /etc/resolv.conf (dnsPolicy Default: the node's, through kubelet's --resolv-conf)."""


def start(corefile: str, version: str, resolv_conf: Sequence[str]) -> tuple[Server, ...]:
    """The server blocks of a CoreDNS that starts with this file.

    Raises:
        CorefileError: it ends instead, with this as its last log line.
    """
    servers = read(corefile)
    for server in servers:
        if len(server.all("forward")) > 1 and _number(version) < SEVERAL_FORWARDS_SINCE:
            raise CorefileError("plugin/forward: this plugin can only be used once per Server Block")
        if server.all("loop") and any(t.startswith(STUB) for t in _targets(server, resolv_conf)):
            raise CorefileError(
                'plugin/loop: Loop (127.0.0.1:53 -> :53) detected for zone ".", '
                'see https://coredns.io/plugins/loop#troubleshooting. Query: "HINFO 4547991504243258144."'
            )
    return servers


def answer(servers: Sequence[Server], query: Query, around: Surroundings) -> Answer:
    """Answer from the server block with the longest matching zone; refuse a name no block is for."""
    by_zone = {zone: server for server in servers for zone in server.zones}
    zone = closest_zone(list(by_zone), query.name)
    if zone is None:
        return Answer("REFUSED")
    server = by_zone[zone]
    if all(directive.name in NO_HANDLERS for directive in server.directives):
        return Answer("REFUSED")
    query = _rewritten(server, query)
    for found in (_template(server, query), _hosts(server, query), _kubernetes(server, query, around)):
        if found is not None:
            return found
    return _forwarded(server, query, around)


def _rewritten(server: Server, query: Query) -> Query:
    """`rewrite [stop|continue] name [exact|prefix|suffix|substring|regex] FROM TO`; the first that fits ends it."""
    name = query.name
    for directive in server.all("rewrite"):
        words = list(directive.arguments)
        goes_on = words[:1] == ["continue"]
        words = words[1:] if words[:1] in (["continue"], ["stop"]) else words
        if words[:1] != ["name"] or len(words) < 3:
            continue
        mode, source, target = words[1:4] if len(words) >= 4 else ("exact", words[1], words[2])
        new = _rename(mode, name, source.rstrip("."), target.rstrip("."))
        if new != name and not goes_on:
            return Query(new, query.kind)
        name = new
    return Query(name, query.kind)


def _rename(mode: str, name: str, source: str, target: str) -> str:
    if mode == "exact":
        return target if name == source else name
    if mode == "prefix":
        return target + name.removeprefix(source) if name.startswith(source) else name
    if mode == "suffix":
        return name.removesuffix(source) + target if name.endswith(source) else name
    if mode == "substring":
        return name.replace(source, target)
    groups = re.fullmatch(source.replace("\\.$", "$").strip("^$"), name)
    return re.sub(r"\{(\d+)\}", lambda m: groups.group(int(m[1])), target) if groups else name


def _template(server: Server, query: Query) -> Answer | None:
    """`template CLASS TYPE [ZONE...]`: the first whose zone, type and expression fit answers, with its `answer` lines.

    One whose type fits and whose expressions do not ends in SERVFAIL, unless it falls through.
    """
    for directive in server.all("template"):
        kind, *zones = directive.arguments[1:]
        if kind not in ("ANY", query.kind) or not any(within(query.name, z) for z in zones or server.zones):
            continue
        lines = {line[0]: line[1:] for line in directive.block}
        if not any(re.search(expression, f"{query.name}.") for expression in lines.get("match", (".*",))):
            if _falls_through(directive, query.name):
                continue
            return Answer("SERVFAIL")
        records = tuple(answer.split()[-1] for answer in lines.get("answer", ()))
        return Answer(cast(Rcode, lines.get("rcode", ("NOERROR",))[0]), records, authoritative=True)
    return None


def _hosts(server: Server, query: Query) -> Answer | None:
    """Exact names only: a wildcard in `hosts` never matches. What is not there is SERVFAIL, for want of a SOA."""
    for directive in server.all("hosts"):
        zones = [a for a in directive.arguments if not a.startswith("/")]
        if not any(within(query.name, z) for z in zones or server.zones):
            return None
        entries = [line for line in directive.block if _is_address(line[0])]
        found = tuple(line[0] for line in entries if query.name in (n.lower().rstrip(".") for n in line[1:]))
        if found:
            return Answer("NOERROR", tuple(a for a in found if _kind(a) == query.kind), authoritative=True)
        return None if _falls_through(directive, query.name) else Answer("SERVFAIL")
    return None


def _kind(address: str) -> str:
    return "AAAA" if ":" in address else "A"


def _kubernetes(server: Server, query: Query, around: Surroundings) -> Answer | None:
    for directive in server.all("kubernetes"):
        zones = [z.rstrip(".") for z in directive.arguments] or list(server.zones)
        zone = closest_zone(zones, query.name)
        if zone is None:
            return None
        found = around.cluster(query)
        if found.rcode == "NXDOMAIN" and _falls_through(directive, query.name):
            return None
        return found
    return None


def _falls_through(directive: Directive, name: str) -> bool:
    return any(
        line[0] == "fallthrough" and any(within(name, zone) for zone in line[1:] or (".",)) for line in directive.block
    )


def _forwarded(server: Server, query: Query, around: Surroundings) -> Answer:
    """The first `forward` whose zone fits; upstreams are tried until one is there, whatever it answers."""
    for directive in server.all("forward"):
        excepted = [z for line in directive.block if line[0] == "except" for z in line[1:]]
        if not within(query.name, directive.arguments[0]) or any(within(query.name, z) for z in excepted):
            continue
        for address in _addresses(directive, around.resolv_conf):
            found = around.upstream(address, query)
            if found.rcode != "TIMEOUT":
                return found
        return Answer("SERVFAIL")
    return Answer("SERVFAIL")  # the end of the chain


def _addresses(directive: Directive, resolv_conf: Sequence[str]) -> list[str]:
    return [a for target in upstreams(directive) for a in (resolv_conf if target.startswith("/") else (target,))]


def _targets(server: Server, resolv_conf: Sequence[str]) -> list[str]:
    return [a for directive in server.all("forward") for a in _addresses(directive, resolv_conf)]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _number(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
