"""What the GPU operator and its node feature discovery do in the lab's cluster while their pods run.

The operator's state follows from the hardware (gpus.py), containerd's files and its pods. After breaking hardware by
hand, `look_again` lets it see what it would find out by itself.

Source: NVIDIA/gpu-operator@v25.10.1 controllers/state_manager.go
Source: NVIDIA/gpu-operator@v25.10.1 controllers/object_controls.go
Source: NVIDIA/gpu-operator@v25.10.1 controllers/clusterpolicy_controller.go
Source: NVIDIA/gpu-operator@v25.10.1 assets/state-device-plugin/0500_daemonset.yaml
Source: NVIDIA/gpu-operator@v25.10.1 assets/state-mps-control-daemon/0400_daemonset.yaml
Source: NVIDIA/k8s-device-plugin@v0.18.1 docs/gpu-feature-discovery/README.md
Source: NVIDIA/k8s-device-plugin@v0.18.1 internal/lm/mig-strategy.go
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml

from tasks.lab import gpu_toolkit
from tasks.lab.gpu_programs import obstacle
from tasks.lab.gpus import Card, gpus
from tasks.lab.microk8s.node import Node, nodes
from thinkube_nornir.lab.emulation import Lab, LabHost
from thinkube_nornir.lab.kube import Controller, Object
from thinkube_nornir.lab.kube.objects import Key

GPU = "nvidia.com/gpu"
DEPLOY = "nvidia.com/gpu.deploy."


@dataclass(frozen=True)
class Operand:
    """A DaemonSet of the operator."""

    name: str
    state: str
    """Which the ClusterPolicy's condition names while it is not ready."""
    label: str
    """Ending of the node label that places it."""
    section: str
    """Of the policy, with its image."""
    also: str = ""
    """Another node label that must be `true`."""


OPERANDS = (
    Operand("nvidia-driver-daemonset", "state-driver", "driver", "driver"),
    Operand("nvidia-container-toolkit-daemonset", "state-container-toolkit", "container-toolkit", "toolkit"),
    Operand("nvidia-operator-validator", "state-operator-validation", "operator-validator", "validator"),
    Operand("nvidia-device-plugin-daemonset", "state-device-plugin", "device-plugin", "devicePlugin"),
    Operand(
        "nvidia-device-plugin-mps-control-daemon",
        "state-mps-control-daemon",
        "device-plugin",
        "devicePlugin",
        "nvidia.com/mps.capable",
    ),
    Operand("nvidia-dcgm-exporter", "state-dcgm-exporter", "dcgm-exporter", "dcgmExporter"),
    Operand("gpu-feature-discovery", "gpu-feature-discovery", "gpu-feature-discovery", "gfd"),
    Operand("nvidia-mig-manager", "state-mig-manager", "mig-manager", "migManager"),
)
"""In the order of their states."""
_MARKS = (
    *("driver", "gpu-feature-discovery", "container-toolkit", "device-plugin", "dcgm", "dcgm-exporter"),
    *("node-status-exporter", "operator-validator"),
)
"""Endings of the labels that each node with cards gets."""
_NO_RUNTIME_CLASS = ("nvidia-driver-daemonset", "nvidia-container-toolkit-daemonset")
PLUGIN = "nvidia-device-plugin-daemonset"


def controllers(node: Node) -> Sequence[Controller]:
    found = (FeatureDiscovery(node.host.lab), Operator(node.host.lab))
    node.host.lab.state["gpu operator"] = found
    return found


def look_again(lab: Lab) -> None:
    """After the hardware changed by hand."""
    for controller in lab.state.get("gpu operator", ()):
        for obj in controller.cluster.list(*controller.kind):
            controller.reconcile(obj)


class _OfNodes(Controller):
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


class FeatureDiscovery(_OfNodes):
    """Labels nodes by their PCI devices: also by those that are reserved for VMs."""

    kind = ("v1", "Node")
    watches = (("v1", "Pod"),)

    def reconcile(self, obj: Object) -> None:
        worker = next(iter(self.cluster.list("apps/v1", "DaemonSet", selector=_WORKER)), None)
        host = self._host(obj["metadata"]["name"])
        if worker is None or host is None:
            return
        pod = self._pods(worker["spec"]["selector"]["matchLabels"]).get(obj["metadata"]["name"])
        if pod is None or not _ready(pod):
            return
        wanted = {"feature.node.kubernetes.io/cpu-model.vendor_id": "AMD"}
        wanted |= {"feature.node.kubernetes.io/pci-10de.present": "true"} if gpus(host).present else {}
        self._label(obj, wanted, manager="nfd-master")
        self._tell_feature(obj, worker)

    def _tell_feature(self, node: Object, worker: Object) -> None:
        name, namespace = node["metadata"]["name"], worker["metadata"]["namespace"]
        if self.cluster.get("nfd.k8s-sigs.io/v1alpha1", "NodeFeature", name, namespace) is None:
            metadata = {"name": name, "namespace": namespace, "ownerReferences": [_owner(worker)]}
            feature = {"apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature", "metadata": metadata}
            self.cluster.create(feature | {"spec": {}}, manager="nfd-worker")


