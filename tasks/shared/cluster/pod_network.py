"""Calico on one node: each node's own matter, because its DaemonSet also counts nodes that are not Ready."""

from __future__ import annotations

from nornir.core.task import Task

from tasks.shared.cluster.control_plane import Object, kube
from thinkube_nornir.cluster import condition_true, current_pods, seen, wait_all

_READY = 600.0  # seconds: images are pulled
_PODS = ("v1", "Pod", "kube-system")
_LABEL = "k8s-app=calico-node"


def await_pod_network(task: Task, node: str) -> None:
    """Before Calico is ready on it, its pods have no network."""
    wait_all(
        kube(task),
        *_PODS,
        label_selector=_LABEL,
        field_selector=f"spec.nodeName={node}",
        condition=lambda pods: bool(_ready(pods)),
        what=f"Calico to be ready on {node}",
        timeout=_READY,
    )


def pod_network_trouble(task: Task, node: str) -> str:
    """Empty when there is none."""
    pods = kube(task).list(*_PODS, label_selector=_LABEL, field_selector=f"spec.nodeName={node}")
    if _ready(pods):
        return ""
    return "; ".join(seen(pod) for pod in pods) or f"no pod of DaemonSet calico-node is on {node}"


def _ready(pods: list[Object]) -> list[Object]:
    return [pod for pod in current_pods(pods) if condition_true(pod, "Ready")]
