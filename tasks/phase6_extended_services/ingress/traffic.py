"""What people see of the ingress controllers: requests by HTTP and TLS; each way of publishing is tried with a pod.

They come from a host in the network of the addresses that is no node, where there is one: on nodes kube-proxy takes a
short cut, and hides that nobody answers ARP.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.checks import logs
from tasks.phase6_extended_services.ingress.controllers import GATEWAY, Controller, controllers
from tasks.shared.address_pool import pool_is_in_overlay
from tasks.shared.cluster.control_plane import control_plane, expect, kube
from tasks.shared.cluster.probes import probe_image
from thinkube_nornir.cluster import probe_server
from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.context import context, on, setting
from thinkube_nornir.errors import CheckFailed, DeadlinePassed, Unreachable
from thinkube_nornir.outcome import passed, skipped
from thinkube_nornir.program import command
from thinkube_nornir.remote import fresh, run, wait_until
from thinkube_nornir.templates import render_yaml

DEADLINE = 30.0  # seconds a check gives new addresses to be announced and new Ingress objects to be served
NOT_FOUND = "404 page not found"
"""Traefik's own words for a request that no route takes."""
_PUBLIC = "letsencrypt-prod"
"""The one issuer that every client trusts already."""
_COMMAND = ("httpd", "-f", "-p", "8080", "-h", "/etc")  # so that /hostname is the pod's name
_AT_ONCE = 0.1
_LIMIT = "10"  # seconds one request may take
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Response:
    status: int
    """0 when there was none."""
    body: str
    said: str = ""
    """curl's own words."""

    @property
    def is_traefiks(self) -> bool:
        return self.status == 404 and self.body.strip() == NOT_FOUND

    def __str__(self) -> str:
        return f"{self.status}: {self.body.strip()[:200]}" if self.status else self.said or "nothing"


@dataclass(frozen=True)
class Way:
    """A way to the probe pod: a host name that one controller alone must answer for.

    Args:
        suffix: of the host name, different for each way.
        class_name: of its Ingress; empty for a route to the controller's Gateway.
    """

    controller: Controller
    suffix: str
    class_name: str = ""

    @property
    def schemes(self) -> tuple[str, ...]:
        return ("https",) if self.class_name else ("http", "https")

    def host(self, name: str) -> str:
        return f"{name}-{self.suffix}.{self.controller.domain}"

    def __str__(self) -> str:
        return f"class {self.class_name}" if self.class_name else f"Gateway {self.controller.namespace}/{GATEWAY}"


def parse(done: Completed) -> Response:
    body, _, status = done.text.rpartition("\n")
    said = done.stderr.decode(errors="backslashreplace").strip()
    return Response(int(status), body, said) if done.status == 0 else Response(0, "", said or f"status {done.status}")


def get(task: Task, url: str, controller: Controller) -> Fact[Response]:
    """A request to the controller, whatever the URL's name resolves to; by HTTPS its authority is verified."""
    parts, address = urlsplit(url), controller.address
    name = f"{parts.hostname}:{_PORTS[parts.scheme]}:{address}"
    where = () if parts.hostname == address else ("--resolve", name)
    trusted = _trusted(task, controller) if parts.scheme == "https" else b""
    trust = ("--cacert", "/dev/stdin") if trusted else ()
    plain = ("curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", _LIMIT)
    argv = (*plain, *where, *trust, "--write-out", r"\n%{http_code}", url)
    return Fact(f"{url} at {address}", argv, parse, accept=None, stdin=trusted)


def _trusted(task: Task, controller: Controller) -> bytes:
    """What must be in the chain that the controller shows, PEM; empty for what every client trusts.

    Its authority, else the certificate itself: curl accepts a chain that ends in any certificate it was given.
    """
    if setting(task, "acme_issuer") == _PUBLIC:
        return b""
    data = (kube(task).get("v1", "Secret", controller.secret, controller.namespace) or {}).get("data") or {}
    return base64.b64decode(data.get("ca.crt") or data.get("tls.crt") or "")


