"""Pods of the lab: a command really runs on the node's host; a CoreDNS pod serves the ConfigMap's Corefile."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.lab import coredns, internet
from tasks.lab.corefile import CorefileError, Server
from tasks.lab.dns import Answer, Query, ask_server
from tasks.lab.microk8s import containerd
from tasks.lab.microk8s.node import DNS_ADDRESS, Node, alive, control_of, node_of, nodes
from tasks.lab.resolver import upstream_servers
from thinkube_nornir.lab.emulation import Lab, LabHost
from thinkube_nornir.lab.kube import ImagePullError, Object, PodExit, PodRuntime

BIN = "/opt/lab-pod/bin"
"""Comes first in a pod's PATH: the programs whose answer depends on being in a pod."""
POD_ENV = "LAB_POD"
"""`namespace/name` in the environment of everything a pod runs."""
REGISTRIES: tuple[str, ...] = ("docker.io", *internet.REGISTRIES)
FOREVER = 3600  # a pod that sleeps an hour or more keeps running, and needs no process for it
LONGEST = 300.0
WEB_SERVER = ("httpd", "-f")
SYSTEM = "kube-system"


@dataclass
class Serving:
    """One running CoreDNS pod: the file it serves, and since when another one waits in the ConfigMap."""

    text: str
    servers: tuple[Server, ...]
    refused: str = ""
    seen: str = ""
    since: float = 0.0


Program = Callable[[Node, Object], Awaitable[PodExit | None]]
PROGRAMS: dict[str, Program] = {}
"""What images do when their container starts, by name without tag; a container of another one runs its command."""


def runtime(lab: Lab) -> PodRuntime:
    async def run(pod: Object, node_name: str) -> PodExit | None:
        node = next((n for n in nodes(lab) if n.name == node_name), None)
        if node is None:
            return None
        container = pod["spec"]["containers"][0]
        pull(node.host, str(container["image"]))
        _must_have_a_runtime(node, pod)
        if program := PROGRAMS.get(str(container["image"]).partition("@")[0].rpartition(":")[0]):
            return await program(node, pod)
        if (pod["metadata"].get("labels") or {}).get("k8s-app") == "kube-dns":
            start_coredns(node, pod)
            return None
        command = [str(w) for w in (*(container.get("command") or ()), *(container.get("args") or ()))]
        if not container.get("command") or keeps_running(command):
            return None
        return await run_command(node.host, pod, command, container.get("env") or ())

    return run


def _must_have_a_runtime(node: Node, pod: Object) -> None:
    """Raises RuntimeError: containerd cannot start the pod with its RuntimeClass's handler, or with the default one."""
    name, control = str(pod["spec"].get("runtimeClassName") or ""), control_of(node)
    found = control.api.get("node.k8s.io/v1", "RuntimeClass", name) if name and control else None
    if told := containerd.refusal(node.host, str(found["handler"]) if found else ""):
        raise RuntimeError(told)


def pull(host: LabHost, image: str) -> None:
    """Raises ImagePullError: a registry nobody knows, or one whose name the node cannot resolve."""
    first, slash, _ = image.partition("/")
    registry = first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"
    name = "registry-1.docker.io" if registry == "docker.io" else registry
    if registry not in REGISTRIES:
        raise ImagePullError(f'failed to pull and unpack image "{image}": dial tcp: lookup {registry}: no such host')
    found = internet.addresses_of(host, name)
    if not internet.is_reached(host, name):
        told = f"dial tcp {found[0]}:443: i/o timeout" if found else f"dial tcp: lookup {name}: no such host"
        raise ImagePullError(f'failed to pull and unpack image "{image}": {told}')


def keeps_running(command: Sequence[str]) -> bool:
    """Also busybox' web server: traefik/routes.py answers for it."""
    if tuple(command[:2]) == WEB_SERVER:
        return True
    if len(command) != 2 or command[0] != "sleep":
        return False
    return command[1] == "infinity" or (command[1].isdigit() and int(command[1]) >= FOREVER)


async def run_command(host: LabHost, pod: Object, command: list[str], env: Sequence[dict[str, Any]] = ()) -> PodExit:
    """On the node's host, with what a pod has in its environment."""
    at = pod["metadata"]
    given = {e["name"]: str(e.get("value", "")) for e in env}
    path = f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    inside = {**given, "PATH": path, POD_ENV: f"{at.get('namespace', 'default')}/{at['name']}", "HOSTNAME": at["name"]}
    limit = float(pod["spec"].get("activeDeadlineSeconds") or LONGEST)
    reply = await host.run(command, env=inside, timeout=limit)
    return PodExit(reply.status, _bytes(reply.stdout) + _bytes(reply.stderr))


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


def start_coredns(node: Node, pod: Object) -> None:
    """Reads the ConfigMap as it is now.

    Raises:
        CorefileError: it cannot serve this file; for the kubelet a container that does not start.
    """
    control = control_of(node)
    if control is None:
        raise CorefileError("no connection to the cluster's API")
    text = _corefile(control)
    name = pod["metadata"]["name"]
    serving(control).pop(name, None)  # a container that starts again serves nothing until it has started
    version = str(pod["spec"]["containers"][0]["image"]).rpartition(":")[2]
    servers = coredns.start(text, version, pod_upstreams(node))
    serving(control)[name] = Serving(text, servers)
    control.host.state["coredns_version"] = version


