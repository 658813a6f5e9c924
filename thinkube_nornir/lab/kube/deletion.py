"""Delete: finalizers, grace, propagation policies, preconditions, and eviction under disruption budgets.

Source: kubernetes/apiserver@v0.35.0 pkg/registry/rest/delete.go (BeforeDelete)
Source: kubernetes/apiserver@v0.35.0 pkg/registry/generic/registry/store.go (deletionFinalizersForGarbageCollection)
Source: kubernetes/apiserver@v0.35.0 pkg/admission/plugin/namespace/lifecycle/admission.go (Admit)
Source: kubernetes/kubernetes@008b3652959c pkg/registry/core/pod/strategy.go (CheckGracefulDelete)
Source: kubernetes/kubernetes@01aa0f3f6052 pkg/registry/core/pod/storage/eviction.go
Unproven: the numbers of a disruption budget, which its own controller counts, are counted here at the eviction.
"""

from __future__ import annotations

import datetime
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
FINALIZERS = {"Foreground": FOREGROUND, "Orphan": ORPHAN}
_ENDED = ("Succeeded", "Failed")
_IMMORTAL = ("default", "kube-system", "kube-public")


@dataclass(frozen=True)
class Deletion:
    """DeleteOptions."""

    policy: str = ""
    """Empty when the request says nothing: what the object's finalizers say then holds."""
    grace: int | None = None
    dry_run: bool = False
    preconditions: Object = field(default_factory=dict)


def delete(writer: Writer, resource: Resource, key: Key, how: Deletion) -> tuple[Object, bool]:
    """Delete one object; returns its last state and whether it is gone already, or still waits for something."""
    live = writer.read(resource, key)
    if resource.id == "namespaces" and key[1] in _IMMORTAL:
        raise ApiError(403, f'namespaces "{key[1]}" is forbidden: this namespace may not be deleted')
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
    if how.policy:
        kept = [name for name in finalizers_of(obj) if name not in (FOREGROUND, ORPHAN)]
        metadata["finalizers"] = [*kept, *(f for policy, f in FINALIZERS.items() if policy == how.policy)]
        if not metadata["finalizers"]:
            del metadata["finalizers"]
    grace = _grace(obj, how)
    if not terminating(obj):
        metadata["deletionTimestamp"] = _after(grace)
        metadata |= {"generation": metadata["generation"] + 1} if metadata.get("generation") else {}
    metadata["deletionGracePeriodSeconds"] = min(grace, metadata.get("deletionGracePeriodSeconds", grace))
    if obj["kind"] == "Namespace":
        obj["status"] = dict(obj.get("status") or {}) | {"phase": "Terminating"}
    return obj


def _grace(obj: Object, how: Deletion) -> int:
    """Seconds a bound pod that has not ended gets from its kubelet; nothing else is graceful."""
    if obj["kind"] != "Pod" or not dig(obj, "spec", "nodeName") or dig(obj, "status", "phase") in _ENDED:
        return 0
    grace = int(obj["spec"].get("terminationGracePeriodSeconds", 30)) if how.grace is None else how.grace
    return grace if grace >= 0 else 1


def _after(seconds: int) -> str:
    """The time in so many seconds, when a pod's grace is over."""
    return (datetime.datetime.fromisoformat(now()) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _waits(obj: Object) -> bool:
    held = finalizers_of(obj) or (obj["kind"] == "Namespace" and obj["spec"].get("finalizers"))
    return bool(held) or obj["metadata"]["deletionGracePeriodSeconds"] > 0


def _check_preconditions(resource: Resource, live: Object, how: Deletion) -> None:
    for name, title, hint in (
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ):
        wanted, found = how.preconditions.get(name), live["metadata"][name]
        if wanted and wanted != found:
            why = f"the {title} in the precondition ({wanted}) does not match the {title} in record ({found})"
            text = f"{why}. The object might have been {hint}"
            raise status.conflict(resource.kind, resource.group, name_of(live), text)


def evict(writer: Writer, resource: Resource, key: Key, how: Deletion) -> None:
    """Delete a pod unless a PodDisruptionBudget forbids it; of one that does not run (yet, or any more) none is asked.

    Raises:
        ApiError: 429, a budget is used up.
    """
    pod = writer.read(resource, key)
    if not terminating(pod) and dig(pod, "status", "phase") not in ("Pending", *_ENDED):
        for budget in writer.store.list("poddisruptionbudgets.policy", namespace_of(pod)):
            _check_budget(writer, budget, pod)
    delete(writer, resource, key, how)


def _check_budget(writer: Writer, budget: Object, pod: Object) -> None:
    selector = dig(budget, "spec", "selector")
    if not selector or not selects(selector, labels_of(pod)):
        return
    pods = [p for p in writer.store.list("pods", namespace_of(pod)) if selects(selector, labels_of(p))]
    healthy = sum(is_true(p, "Ready") and not terminating(p) for p in pods)
    needed = _needed(budget["spec"], len(pods))
    if not is_true(pod, "Ready") and healthy >= needed > 0:
        return
    if healthy - 1 < needed:
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
