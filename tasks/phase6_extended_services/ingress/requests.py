"""Requests to the ingress controllers, as people make them: by HTTP, from a host in the network of their addresses.

From a host that is no node, where there is one: on nodes kube-proxy takes a short cut, and hides that nobody answers
ARP.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from nornir.core.inventory import Host
from nornir.core.task import Task

from tasks.shared.address_pool import pool_is_in_overlay
from tasks.shared.cluster.control_plane import control_plane
from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.context import context, on
from thinkube_nornir.errors import CheckFailed, DeadlinePassed, Unreachable
from thinkube_nornir.remote import fresh, run, wait_until

DEADLINE = 30.0  # seconds a check gives new addresses to be announced and new Ingress objects to be served
_AT_ONCE = 0.1
_LIMIT = "10"  # seconds one request may take


@dataclass(frozen=True)
class Response:
    status: int
    """0 when there was none."""
    body: str
    said: str = ""
    """curl's own words."""

    def __str__(self) -> str:
        return f"{self.status}: {self.body.strip()[:200]}" if self.status else self.said or "nothing"


def parse(done: Completed) -> Response:
    body, _, status = done.text.rpartition("\n")
    said = done.stderr.decode(errors="backslashreplace").strip()
    return Response(int(status), body, said) if done.status == 0 else Response(0, "", said or f"status {done.status}")


def get(url: str, address: str, trusted: str = "") -> Fact[Response]:
    """A request to `address`, whatever the URL's name resolves to.

    Args:
        trusted: certificates of which one must be in the server's chain, PEM; empty for the host's own store.
    """
    parts = urlsplit(url)
    where = () if parts.hostname == address else ("--resolve", f"{parts.hostname}:{_port(parts.scheme)}:{address}")
    trust = ("--cacert", "/dev/stdin") if trusted else ()
    plain = ("curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", _LIMIT)
    argv = (*plain, *where, *trust, "--write-out", r"\n%{http_code}", url)
    return Fact(f"{url} at {address}", argv, parse, accept=None, stdin=trusted.encode())


def _port(scheme: str) -> int:
    return {"http": 80, "https": 443}[scheme]


def observer(task: Task) -> Task:
    """The step, acting on the host that asks.

    Raises:
        CheckFailed: none can be reached.
    """
    refusals = []
    for host in _members(task):
        there = on(task, host)
        try:
            run(there, "true")
        except Unreachable as error:
            refusals.append(f"{host.name}: {error.what}")
        else:
            return there
    raise CheckFailed(
        "no host can ask the ingress controllers",
        why="\n".join(refusals),
        fix="make one of these hosts reachable, then verify again",
    )


def _members(task: Task) -> list[Host]:
    """Of the overlay, if the addresses are the overlay's; else of the LAN."""
    name = "zerotier_ip" if pool_is_in_overlay(task) else "lan_ip"
    found = [host for host in context(task).inventory.hosts.values() if host.get(name)]
    outside = [host for host in found if not host.has_parent_group("microk8s")]
    return outside or [control_plane(task).host]


def deadline_passes() -> float:
    """For one check, on time.monotonic()'s clock."""
    return time.monotonic() + DEADLINE


def answered(there: Task, request: Fact[Response], status: int, until: float) -> Response:
    """The answer, with some patience for this status; the last one when it never came."""
    left = max(until - time.monotonic(), _AT_ONCE)
    try:
        return wait_until(
            there, request, lambda seen: seen.status == status, what=request.name, timeout=left, every=1.0
        )
    except DeadlinePassed:
        return fresh(there, request)