def serving(control: Node) -> dict[str, Serving]:
    """The CoreDNS pods that answer, by name; those that are gone are forgotten."""
    known: dict[str, Serving] = control.host.state.setdefault("coredns", {})
    for name in list(known):
        if control.api.get("v1", "Pod", name, SYSTEM) is None:
            del known[name]
    return known


def _corefile(control: Node) -> str:
    found = control.api.get("v1", "ConfigMap", "coredns", SYSTEM) or {}
    return str((found.get("data") or {}).get("Corefile", ""))


def pod_upstreams(node: Node) -> tuple[str, ...]:
    """Name servers of a pod with dnsPolicy Default: the file kubelet's --resolv-conf names, else /etc/resolv.conf."""
    path = node.loaded.get("kubelet", {}).get("--resolv-conf", "/etc/resolv.conf")
    if path == "/run/systemd/resolve/resolv.conf":
        return tuple(upstream_servers(node.host))
    lines = node.host.files.read(path).decode().splitlines() if node.host.files.exists(path) else []
    return tuple(w[1] for w in (line.split() for line in lines) if len(w) > 1 and w[0] == "nameserver")


def _reload(node: Node, state: Serving, text: str) -> None:
    """Plugin reload: some time after the ConfigMap changed the new file is served; one that is wrong is ignored."""
    if text == state.text or not any(s.all("reload") for s in state.servers):
        return
    if text != state.seen:
        state.seen, state.since = text, time.monotonic()
    delay = float(node.host.settings.get("lab_reload_seconds", 0.0))
    if time.monotonic() - state.since < delay or state.refused == text:
        return
    try:
        version = node.host.state["coredns_version"]
        state.servers, state.text = coredns.start(text, version, pod_upstreams(node)), text
    except CorefileError:
        state.refused = text


def ask_coredns(node: Node, query: Query) -> Answer:
    """What the service kube-dns answers a pod or host of this cluster."""
    control = control_of(node)
    if control is None or not node.runs("kubelite") or not alive(node):
        return Answer("TIMEOUT")
    state = next(iter(serving(control).values()), None)
    if state is None:
        return Answer("TIMEOUT")
    _reload(control, state, _corefile(control))
    around = coredns.Surroundings(
        cluster=lambda q: cluster_answer(control, q),
        upstream=lambda server, q: _upstream(control, server, q),
        resolv_conf=pod_upstreams(control),
    )
    return coredns.answer(state.servers, query, around)


def ask_as_pod(node: Node, server: str, query: Query) -> Answer:
    """Ask a name server by its address from a pod of this node; a pod of CoreDNS answers at its own, too."""
    control = control_of(node)
    if control is None or server == DNS_ADDRESS:
        return ask_coredns(node, query)
    for name in serving(control):
        pod = control.api.get("v1", "Pod", name, SYSTEM) or {}
        if (pod.get("status") or {}).get("podIP") == server:
            return ask_coredns(node, query)
    return ask_server(node.host.lab, node.host, server, query)


def _upstream(control: Node, server: str, query: Query) -> Answer:
    """A loopback server inside the CoreDNS pod is CoreDNS itself, or nobody."""
    if server.startswith("127."):
        return Answer("TIMEOUT")
    return ask_server(control.host.lab, control.host, server, query)


def ask_cluster_dns(host: LabHost, server: str, query: Query) -> Answer | None:
    """For a look-up from a host: None when `server` is not the cluster's DNS service."""
    if server != DNS_ADDRESS:
        return None
    node = node_of(host)
    return ask_coredns(node, query) if node is not None else Answer("TIMEOUT")


def cluster_answer(control: Node, query: Query) -> Answer:
    """Services and pods of cluster.local, and the reverse names of services."""
    if query.name.endswith(".in-addr.arpa"):
        return _reverse(control, query)
    labels = query.name.removesuffix("cluster.local").rstrip(".").split(".")
    if labels in ([""], ["svc"], ["pod"]):
        return Answer("NOERROR", authoritative=True)
    if labels[-1] == "pod" and len(labels) == 3:
        address = labels[0].replace("-", ".")
        return Answer("NOERROR", (address,) if query.kind == "A" else (), authoritative=True)
    if labels[-1] != "svc" or len(labels) > 3:
        return Answer("NXDOMAIN", authoritative=True)
    name = labels[0] if len(labels) == 3 else ""
    services = [s for s in control.api.list("v1", "Service", labels[-2]) if not name or s["metadata"]["name"] == name]
    if not services:
        return Answer("NXDOMAIN", authoritative=True)
    data = _addresses(control, services[0]) if name and query.kind == "A" else ()
    return Answer("NOERROR", data, authoritative=True)


def _addresses(control: Node, service: Object) -> tuple[str, ...]:
    address = str(service["spec"].get("clusterIP", ""))
    if address and address != "None":
        return (address,)
    at = service["metadata"]
    endpoints = control.api.get("v1", "Endpoints", at["name"], at["namespace"]) or {}
    return tuple(a["ip"] for s in endpoints.get("subsets") or () for a in s.get("addresses") or ())


def _reverse(control: Node, query: Query) -> Answer:
    address = ".".join(query.name.removesuffix(".in-addr.arpa").split(".")[::-1])
    for service in control.api.list("v1", "Service"):
        if service["spec"].get("clusterIP") == address:
            at = service["metadata"]
            return Answer("NOERROR", (f"{at['name']}.{at['namespace']}.svc.cluster.local",), authoritative=True)
    return Answer("NXDOMAIN", authoritative=True)