def _observer(task: Task) -> Task:
    """The step, acting on the host that asks: of the overlay, if the addresses are the overlay's; else of the LAN.

    Raises:
        CheckFailed: none can be reached.
    """
    name = "zerotier_ip" if pool_is_in_overlay(task) else "lan_ip"
    found = [host for host in context(task).inventory.hosts.values() if host.get(name)]
    outside = [host for host in found if not host.has_parent_group("microk8s")]
    refusals = []
    for there in (on(task, host) for host in outside or [control_plane(task).host]):
        try:
            run(there, "true")
        except Unreachable as error:
            refusals.append(f"{there.host.name}: {error.what}")
        else:
            return there
    what, fix = "no host can ask the ingress controllers", "make one of these hosts reachable, then verify again"
    raise CheckFailed(what, why="\n".join(refusals), fix=fix)


def _answer(there: Task, request: Fact[Response], status: int, until: float) -> Response:
    """Waits for this status until a time on time.monotonic()'s clock; the last answer when it never came."""
    left = max(until - time.monotonic(), _AT_ONCE)
    try:
        return wait_until(there, request, lambda r: r.status == status, what=request.name, timeout=left, every=1.0)
    except DeadlinePassed:
        return fresh(there, request)


def unknown_names_are_not_found(task: Task) -> Result:
    """404 from Traefik itself: at each address by HTTP, and below the domain under the right certificate by HTTPS."""
    there, until = _observer(task), time.monotonic() + DEADLINE
    urls = [
        (c, url) for c in controllers(task) for url in (f"http://{c.address}/", f"https://thinkube-probe.{c.domain}/")
    ]
    found = {(c, url): _answer(there, get(task, url, c), 404, until) for c, url in urls}
    wrong = [f"{c}: {url} from {there.host.name}: {r}" for (c, url), r in found.items() if not r.is_traefiks]
    fix = (
        "the address must be free, and lead here; who announces it: `kubectl -n metallb-system logs daemonset/speaker`"
    )
    fix += f"; its certificate: `{command('verify', 'phase6.cert_manager')}`"
    expect(not wrong, "an unknown name is not answered with 404 by Traefik", why="\n".join(wrong), fix=fix)
    return passed(task, f"{', '.join(c.address for c in controllers(task))} answer {there.host.name}, by HTTPS as well")


def each_way_answers_on_its_own_address(task: Task) -> Result:
    """Ingress objects of every class, those of ingress-nginx's too, and a route to each Gateway."""
    if context(task).dry_run:
        return skipped(task, "a dry run starts no pods")
    there = _observer(task)
    named = [(c, number, name) for c in controllers(task) for number, name in enumerate(c.classes)]
    ways = [Way(c, f"{c.role}-{number}", name) for c, number, name in named]
    ways += [Way(c, f"{c.role}-route") for c in controllers(task)]

    def objects(name: str) -> list[dict[str, object]]:
        return render_yaml(task, "ingress/probe.yaml.j2", name=name, ways=ways, gateway=GATEWAY)

    with probe_server(kube(task), "thinkube-probe", probe_image(task), _COMMAND, ways=objects) as name:
        until = time.monotonic() + DEADLINE
        wrong = [message for way in ways for message in _faults(task, there, way, name, until)]
    fix = f"see what the controllers say: {logs(task)}"
    expect(not wrong, "a class or Gateway does not answer on its own address alone", why="\n".join(wrong), fix=fix)
    return passed(task, ", ".join(f"{way} answers on {way.controller.address} alone" for way in ways))


def _faults(task: Task, there: Task, way: Way, name: str, until: float) -> Iterator[str]:
    """The pod must be found on the controller's address, and nowhere else."""
    for scheme in way.schemes:
        url = f"{scheme}://{way.host(name)}/hostname"
        own = _answer(there, get(task, url, way.controller), 200, until)
        if own.status != 200 or not own.body.startswith(name):
            yield f"{way}: {url} at {way.controller.address}: expected the answer of {name}, seen {own}"
            continue
        for other in controllers(task):
            found = fresh(there, get(task, url, other)) if other != way.controller else None
            if found is not None and found.status != 404:
                yield f"{url} is of {way}, and {other} answers it, too, at {other.address}: {found}"
