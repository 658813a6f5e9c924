"""DaemonSets: one pod on each node that matches, ready or not, as real ones tolerate what keeps other pods away."""

from __future__ import annotations

from collections.abc import Iterable

from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.deployments import template_hash
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
_TOLERATIONS = [
    {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect}
    for name, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("not-ready", "NoSchedule"),
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
        nodes = {name_of(node) for node in self.cluster.list("v1", "Node") if _wanted_on(obj, node)}
        mine = [pod for pod in self.cluster.list("v1", "Pod", namespace_of(obj)) if owned_by(pod, obj)]
        living = [pod for pod in mine if not terminating(pod)]
        self._remove_surplus(obj, living, nodes)
        held = {pod["spec"]["nodeName"] for pod in mine}
        for node in sorted(nodes - held):
            self.cluster.create(self._pod(obj, node))
        self._tell(obj, [pod for pod in living if pod["spec"]["nodeName"] in nodes], nodes)

    def _remove_surplus(self, obj: Object, pods: list[Object], nodes: set[str]) -> None:
        """Pods that ended or stray; those of an old template one at a time, while all others are ready."""
        replace = obj["spec"]["updateStrategy"]["type"] == "RollingUpdate"
        current = template_hash(obj["spec"]["template"])
        calm = all(is_true(pod, "Ready") for pod in pods) and {p["spec"]["nodeName"] for p in pods} >= nodes
        for pod in pods:
            stray = pod["spec"]["nodeName"] not in nodes or pod["status"].get("phase") in ENDED
            outdated = replace and labels_of(pod).get(HASH) != current and (calm or not is_true(pod, "Ready"))
            if stray or outdated:
                self.cluster.remove(pod)
                calm = calm and not outdated

    def _pod(self, obj: Object, node: str) -> Object:
        pod = pod_of(obj, nodeName=node)
        labels = pod["metadata"].get("labels") or {}
        pod["metadata"]["labels"] = labels | {HASH: template_hash(obj["spec"]["template"])}
        pod["spec"]["tolerations"] = [*(pod["spec"].get("tolerations") or []), *_TOLERATIONS]
        return pod

    def _tell(self, obj: Object, pods: list[Object], nodes: set[str]) -> None:
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
            numberMisscheduled=0,
        )


def _wanted_on(obj: Object, node: Object) -> bool:
    spec = obj["spec"]["template"]["spec"]
    tolerations = [*(spec.get("tolerations") or []), *_TOLERATIONS]
    return matches(spec, node) and untolerated(tolerations, node) is None and not terminating(node)
