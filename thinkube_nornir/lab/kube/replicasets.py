"""ReplicaSets: as many pods as wanted; those that are ending or have ended do not count.

Source: kubernetes/kubernetes@release-1.32 pkg/controller/controller_utils.go (IsPodActive)
Source: kubernetes/kubernetes@003e86297d18 pkg/controller/replicaset/replica_set.go (syncReplicaSet)
"""

from __future__ import annotations

from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.objects import (
    Object,
    clone,
    dig,
    is_true,
    labels_of,
    name_of,
    namespace_of,
    owned_by,
    owner_reference,
    terminating,
)
from thinkube_nornir.lab.kube.scheduler import ENDED


def pod_of(owner: Object, **spec: str) -> Object:
    """A pod of the owner's template, its name made from the owner's."""
    template = owner["spec"]["template"]
    metadata = clone(template.get("metadata") or {})
    metadata |= {
        "generateName": f"{name_of(owner)}-",
        "namespace": namespace_of(owner),
        "ownerReferences": [owner_reference(owner)],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": clone(template["spec"]) | spec}


class ReplicaSets(Controller):
    elected = True
    kind = ("apps/v1", "ReplicaSet")
    watches = (("v1", "Pod"),)

    def reconcile(self, obj: Object) -> None:
        if terminating(obj):
            return
        pods = self.cluster.list("v1", "Pod", namespace_of(obj), selector=obj["spec"]["selector"])
        mine = [p for p in pods if owned_by(p, obj) and not terminating(p) and p["status"].get("phase") not in ENDED]
        missing = obj["spec"]["replicas"] - len(mine)
        for _ in range(missing):
            self.cluster.create(pod_of(obj))
        for pod in sorted(mine, key=_worth)[: max(-missing, 0)]:
            self.cluster.remove(pod)
        self._report(obj, mine)

    def _report(self, obj: Object, pods: list[Object]) -> None:
        ready = sum(is_true(pod, "Ready") for pod in pods)
        wanted = dig(obj, "spec", "template", "metadata", "labels", default={}).items()
        self.cluster.set_status(
            obj,
            replicas=len(pods),
            fullyLabeledReplicas=sum(wanted <= labels_of(pod).items() for pod in pods),
            readyReplicas=ready or None,
            availableReplicas=ready or None,
            observedGeneration=obj["metadata"]["generation"],
        )


def _worth(pod: Object) -> tuple[bool, bool, str]:
    """Pods that are not bound or not ready go first."""
    return bool(pod["spec"].get("nodeName")), is_true(pod, "Ready"), name_of(pod)
