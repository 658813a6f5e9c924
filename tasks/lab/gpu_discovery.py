"""Node feature discovery of the lab's GPU operator, and what it shares with the operator itself.

Source: NVIDIA/gpu-operator@v25.10.1 deployments/gpu-operator/values.yaml
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tasks.lab.gpus import gpus
from tasks.lab.microk8s.node import nodes
from thinkube_nornir.lab.emulation import Lab, LabHost
from thinkube_nornir.lab.kube import Controller, Object
from thinkube_nornir.lab.kube.objects import Key

PCI = "feature.node.kubernetes.io/pci-10de.present"
_WORKER = {"matchLabels": {"app.kubernetes.io/name": "node-feature-discovery", "role": "worker"}}


class OfNodes(Controller):
    """Looks at all nodes, whatever changed."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def concerned(self, changed: Object) -> Iterable[Key]:  # noqa: ARG002  # whatever changed, all nodes may matter
        return self.every()

    def _host(self, name: str) -> LabHost | None:
        return next((node.host for node in nodes(self._lab) if node.name == name), None)

    def _pods(self, labels: Mapping[str, str]) -> dict[str, Object]:
        """Node to its pod of a DaemonSet."""
        found = self.cluster.list("v1", "Pod", selector={"matchLabels": labels})
        return {pod["spec"].get("nodeName", ""): pod for pod in found if not pod["metadata"].get("deletionTimestamp")}

    def _label(self, node: Object, wanted: dict[str, str], unwanted: Iterable[str] = (), *, manager: str) -> None:
        present = self.cluster.get("v1", "Node", node["metadata"]["name"])
        if present is None:
            return
        labels = {k: v for k, v in (present["metadata"].get("labels") or {}).items() if k not in set(unwanted)}
        if labels | wanted != present["metadata"].get("labels"):
            present["metadata"]["labels"] = labels | wanted
            self.cluster.update(present, manager=manager)


class FeatureDiscovery(OfNodes):
    """Labels nodes by their PCI devices: also by those that are reserved for VMs."""

    kind = ("v1", "Node")
    watches = (("v1", "Pod"),)

    def reconcile(self, obj: Object) -> None:
        worker = next(iter(self.cluster.list("apps/v1", "DaemonSet", selector=_WORKER)), None)
        host = self._host(obj["metadata"]["name"])
        if worker is None or host is None:
            return
        pod = self._pods(worker["spec"]["selector"]["matchLabels"]).get(obj["metadata"]["name"])
        if pod is None or not is_ready(pod):
            return
        wanted = {"feature.node.kubernetes.io/cpu-model.vendor_id": "AMD"}
        wanted |= {"feature.node.kubernetes.io/pci-10de.present": "true"} if gpus(host).present else {}
        self._label(obj, wanted, manager="nfd-master")
        self._write_feature(obj, worker)

    def _write_feature(self, node: Object, worker: Object) -> None:
        name, namespace = node["metadata"]["name"], worker["metadata"]["namespace"]
        if self.cluster.get("nfd.k8s-sigs.io/v1alpha1", "NodeFeature", name, namespace) is None:
            metadata = {"name": name, "namespace": namespace, "ownerReferences": [owner_of(worker)]}
            feature = {"apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature", "metadata": metadata}
            self.cluster.create(feature | {"spec": {}}, manager="nfd-worker")


def owner_of(obj: Object) -> Object:
    at = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": at["name"],
        "uid": at["uid"],
        "controller": True,
    }


def labels_of(obj: Object) -> dict[str, str]:
    return dict(obj["metadata"].get("labels") or {})


def is_true(obj: Object, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in obj.get("status", {}).get("conditions") or ())


def is_ready(pod: Object) -> bool:
    return is_true(pod, "Ready")
