"""The scale subresource: how many replicas, in a shape that is the same for every kind.

Source: kubernetes/apimachinery@v0.35.0 pkg/labels/selector.go (String)
Unproven: how a Scale is written back, and the words a wrong one is refused with.
"""

from __future__ import annotations

from typing import Any

from thinkube_nornir.lab.kube.objects import Object, clone, dig
from thinkube_nornir.lab.kube.patch import json_patch, merge_patch
from thinkube_nornir.lab.kube.status import ApiError

_META = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def to_scale(obj: Object) -> Object:
    labels = dig(obj, "spec", "selector", "matchLabels", default={})
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: obj["metadata"][name] for name in _META if name in obj["metadata"]},
        "spec": {"replicas": dig(obj, "spec", "replicas", default=0)},
        "status": {
            "replicas": dig(obj, "status", "replicas", default=0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }


def of_scale(obj: Object, change: Object | tuple[str, Any]) -> Object:
    """`obj` with the replicas of a new Scale, or of a patch (kind, body) to its Scale."""
    scale = change if isinstance(change, dict) else _patched(to_scale(obj), *change)
    replicas = dig(scale, "spec", "replicas", default=0)
    if not isinstance(replicas, int) or replicas < 0:
        raise ApiError(422, f"spec.replicas: Invalid value: {replicas}: must be greater than or equal to 0")
    changed = clone(obj)
    if version := dig(scale, "metadata", "resourceVersion"):
        changed["metadata"]["resourceVersion"] = version
    changed["spec"]["replicas"] = replicas
    return changed


def _patched(scale: Object, kind: str, body: Any) -> Object:
    changed: Object = json_patch(scale, body) if kind == "json" else merge_patch(scale, body)
    return changed
