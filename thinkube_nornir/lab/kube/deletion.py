"""Delete: finalizers, grace, propagation policies, preconditions, and eviction under disruption budgets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from thinkube_nornir.lab.kube import status
from thinkube_nornir.lab.kube.objects import (
    Key,
    Object,
    clone,
    dig,
    finalizers_of,
    is_true,
    labels_of,
    name_of,
    namespace_of,
    now,
    terminating,
    uid_of,
)
from thinkube_nornir.lab.kube.resources import Resource
from thinkube_nornir.lab.kube.selectors import selects
from thinkube_nornir.lab.kube.status import ApiError, Cause
from thinkube_nornir.lab.kube.writes import Writer

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True)
class Deletion:
    """DeleteOptions."""

    policy: str = "Background"
    grace: int | None = None
    dry_run: bool = False
    preconditions: Object = field(default_factory=dict)


def delete(writer: Writer, resource: Resource, key: Key, how: Deletion) -> tuple[Object, bool]:
    """Delete one object; returns its last state and whether it is gone already, or still waits for something."""
    live = writer.read(resource, key)
    _check_preconditions(resource, live, how)
    obj = _marked(live, how)
    if how.dry_run:
        return obj, not _waits(obj)
    if not _waits(obj):
        return writer.store.remove(resource, key), True
    return (live if obj == live else writer.store.put(resource, obj)), False


def _marked(live: Object, how: Deletion) -> Object:
    """The object as a deletion leaves it: with its timestamp, its grace and the finalizer of the policy."""
    obj = clone(live)
    metadata = obj["metadata"]
    if how.policy in ("Foreground", "Orphan") and not terminating(obj):
        added = FOREGROUND if how.policy == "Foreground" else ORPHAN
        metadata["finalizers"] = [*finalizers_of(obj), added]
    metadata.setdefault("deletionTimestamp", now())
    grace = _grace(obj, how)
    metadata["deletionGracePeriodSeconds"] = min(grace, metadata.get("deletionGracePeriodSeconds", grace))
    if obj["kind"] == "Namespace":
        obj["status"] = dict(obj.get("status") or {}) | {"phase": "Terminating"}
    return obj


def _grace(obj: Object, how: Deletion) -> int:
    """Seconds a bound pod gets from its kubelet; nothing else is graceful."""
    if obj["kind"] != "Pod" or not dig(obj, "spec", "nodeName"):
        return 0
    return int(obj["spec"].get("terminationGracePeriodSeconds", 30)) if how.grace is None else how.grace


def _waits(obj: Object) -> bool:
    held = finalizers_of(obj) or (obj["kind"] == "Namespace" and obj["spec"].get("finalizers"))
    return bool(held) or obj["metadata"]["deletionGracePeriodSeconds"] > 0


def _check_preconditions(resource: Resource, live: Object, how: Deletion) -> None:
    for name, title in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted = how.preconditions.get(name)
        if wanted and wanted != live["metadata"][name]:
            found = live["metadata"][name]
            why = f"Precondition failed: {title} in precondition: {wanted}, {title} in object meta: {found}"
            raise status.conflict(resource.plural, resource.group, name_of(live), why)


def evict(writer: Writer, resource: Resource, key: Key, how: Deletion) -> None:
    """Delete a pod unless a PodDisruptionBudget forbids it.

    Raises:
        ApiError: 429, a budget is used up.
    """
    pod = writer.read(resource, key)
    if not terminating(pod):
        for budget in writer.store.list("poddisruptionbudgets.policy", namespace_of(pod)):
            _check_budget(writer, budget, pod)
    delete(writer, resource, key, how)


def _check_budget(writer: Writer, budget: Object, pod: Object) -> None:
    selector = dig(budget, "spec", "selector")
    if not selects(selector, labels_of(pod)) or not is_true(pod, "Ready"):
        return
    pods = [p for p in writer.store.list("pods", namespace_of(pod)) if selects(selector, labels_of(p))]
    healthy = sum(is_true(p, "Ready") and not terminating(p) for p in pods)
    if healthy - 1 < _needed(budget["spec"], len(pods)):
        needed = _needed(budget["spec"], len(pods))
        why = f"The disruption budget {name_of(budget)} needs {needed} healthy pods and has {healthy} currently"
        message = "Cannot evict pod as it would violate the pod's disruption budget."
        raise ApiError(429, message, causes=[Cause("", why, "DisruptionBudget")], details={"uid": uid_of(budget)})


def _needed(spec: Object, pods: int) -> int:
    if "maxUnavailable" in spec:
        return pods - _count(spec["maxUnavailable"], pods)
    return _count(spec.get("minAvailable", 1), pods)


def _count(value: int | str, whole: int) -> int:
    """A number, or a percentage of `whole`, rounded up."""
    return math.ceil(int(value.rstrip("%")) * whole / 100) if isinstance(value, str) and "%" in value else int(value)
