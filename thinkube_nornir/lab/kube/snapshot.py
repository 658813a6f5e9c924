"""A cluster's declared state, to compare before and after: without what changes by itself."""

from __future__ import annotations

from typing import Any

from thinkube_nornir.lab.kube.objects import Object, controller_of, name_of, namespace_of
from thinkube_nornir.lab.kube.store import Store

_DERIVED = {"Event", "Lease", "Endpoints", "EndpointSlice"}
_VOLATILE = {
    "resourceVersion",
    "uid",
    "generation",
    "observedGeneration",
    "managedFields",
    "podIP",
    "podIPs",
    "deployment.kubernetes.io/revision",
}


def snapshot(store: Store) -> dict[str, Object]:
    """Objects by `v1/ConfigMap/kube-system/coredns`; those that controllers made for others are left out."""
    found = (obj for _, obj in store.everything() if obj["kind"] not in _DERIVED and controller_of(obj) is None)
    return {_name(obj): _steady(obj) for obj in found}


def _name(obj: Object) -> str:
    return "/".join(part for part in (obj["apiVersion"], obj["kind"], namespace_of(obj), name_of(obj)) if part)


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _steady(inner) for name, inner in value.items() if name not in _VOLATILE and not _is_time(name)}
        return {name: inner for name, inner in kept.items() if inner not in ({}, [], None)}
    return [_steady(item) for item in value] if isinstance(value, list) else value


def _is_time(name: str) -> bool:
    return name.endswith(("Timestamp", "Time")) or name in ("time", "startedAt", "finishedAt")
