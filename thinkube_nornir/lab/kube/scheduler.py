"""The scheduler: a node for each pod that has none.

Source: kubernetes/component-helpers@v0.35.0 scheduling/corev1/helpers.go (FindMatchingUntoleratedTaint)
Source: kubernetes/component-helpers@v0.35.0 scheduling/corev1/nodeaffinity/nodeaffinity.go
Unproven: the words in which a pod is said to fit nowhere, and which of the nodes that fit is taken; processors, memory
    and the nearness of other pods are not looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.nodes import UNSCHEDULABLE
from thinkube_nornir.lab.kube.objects import (
    Key,
    Object,
    clone,
    condition,
    dig,
    is_true,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    terminating,
)
from thinkube_nornir.lab.kube.selectors import term_selects

SELECTED_NODE = "volume.kubernetes.io/selected-node"
ENDED = ("Succeeded", "Failed")


def matches(pod_spec: Object, node: Object) -> bool:
    """Whether nodeSelector and required node affinity take the node."""
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (pod_spec.get("nodeSelector") or {}).items()):
        return False
    required = dig(pod_spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    terms = required["nodeSelectorTerms"] if required else []
    return not required or any(term_selects(term, labels, name_of(node)) for term in terms)


def untolerated(
    tolerations: Iterable[Object], node: Object, effects: tuple[str, ...] = ("NoSchedule", "NoExecute")
) -> Object | None:
    """The first taint of the node that keeps the pod away."""
    tolerated = list(tolerations)
    cordoned = [{"key": UNSCHEDULABLE, "effect": "NoSchedule"}] if node["spec"].get("unschedulable") else []
    for taint in [*(node["spec"].get("taints") or []), *cordoned]:
        if taint.get("effect") in effects and not any(_tolerates(toleration, taint) for toleration in tolerated):
            return dict(taint)
    return None


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


def extended_requests(pod: Object) -> Counter[str]:
    """How much the pod wants of devices and the like: resources with a domain, `nvidia.com/gpu`."""
    wanted: Counter[str] = Counter()
    for container in pod["spec"]["containers"]:
        limits = dig(container, "resources", "limits", default={}) | dig(container, "resources", "requests", default={})
        wanted.update({name: int(amount) for name, amount in limits.items() if "/" in name})
    return wanted


class Scheduler(Controller):
    """Binds pods; those that fit nowhere stay Pending with a condition that says why, and are tried at each change."""

    elected = True
    kind = ("v1", "Pod")
    watches = (("v1", "Node"), ("v1", "PersistentVolumeClaim"), ("v1", "Pod"))

    def concerned(self, changed: Object) -> Iterable[Key]:
        if changed["kind"] == "Pod" and changed["spec"].get("nodeName") is None:
            return []
        if changed["kind"] == "Pod" and not (terminating(changed) or changed["status"].get("phase") in ENDED):
            return []
        pods = self.cluster.store.list("pods")
        return [key_of(pod) for pod in pods if not pod["spec"].get("nodeName")]

    def reconcile(self, obj: Object) -> None:
        if obj["spec"].get("nodeName") or terminating(obj) or obj["spec"]["schedulerName"] != "default-scheduler":
            return
        nodes = self.cluster.list("v1", "Node")
        refusals = {name_of(node): self._refusal(obj, node) for node in nodes}
        fitting = [node for node in nodes if not refusals[name_of(node)]]
        if missing := self._missing_claim(obj):
            self._unschedulable(obj, missing)
        elif fitting:
            self._bind(obj, self._least_used(fitting))
        else:
            counted = Counter(refusals.values())
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counted.items()))
            self._unschedulable(obj, f"0/{len(nodes)} nodes are available: {reasons or 'no nodes registered'}.")

    def _refusal(self, pod: Object, node: Object) -> str:
        """Why the pod cannot go to the node; empty when it can."""
        taint = untolerated(pod["spec"].get("tolerations") or [], node)
        if taint and taint["key"] == UNSCHEDULABLE:
            return "node(s) were unschedulable"
        if taint:
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        if not is_true(node, "Ready"):
            return "node(s) were not ready"
        if not matches(pod["spec"], node):
            return "node(s) didn't match Pod's node affinity/selector"
        return self._shortage(pod, node)

    def _shortage(self, pod: Object, node: Object) -> str:
        wanted = extended_requests(pod)
        if not wanted:
            return ""
        used: Counter[str] = Counter()
        for other in self._pods_on(node):
            used.update(extended_requests(other))
        allocatable = dig(node, "status", "allocatable", default={})
        short = (name for name, n in wanted.items() if used[name] + n > int(allocatable.get(name, 0)))
        return next((f"Insufficient {name}" for name in short), "")

    def _pods_on(self, node: Object) -> list[Object]:
        pods = self.cluster.store.list("pods")
        here = [pod for pod in pods if pod["spec"].get("nodeName") == name_of(node)]
        return [pod for pod in here if pod["status"].get("phase") not in ENDED]

    def _least_used(self, nodes: list[Object]) -> str:
        return name_of(min(nodes, key=lambda node: (len(self._pods_on(node)), name_of(node))))

    def _bind(self, pod: Object, node: str) -> None:
        for claim in self._claims(pod):
            self._select_node(claim, node)
        bound = clone(pod)
        bound["spec"]["nodeName"] = node
        self.cluster.update(bound, manager="kube-scheduler")
        self.cluster.set_condition(bound, "PodScheduled", True)

    def _claims(self, pod: Object) -> list[Object | None]:
        names = [dig(volume, "persistentVolumeClaim", "claimName") for volume in pod["spec"].get("volumes") or []]
        get = self.cluster.get
        return [get("v1", "PersistentVolumeClaim", name, namespace_of(pod)) for name in names if name]

    def _missing_claim(self, pod: Object) -> str:
        missing = any(claim is None for claim in self._claims(pod))
        return "persistentvolumeclaim not found" if missing else ""

    def _select_node(self, claim: Object | None, node: str) -> None:
        """Tell the provisioner of a claim that waits for its first consumer where that is."""
        if claim is None or claim["spec"].get("volumeName"):
            return
        annotations = claim["metadata"].setdefault("annotations", {})
        if SELECTED_NODE not in annotations:
            annotations[SELECTED_NODE] = node
            self.cluster.update(claim, manager="kube-scheduler")

    def _unschedulable(self, pod: Object, why: str) -> None:
        before = condition(pod, "PodScheduled")
        if before is None or before.get("message") != why:
            self.cluster.set_condition(pod, "PodScheduled", False, "Unschedulable", why)
            self.cluster.event(pod, "FailedScheduling", why, warning=True)