class Operator(_OfNodes):
    """Brings about what the ClusterPolicy says, and tells how far it is."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self._endings: list[asyncio.Future[None]] = []

    kind = ("nvidia.com/v1", "ClusterPolicy")
    watches = (("v1", "Node"), ("v1", "Pod"), ("apps/v1", "DaemonSet"))

    def reconcile(self, obj: Object) -> None:
        if obj["metadata"].get("deletionTimestamp") or not self._runs():
            return
        namespace = self._namespace()
        cards = [n for n in self.cluster.list("v1", "Node") if _labels(n).get(_PCI) == "true"]
        for node in cards:
            self._mark(obj, node)
        self._runtime_class(obj)
        for operand in self._wanted(obj):
            self._daemon_set(obj, operand, namespace)
        self._restart_pods()
        for node in cards:
            self._offer(obj, node)
        self._tell(obj, namespace, cards)

    def gone(self, obj: Object) -> None:  # noqa: ARG002  # there is one policy
        """Its pods go with it, and with the device plugin the cards; a real kubelet keeps a 0 until it restarts."""
        for host in self._lab.hosts.values():
            self._endings.append(asyncio.ensure_future(gpu_toolkit.remove(host)))
        for node in self.cluster.list("v1", "Node"):
            if GPU in node["status"].get("allocatable", {}):
                self.cluster.set_status(node, manager="kubelet", capacity={GPU: None}, allocatable={GPU: None})

    def _runs(self) -> bool:
        pods = self.cluster.list("v1", "Pod", selector={"matchLabels": {"app": "gpu-operator"}})
        return any(map(_ready, pods))

    def _namespace(self) -> str:
        labels = {"app.kubernetes.io/component": "gpu-operator"}
        found = self.cluster.list("apps/v1", "Deployment", selector={"matchLabels": labels})
        return str(found[0]["metadata"]["namespace"])

    def _wanted(self, policy: Object) -> list[Operand]:
        return [each for each in OPERANDS if policy["spec"].get(each.section, {}).get("enabled", True)]

    def _mark(self, policy: Object, node: Object) -> None:
        """Labels that are there already are kept, be they right or wrong."""
        labels, host = _labels(node), self._host(node["metadata"]["name"])
        if labels.get(f"{DEPLOY}operands") == "false" or host is None:
            marks = {f"{DEPLOY}{ending}" for ending in (*_MARKS, "mig-manager")}
            self._label(node, {f"{GPU}.present": "true"}, marks, manager="gpu-operator")
            return
        wanted = {f"{GPU}.present": "true"} | {f"{DEPLOY}{ending}": "true" for ending in _MARKS}
        if gpus(host).driver:
            wanted[f"{DEPLOY}driver"] = "pre-installed"
        if labels.get("nvidia.com/mig.capable") == "true":
            wanted[f"{DEPLOY}mig-manager"] = "true"
            if policy["spec"]["migManager"]["enabled"]:
                wanted["nvidia.com/mig.config"] = policy["spec"]["migManager"]["config"]["default"]
        missing = {name: value for name, value in wanted.items() if name not in labels}
        self._label(node, missing, manager="gpu-operator")

    def _runtime_class(self, policy: Object) -> None:
        name = policy["spec"]["operator"]["runtimeClass"]
        if self.cluster.get("node.k8s.io/v1", "RuntimeClass", name) is None and not self._lab.state.get("no class"):
            metadata = {"name": name, "ownerReferences": [_owner(policy)]}
            made = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": metadata, "handler": name}
            self.cluster.create(made, manager="gpu-operator")

    def _daemon_set(self, policy: Object, operand: Operand, namespace: str) -> None:
        section = policy["spec"].get(operand.section, {})
        image = f"{section['repository']}/{section['image']}:{section['version']}"
        container: Object = {"name": "main", "image": image, "env": section.get("env") or []}
        places = {f"{DEPLOY}{operand.label}": "true"} | ({operand.also: "true"} if operand.also else {})
        spec: Object = {
            "nodeSelector": places,
            "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
            "containers": [container],
        }
        if operand.name not in _NO_RUNTIME_CLASS:
            spec["runtimeClassName"] = policy["spec"]["operator"]["runtimeClass"]
        labels = {"app": operand.name}
        template = {"metadata": {"labels": labels}, "spec": spec}
        metadata = {"name": operand.name, "namespace": namespace, "labels": labels, "ownerReferences": [_owner(policy)]}
        body = {"selector": {"matchLabels": labels}, "template": template}
        made = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": body}
        self.cluster.apply(made, manager="gpu-operator")

    def _restart_pods(self) -> None:
        """Their init containers wait for each other; what stood in a pod's way may have gone."""
        for operand in OPERANDS:
            for node, pod in self._pods({"app": operand.name}).items():
                host = self._host(node)
                if host is not None and _waits(pod) and not obstacle(operand.name, host):
                    self.cluster.remove(pod)

    def _offer(self, policy: Object, node: Object) -> None:
        name = node["metadata"]["name"]
        host, plugin = self._host(name), self._pods({"app": PLUGIN}).get(name)
        present = self.cluster.get("v1", "Node", name)
        if host is None or present is None or not _true(present, "Ready"):
            return
        shared = self._replicas(policy, node)
        found = gpus(host).offered
        amount = (
            (_units(gpus(host).usable) if found is None else found) * shared
            if plugin is not None and _ready(plugin)
            else 0
        )
        told = present["status"].get("allocatable", {}).get(GPU)
        if told != (wanted := str(amount) if amount or told is not None else None):
            self.cluster.set_status(present, manager="kubelet", capacity={GPU: wanted}, allocatable={GPU: wanted})
        discovery = self._pods({"app": "gpu-feature-discovery"}).get(name)
        if discovery is not None and _ready(discovery) and gpus(host).usable:
            self._label(node, _features(gpus(host).usable, shared), manager="nfd-master")

    def _replicas(self, policy: Object, node: Object) -> int:
        config = policy["spec"]["devicePlugin"].get("config") or {}
        chosen = _labels(node).get("nvidia.com/device-plugin.config") or config.get("default")
        found = self.cluster.get("v1", "ConfigMap", config.get("name") or "-", self._namespace()) or {}
        text = (found.get("data") or {}).get(chosen or "", "")
        resources = (yaml.safe_load(text) or {}).get("sharing", {}).get("timeSlicing", {}).get("resources") or []
        return next((int(r["replicas"]) for r in resources if r["name"] == GPU), 1)

    def _tell(self, policy: Object, namespace: str, cards: list[Object]) -> None:
        """A DaemonSet that is wanted on no node is ready."""
        late = []
        for operand in self._wanted(policy):
            found = self.cluster.get("apps/v1", "DaemonSet", operand.name, namespace)
            if found is None or not _complete(found):
                late.append(operand.state)
        told = (
            ("OperandNotReady", f"ClusterPolicy is not ready, states not ready: [{' '.join(late)}]")
            if late
            else ("Reconciled", "ClusterPolicy is ready as all resources have been successfully reconciled")
            if cards
            else ("NoGPUNodes", "No GPU node found, watching for new nodes to join the cluster.")
        )
        self.cluster.set_status(
            policy, manager="gpu-operator", state="notReady" if late else "ready", namespace=namespace
        )
        self.cluster.set_condition(policy, "Ready", not late, *told)


