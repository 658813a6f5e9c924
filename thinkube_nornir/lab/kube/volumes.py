"""Volumes: a provisioner for every StorageClass that names one.

Unproven: how a provisioner works, and a volume that somebody made is bound: here each claim gets a volume of its own,
    at once, in a folder that is the lab's.
"""

from __future__ import annotations

from collections.abc import Iterable

from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.objects import (
    Key,
    Object,
    annotations_of,
    dig,
    key_of,
    name_of,
    namespace_of,
    terminating,
    uid_of,
)
from thinkube_nornir.lab.kube.scheduler import SELECTED_NODE

_MANUAL = "kubernetes.io/no-provisioner"


class Volumes(Controller):
    """Binds claims: at once, or when the class waits for the first consumer, once the scheduler has chosen its node."""

    kind = ("v1", "PersistentVolumeClaim")
    watches = (("storage.k8s.io/v1", "StorageClass"),)

    def concerned(self, changed: Object) -> Iterable[Key]:
        claims = self.cluster.store.list("persistentvolumeclaims")
        return [key_of(claim) for claim in claims if claim["spec"].get("storageClassName") == name_of(changed)]

    def reconcile(self, obj: Object) -> None:
        if obj["spec"].get("volumeName") or terminating(obj):
            return
        storage = self.cluster.get("storage.k8s.io/v1", "StorageClass", obj["spec"].get("storageClassName") or "")
        if storage is None or storage["provisioner"] == _MANUAL:
            return
        if storage["volumeBindingMode"] == "WaitForFirstConsumer" and SELECTED_NODE not in annotations_of(obj):
            return
        volume = self.cluster.create(_volume(obj, storage))
        obj["spec"]["volumeName"] = name_of(volume)
        bound = self.cluster.update(obj)
        self.cluster.set_status(volume, phase="Bound")
        capacity = volume["spec"]["capacity"]
        self.cluster.set_status(bound, phase="Bound", accessModes=obj["spec"]["accessModes"], capacity=capacity)

    def gone(self, obj: Object) -> None:
        """A volume with reclaim policy Delete goes with its claim, others are released."""
        volume = self.cluster.get("v1", "PersistentVolume", obj["spec"].get("volumeName") or "")
        if volume is None:
            return
        if volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            self.cluster.remove(volume)
        else:
            self.cluster.set_status(volume, phase="Released")


def _volume(claim: Object, storage: Object) -> Object:
    name = f"pvc-{uid_of(claim)}"
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "name": name_of(claim),
        "namespace": namespace_of(claim),
        "uid": uid_of(claim),
    }
    spec = {
        "capacity": {"storage": dig(claim, "spec", "resources", "requests", "storage")},
        "accessModes": claim["spec"]["accessModes"],
        "claimRef": reference,
        "persistentVolumeReclaimPolicy": storage["reclaimPolicy"],
        "storageClassName": name_of(storage),
        "hostPath": {"path": f"/var/lab/{namespace_of(claim)}-{name_of(claim)}-{name}", "type": "DirectoryOrCreate"},
    }
    annotations = {"pv.kubernetes.io/provisioned-by": storage["provisioner"]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": annotations},
        "spec": spec,
    }
