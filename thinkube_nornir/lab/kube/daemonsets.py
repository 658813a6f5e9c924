"""DaemonSets: one pod on each node that matches and whose taints it tolerates; some it always does.

Not among those is the one that keeps other pods from a node that is not ready: unless its template tolerates it, a
DaemonSet makes no pod there and does not count the node, and the pod that is there already stays.

Source: kubernetes/kubernetes@0033f658085b pkg/controller/daemon/daemon_controller.go (NodeShouldRunDaemonPod)
Source: kubernetes/kubernetes@05c351a9037b pkg/controller/daemon/util/daemonset_util.go
Source: kubernetes/kubernetes@05028d320f4f pkg/controller/daemon/update.go (rollingUpdate)
Unproven: a pod is bound to its node here at once, and maxSurge is not followed; the real one leaves the binding to the
    scheduler.
"""

from __future__ import annotations

from collections.abc import Iterable

from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.deployments import share, template_hash
from thinkube_nornir.lab.kube.objects import (
    Key,
    Object,
    controller_of,
    is_true,
    labels_of,
    name_of,
    namespace_of,
    owned_by,
    terminating,
)
from thinkube_nornir.lab.kube.replicasets import pod_of
from thinkube_nornir.lab.kube.scheduler import ENDED, matches, untolerated

HASH = "controller-revision-hash"


def _toleration(name: str, effect: str) -> Object:
    return {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect}


_TOLERATIONS = [
    _toleration(name, effect)
    for name, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    )
]


class DaemonSets(Controller):
    elected = True
    kind = ("apps/v1", "DaemonSet")
    watches = (("v1", "Pod"), ("v1", "Node"))

    def concerned(self, changed: Object) -> Iterable[Key]:
        if changed["kind"] == "Node":
            return self.every()
        owner = controller_of(changed)
        return [(namespace_of(changed), owner["name"])] if owner and owner["kind"] == "DaemonSet" else []

    def reconcile(self, obj: Object) -> None:
        if terminating(obj):
            return
        fits = {name_of(node): _fits(obj, node) for node in self.cluster.list("v1", "Node")}
        nodes = {node for node, (run, _) in fits.items() if run}
        mine = [pod for pod in self.cluster.list("v1", "Pod", namespace_of(obj)) if owned_by(pod, obj)]
        living = [pod for pod in mine if not terminating(pod)]
        self._remove_surplus(obj, living, nodes, {node for node, (_, stay) in fits.items() if stay})
        held = {pod["spec"]["nodeName"] for pod in mine}
        for node in sorted(nodes - held):
            self.cluster.create(self._pod(obj, node))
        self._report(obj, living, nodes)

    def _remove_surplus(self, obj: Object, pods: list[Object], nodes: set[str], stay: set[str]) -> None:
        """Pods that ended or stray; those of an old template that are not ready, others as maxUnavailable allows."""
        for pod in pods:
            if pod["spec"]["nodeName"] not in stay or pod["status"].get("phase") in ENDED:
                self.cluster.remove(pod)
        strategy = obj["spec"]["updateStrategy"]
        if strategy["type"] != "RollingUpdate":
            return
        current = template_hash(obj["spec"]["template"])
        ready = [pod for pod in pods if is_true(pod, "Ready") and pod["spec"]["nodeName"] in nodes]
        spare = share(strategy["rollingUpdate"]["maxUnavailable"], len(nodes), up=True) - (len(nodes) - len(ready))
        for pod in pods:
            if labels_of(pod).get(HASH) != current and (pod not in ready or spare > 0):
                spare -= int(pod in ready)
                self.cluster.remove(pod)

    def _pod(self, obj: Object, node: str) -> Object:
        pod = pod_of(obj, nodeName=node)
        labels = pod["metadata"].get("labels") or {}
        pod["metadata"]["labels"] = labels | {HASH: template_hash(obj["spec"]["template"])}
        pod["spec"]["tolerations"] = _tolerations(obj)
        return pod

    def _report(self, obj: Object, living: list[Object], nodes: set[str]) -> None:
        pods = [pod for pod in living if pod["spec"]["nodeName"] in nodes]
        ready = sum(is_true(pod, "Ready") for pod in pods)
        current = template_hash(obj["spec"]["template"])
        self.cluster.set_status(
            obj,
            observedGeneration=obj["metadata"]["generation"],
            desiredNumberScheduled=len(nodes),
            currentNumberScheduled=len(pods),
            updatedNumberScheduled=sum(labels_of(pod).get(HASH) == current for pod in pods) or None,
            numberReady=ready,
            numberAvailable=ready or None,
            numberUnavailable=(len(nodes) - ready) or None,
            numberMisscheduled=len(living) - len(pods),
        )


def _tolerations(obj: Object) -> list[Object]:
    spec = obj["spec"]["template"]["spec"]
    more = [_toleration("network-unavailable", "NoSchedule")] if spec.get("hostNetwork") else []
    return [*(spec.get("tolerations") or []), *_TOLERATIONS, *more]


def _fits(obj: Object, node: Object) -> tuple[bool, bool]:
    """Whether a pod is to be on the node, and whether one that is there may stay."""
    if not matches(obj["spec"]["template"]["spec"], node):
        return False, False
    tolerations = _tolerations(obj)
    return untolerated(tolerations, node) is None, untolerated(tolerations, node, ("NoExecute",)) is None
