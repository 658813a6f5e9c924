"""A request's way: of the routes that fit, the one with the longest rule; then a pod of its service answers.

Source: traefik/traefik@v3.7.9 pkg/muxer/http/mux.go
Source: traefik/traefik@v3.7.9 pkg/server/router/router.go
Source: traefik/traefik@v3.7.9 pkg/server/service/loadbalancer/wrr/wrr.go
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.lab.pods import WEB_SERVER
from tasks.lab.traefik.instance import ready_pods
from thinkube_nornir.lab.kube import Cluster, Object
from thinkube_nornir.lab.kube.objects import name_of


@dataclass(frozen=True)
class Backend:
    """A service; without one, every request is answered with 500."""

    service: Object | None


@dataclass(frozen=True)
class Route:
    """
    Args:
        hosts: names, also `*.example.org`; none for all.
        strict: a prefix matches whole elements of a path only.
        schemes: `http`, `https`.
        redirected: by HTTP it only leads to HTTPS.
    """

    hosts: tuple[str, ...]
    path: str
    exact: bool
    strict: bool
    schemes: frozenset[str]
    backends: tuple[Backend, ...]
    redirected: bool = False

    def fits(self, scheme: str, host: str, path: str) -> bool:
        hosts = not self.hosts or any(is_for(wanted, host) for wanted in self.hosts)
        return scheme in self.schemes and hosts and self._leads(path)

    def _leads(self, path: str) -> bool:
        wanted = self.path
        if self.exact or not wanted:
            return path == wanted or not wanted
        if self.strict:
            return path == wanted.rstrip("/") or path.startswith(f"{wanted.rstrip('/')}/")
        return path.startswith(wanted)

    @property
    def weight(self) -> int:
        """The length of the rule, which is a router's priority."""
        return len(" || ".join(self.hosts)) + len(self.path)


@dataclass(frozen=True)
class Answer:
    status: int
    body: str = ""


NOT_FOUND = Answer(404, "404 page not found\n")


def is_for(wanted: str, host: str) -> bool:
    if wanted.startswith("*."):
        return host.partition(".")[2] == wanted[2:]
    return wanted == host


def respond(cluster: Cluster, routes: Iterable[Route], scheme: str, host: str, path: str) -> Answer:
    fitting = [route for route in routes if route.fits(scheme, host.lower(), path)]
    if not fitting:
        return NOT_FOUND
    best = max(fitting, key=lambda route: route.weight)
    if best.redirected and scheme == "http":
        return Answer(308, "Permanent Redirect")
    service = best.backends[0].service if best.backends else None
    if service is None:
        return Answer(500, "Internal Server Error\n")
    pods = ready_pods(cluster, service)
    return _pod(pods[0], path) if pods else Answer(503, "no available server\n")


def _pod(pod: Object, path: str) -> Answer:
    """The one thing that pods of the lab can serve: busybox' web server over /etc, so /hostname is the pod's name."""
    command = pod["spec"]["containers"][0].get("command") or []
    if tuple(command[:2]) != WEB_SERVER:
        return Answer(502, "Bad Gateway")
    if path == "/hostname" and command[-2:] == ["-h", "/etc"]:
        return Answer(200, f"{name_of(pod)}\n")
    return Answer(404, "<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD></HTML>\n")
