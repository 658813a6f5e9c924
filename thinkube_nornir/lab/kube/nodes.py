"""Nodes: how they register, and what their state means for the pods on them.

A kubelet that says its node is not ready makes the conditions False; one that says nothing any more, Unknown.

Source: kubernetes/kubernetes@003e86297d18 pkg/controller/nodelifecycle/node_lifecycle_controller.go
Unproven: a node keeps its pods however long it is away, where the real one marks them for deletion after five minutes
    (pkg/controller/tainteviction); and how many things a kubelet writes into its node's status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.deletion import Deletion
from thinkube_nornir.lab.kube.objects import Object, condition, dig, is_true, name_of, now, with_condition

if TYPE_CHECKING:
    from thinkube_nornir.lab.kube.cluster import Cluster

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
SILENT = "NodeStatusUnknown"
"""Why a node is not ready whose kubelet is away."""
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_CAPACITY = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "110"}
_PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory"),
    ("DiskPressure", "KubeletHasNoDiskPressure"),
    ("PIDPressure", "KubeletHasSufficientPID"),
)


def register(cluster: Cluster, name: str, address: str, labels: dict[str, str], version: str) -> Object:
    """What a kubelet does when it starts: create its node, or bring its status up to date."""
    node = cluster.get("v1", "Node", name) or cluster.create(_node(name, labels), manager="kubelet")
    if labels:
        node = cluster.update(
            {**node, "metadata": node["metadata"] | {"labels": {**node["metadata"]["labels"], **labels}}}
        )
    status = dig(node, "status", default={})
    return cluster.set_status(
        node,
        manager="kubelet",
        addresses=[{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        capacity=_CAPACITY | status.get("capacity", {}),
        allocatable=_CAPACITY | status.get("allocatable", {}),
        nodeInfo=_info(version),
        conditions=ready_conditions(node, True, ""),
    )


def _node(name: str, labels: dict[str, str]) -> Object:
    base = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": base | labels}}


def _info(version: str) -> Object:
    empty = ("machineID", "systemUUID", "bootID")
    return dict.fromkeys(empty, "") | {
        "architecture": "amd64",
        "operatingSystem": "linux",
        "osImage": "Ubuntu 24.04 LTS",
        "kernelVersion": "6.8.0-lab",
        "containerRuntimeVersion": "containerd://1.7.23",
        "kubeletVersion": version,
        "kubeProxyVersion": version,
    }


def ready_conditions(node: Object, ready: bool, reason: str) -> list[Object]:
    """The node's conditions with Ready as it is now."""
    conditions: list[Object] = dig(node, "status", "conditions", default=[])
    if reason == SILENT:
        reported = "Kubelet stopped posting node status."
        for kind in ("Ready", *(kind for kind, _ in _PRESSURES)):
            beat = {"lastHeartbeatTime": (condition(node, kind) or {}).get("lastHeartbeatTime") or now()}
            conditions = with_condition(conditions, kind, "Unknown", reason, reported, **beat)
        return conditions
    for kind, fine in _PRESSURES:
        conditions = with_condition(conditions, kind, False, fine, lastHeartbeatTime=now())
    why = reason or ("KubeletReady" if ready else "KubeletNotReady")
    reported = "kubelet is posting ready status" if ready else "container runtime network not ready"
    return with_condition(conditions, "Ready", ready, why, reported, lastHeartbeatTime=now())


class NodeLifecycle(Controller):
    """Taints nodes that are not ready or cordoned, and tells their pods."""

    elected = True
    kind = ("v1", "Node")

    def reconcile(self, obj: Object) -> None:
        ready = is_true(obj, "Ready")
        silent = (condition(obj, "Ready") or {}).get("status") == "Unknown"
        self._taint(obj, NOT_READY, wanted=not ready and not silent)
        self._taint(obj, UNREACHABLE, wanted=silent)
        self._taint(obj, UNSCHEDULABLE, wanted=bool(obj["spec"].get("unschedulable")))
        if not ready:
            for pod in self._pods(obj):
                if is_true(pod, "Ready"):
                    self.cluster.set_condition(pod, "Ready", False, "NodeNotReady")

    def gone(self, obj: Object) -> None:
        """Pods of a node that is no more are removed, also those that wait for its kubelet to end them."""
        for pod in self._pods(obj):
            self.cluster.remove(pod, how=Deletion(grace=0))

    def _pods(self, node: Object) -> list[Object]:
        return [pod for pod in self.cluster.list("v1", "Pod") if pod["spec"].get("nodeName") == name_of(node)]

    def _taint(self, node: Object, key: str, *, wanted: bool) -> None:
        fresh = self.cluster.get("v1", "Node", name_of(node)) or node
        taints = fresh["spec"].get("taints") or []
        if any(taint["key"] == key for taint in taints) == wanted:
            return
        kept = [taint for taint in taints if taint["key"] != key]
        fresh["spec"]["taints"] = [*kept, {"key": key, "effect": "NoSchedule"}] if wanted else kept
        if not fresh["spec"]["taints"]:
            del fresh["spec"]["taints"]
        self.cluster.update(fresh)