def _units(cards: list[Card]) -> int:
    return sum(1 if card.slices is None else card.slices for card in cards)


_PCI = "feature.node.kubernetes.io/pci-10de.present"
_WORKER = {"matchLabels": {"app.kubernetes.io/name": "node-feature-discovery", "role": "worker"}}


def _features(cards: list[Card], shared: int) -> dict[str, str]:
    first = cards[0].model
    major, _, minor = first.capability.partition(".")
    slices = "-MIG-1g.10gb" * cards[0].sliced
    return {
        "nvidia.com/mig.capable": str(cards[0].mig_capable).lower(),
        "nvidia.com/mig.strategy": "single",
        "nvidia.com/mps.capable": "false",
        f"{GPU}.product": first.name.replace(" ", "-") + slices + "-SHARED" * (shared > 1),
        f"{GPU}.count": str(_units(cards)),
        f"{GPU}.replicas": str(shared),
        f"{GPU}.memory": str(first.memory),
        f"{GPU}.compute.major": major,
        f"{GPU}.compute.minor": minor,
    }


def _owner(obj: Object) -> Object:
    at = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": at["name"],
        "uid": at["uid"],
        "controller": True,
    }


def _labels(obj: Object) -> dict[str, str]:
    return dict(obj["metadata"].get("labels") or {})


def _true(obj: Object, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in obj.get("status", {}).get("conditions") or ())


def _ready(pod: Object) -> bool:
    return _true(pod, "Ready")


def _waits(pod: Object) -> bool:
    states = [c.get("state", {}) for c in pod["status"].get("containerStatuses") or ()]
    return any(state.get("waiting", {}).get("reason") == "CrashLoopBackOff" for state in states)


def _complete(daemons: Object) -> bool:
    status = daemons.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    up_to_date = status.get("observedGeneration", 0) >= daemons["metadata"].get("generation", 0)
    return bool(up_to_date and wanted == status.get("numberReady", 0))
