"""Roll-outs of Deployments, DaemonSets and StatefulSets."""

from __future__ import annotations

import time

from thinkube_nornir.cluster.diagnosis import workload_troubles
from thinkube_nornir.cluster.handle import Cluster, spoken
from thinkube_nornir.cluster.messages import Object
from thinkube_nornir.cluster.waits import condition_true, wait, wait_all
from thinkube_nornir.errors import DeadlinePassed


def is_rolled_out(obj: Object | None) -> bool:
    """Whether all wanted pods of a Deployment, DaemonSet or StatefulSet run its present template and are available."""
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return False
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return False
    if obj.get("kind") == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return bool(status.get("updatedNumberScheduled", 0) == wanted == status.get("numberAvailable", 0))
    wanted = spec.get("replicas", 1)
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return bool(counts == [wanted] * 3)


def rolled_out(kube: Cluster, kind: str, name: str, namespace: str, *, timeout: float = 300.0) -> Object | None:
    """Wait until a Deployment, DaemonSet or StatefulSet is rolled out and its old pods are gone.

    `kubectl rollout status` stops before the second part: while an old pod ends, kube-proxy of another node may still
    send to it, and it answers as it did before.

    Raises:
        DeadlinePassed: it did not come to that; `why` has its state, what its pods and the events about them say, and
            the last lines of their logs.
    """
    end = time.monotonic() + timeout
    try:
        found = wait(
            kube,
            *("apps/v1", kind, name, namespace),
            condition=is_rolled_out,
            what=f"{spoken(kind, name, namespace)} to be rolled out",
            timeout=timeout,
        )
    except DeadlinePassed as error:
        reasons = workload_troubles(kube, "apps/v1", kind, name, namespace)
        error.why = f"{error.why}\n{reasons}".rstrip()
        raise
    labels = ((found or {}).get("spec", {}).get("selector") or {}).get("matchLabels") or {}
    if labels:
        _ending_pods_gone(kube, namespace, labels, spoken(kind, name, namespace), end - time.monotonic())
    return found


def _ending_pods_gone(kube: Cluster, namespace: str, labels: dict[str, str], whose: str, timeout: float) -> None:
    """A pod on a node that is not Ready stays listed until the node comes back: it is not waited for."""
    lost = {node["metadata"]["name"] for node in kube.list("v1", "Node") if not condition_true(node, "Ready")}

    def ending(pod: Object) -> bool:
        return bool(pod["metadata"].get("deletionTimestamp")) and pod["spec"].get("nodeName") not in lost

    wait_all(
        kube,
        *("v1", "Pod", namespace),
        label_selector=",".join(f"{key}={value}" for key, value in labels.items()),
        condition=lambda pods: not any(map(ending, pods)),
        what=f"old pods of {whose} to be gone",
        timeout=max(timeout, 1.0),
    )
