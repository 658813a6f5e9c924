"""What the GPU operator and its node feature discovery do in the lab's cluster while their pods run.

The operator's state follows from the hardware (gpus.py), containerd's files and its pods. After breaking hardware by
hand, `check_again` lets it see what it would find out by itself.

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
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from tasks.lab import gpu_toolkit
from tasks.lab.gpu_discovery import PCI, FeatureDiscovery, OfNodes, is_ready, is_true, labels_of, owner_of
from tasks.lab.gpu_programs import blocked_reason
from tasks.lab.gpus import Card, gpus
from tasks.lab.microk8s.node import Node
from thinkube_nornir.lab.emulation import Lab
from thinkube_nornir.lab.kube import Controller, Object

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
    """The section of the policy that has its image."""
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
"""The parts in the order in which the operator brings them up."""
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


def check_again(lab: Lab) -> None:
    """After the hardware changed by hand."""
    for controller in lab.state.get("gpu operator", ()):
        for obj in controller.cluster.list(*controller.kind):
            controller.reconcile(obj)


class Operator(OfNodes):
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
        cards = [n for n in self.cluster.list("v1", "Node") if labels_of(n).get(PCI) == "true"]
        for node in cards:
            self._mark(obj, node)
        self._runtime_class(obj)
        for operand in self._wanted(obj):
            self._daemon_set(obj, operand, namespace)
        self._restart_pods()
        for node in cards:
            self._offer(obj, node)
        self._report(obj, namespace, cards)

    def gone(self, obj: Object) -> None:  # noqa: ARG002  # there is one policy
        """Its pods go with it, and with the device plugin the cards; a real kubelet keeps a 0 until it restarts."""
        for host in self._lab.hosts.values():
            self._endings.append(asyncio.ensure_future(gpu_toolkit.remove(host)))
        for node in self.cluster.list("v1", "Node"):
            if GPU in node["status"].get("allocatable", {}):
                self.cluster.set_status(node, manager="kubelet", capacity={GPU: None}, allocatable={GPU: None})

    def _runs(self) -> bool:
        pods = self.cluster.list("v1", "Pod", selector={"matchLabels": {"app": "gpu-operator"}})
        return any(map(is_ready, pods))

    def _namespace(self) -> str:
        labels = {"app.kubernetes.io/component": "gpu-operator"}
        found = self.cluster.list("apps/v1", "Deployment", selector={"matchLabels": labels})
        return str(found[0]["metadata"]["namespace"])

    def _wanted(self, policy: Object) -> list[Operand]:
        return [each for each in OPERANDS if policy["spec"].get(each.section, {}).get("enabled", True)]

    def _mark(self, policy: Object, node: Object) -> None:
        """Labels that are there already are kept, be they right or wrong."""
        labels, host = labels_of(node), self._host(node["metadata"]["name"])
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
            metadata = {"name": name, "ownerReferences": [owner_of(policy)]}
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
        metadata = {
            "name": operand.name,
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [owner_of(policy)],
        }
        body = {"selector": {"matchLabels": labels}, "template": template}
        made = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": body}
        self.cluster.apply(made, manager="gpu-operator")

    def _restart_pods(self) -> None:
        """Their init containers wait for each other; what stood in a pod's way may have gone."""
        for operand in OPERANDS:
            for node, pod in self._pods({"app": operand.name}).items():
                host = self._host(node)
                if host is not None and _waits(pod) and not blocked_reason(operand.name, host):
                    self.cluster.remove(pod)

    def _offer(self, policy: Object, node: Object) -> None:
        name = node["metadata"]["name"]
        host, plugin = self._host(name), self._pods({"app": PLUGIN}).get(name)
        present = self.cluster.get("v1", "Node", name)
        if host is None or present is None or not is_true(present, "Ready"):
            return
        shared = self._replicas(policy, node)
        found = gpus(host).offered
        amount = (
            (_units(gpus(host).usable) if found is None else found) * shared
            if plugin is not None and is_ready(plugin)
            else 0
        )
        current = present["status"].get("allocatable", {}).get(GPU)
        if current != (wanted := str(amount) if amount or current is not None else None):
            self.cluster.set_status(present, manager="kubelet", capacity={GPU: wanted}, allocatable={GPU: wanted})
        discovery = self._pods({"app": "gpu-feature-discovery"}).get(name)
        if discovery is not None and is_ready(discovery) and gpus(host).usable:
            self._label(node, _features(gpus(host).usable, shared), manager="nfd-master")

    def _replicas(self, policy: Object, node: Object) -> int:
        config = policy["spec"]["devicePlugin"].get("config") or {}
        chosen = labels_of(node).get("nvidia.com/device-plugin.config") or config.get("default")
        found = self.cluster.get("v1", "ConfigMap", config.get("name") or "-", self._namespace()) or {}
        text = (found.get("data") or {}).get(chosen or "", "")
        resources = (yaml.safe_load(text) or {}).get("sharing", {}).get("timeSlicing", {}).get("resources") or []
        return next((int(r["replicas"]) for r in resources if r["name"] == GPU), 1)

    def _report(self, policy: Object, namespace: str, cards: list[Object]) -> None:
        """A DaemonSet that is wanted on no node is ready."""
        late = []
        for operand in self._wanted(policy):
            found = self.cluster.get("apps/v1", "DaemonSet", operand.name, namespace)
            if found is None or not _complete(found):
                late.append(operand.state)
        condition = (
            ("OperandNotReady", f"ClusterPolicy is not ready, states not ready: [{' '.join(late)}]")
            if late
            else ("Reconciled", "ClusterPolicy is ready as all resources have been successfully reconciled")
            if cards
            else ("NoGPUNodes", "No GPU node found, watching for new nodes to join the cluster.")
        )
        self.cluster.set_status(
            policy, manager="gpu-operator", state="notReady" if late else "ready", namespace=namespace
        )
        self.cluster.set_condition(policy, "Ready", not late, *condition)


def _units(cards: list[Card]) -> int:
    return sum(1 if card.slices is None else card.slices for card in cards)


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


def _waits(pod: Object) -> bool:
    states = [c.get("state", {}) for c in pod["status"].get("containerStatuses") or ()]
    return any(state.get("waiting", {}).get("reason") == "CrashLoopBackOff" for state in states)


def _complete(daemons: Object) -> bool:
    status = daemons.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    up_to_date = status.get("observedGeneration", 0) >= daemons["metadata"].get("generation", 0)
    return bool(up_to_date and wanted == status.get("numberReady", 0))
