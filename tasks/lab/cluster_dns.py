"""The cluster's DNS service: the pods of CoreDNS, which file each serves, and which of them answers a node.

Source: canonical/microk8s-core-addons@1.35 addons/dns/coredns.yaml
Source: coredns/coredns@v1.10.1 plugin/reload/setup.go
Source: coredns/coredns@v1.10.1 plugin/health/health.go
Source: coredns/coredns@v1.10.1 plugin/kubernetes/kubernetes.go
Unproven: kube-proxy of another node sends to the old pod for 3 s after a roll-out: seen were "seconds".
Unproven: a changed ConfigMap is served after 60 s, which is about what the kubelet's sync and plugin reload take.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.lab import coredns
from tasks.lab.corefile import CorefileError, Server
from tasks.lab.dns import Answer, Query, ask_server
from tasks.lab.microk8s.node import DNS_ADDRESS, Node, alive, control_of, node_of
from tasks.lab.state import upstream_servers
from thinkube_nornir.lab.emulation import LabHost
from thinkube_nornir.lab.kube import Object

SYSTEM = "kube-system"
LAMEDUCK = 5.0  # seconds for which a pod of CoreDNS that is to end goes on answering
PROXY_LAG = 3.0
RELOADED = 60.0


@dataclass
class Serving:
    """One running CoreDNS pod, and the file it serves."""

    text: str
    servers: tuple[Server, ...]
    node: str
    version: str
    refused: str = ""
    ending: float = 0.0
    """When its end began, on time.monotonic()'s clock."""


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
    serving(control)[name] = Serving(text, servers, node.name, version)


def is_coredns(pod: Object) -> bool:
    return (pod["metadata"].get("labels") or {}).get("k8s-app") == "kube-dns"


def end_coredns(node: Node, pod: Object) -> None:
    """SIGTERM has come: it goes on answering as before, for whoever still asks it."""
    control = control_of(node)
    state = serving(control).get(pod["metadata"]["name"]) if control is not None else None
    if state is not None:
        state.ending = time.monotonic()


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


def _reload(control: Node, state: Serving) -> None:
    """Plugin reload: some time after the ConfigMap changed the new file is served; one that is wrong is ignored."""
    text = _corefile(control)
    if text in (state.text, state.refused) or not any(s.all("reload") for s in state.servers):
        return
    if _unchanged_for(control) < RELOADED / control.host.lab.speed:
        return
    try:
        state.servers, state.text = coredns.start(text, state.version, pod_upstreams(control)), text
    except CorefileError:
        state.refused = text


def _unchanged_for(control: Node) -> float:
    """Seconds since the ConfigMap was written, by the API's own stamps."""
    found = control.api.get("v1", "ConfigMap", "coredns", SYSTEM) or {}
    stamps = [e["time"] for e in (found.get("metadata") or {}).get("managedFields") or () if e.get("time")]
    return (datetime.now(UTC) - datetime.fromisoformat(max(stamps))).total_seconds() if stamps else RELOADED


def ask_coredns(node: Node, query: Query) -> Answer:
    """What the service kube-dns answers a pod or host of this cluster."""
    control = control_of(node)
    if control is None or not node.runs("kubelite") or not alive(node):
        return Answer("TIMEOUT")
    name = _chosen(node, control)
    return Answer("TIMEOUT") if name is None else _ask_pod(control, name, query)


def _chosen(node: Node, control: Node) -> str | None:
    """The pod that kube-proxy of this node sends to: one that is ending as long as the node has not heard of it."""
    lag, now, states = PROXY_LAG / control.host.lab.speed, time.monotonic(), serving(control)
    for name, state in states.items():
        if state.ending and state.node != node.name and now - state.ending < lag:
            return name
    ready = _endpoints(control)
    return next((n for n, state in states.items() if not state.ending and (ready is None or n in ready)), None)


def _endpoints(control: Node) -> set[str] | None:
    """Pods behind the service; None while nobody keeps its endpoints."""
    found = control.api.get("v1", "Endpoints", "kube-dns", SYSTEM)
    if found is None:
        return None
    addresses = [a for subset in found.get("subsets") or () for a in subset.get("addresses") or ()]
    return {str((a.get("targetRef") or {}).get("name")) for a in addresses}


def _ask_pod(control: Node, name: str, query: Query) -> Answer:
    state = serving(control)[name]
    _reload(control, state)
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
            return _ask_pod(control, name, query)
    return ask_server(node.host.lab, node.host, server, query)


def _upstream(control: Node, server: str, query: Query) -> Answer:
    """A loopback server inside the CoreDNS pod is CoreDNS itself, or nobody."""
    if server.startswith("127."):
        return Answer("TIMEOUT")
    return ask_server(control.host.lab, control.host, server, query)


def ask_cluster_dns(host: LabHost, server: str, query: Query) -> Answer | None:
    """What the cluster's DNS service answers a host; None when `server` is another one."""
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
