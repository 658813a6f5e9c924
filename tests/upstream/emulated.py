"""The lab's emulated objects beside upstream's: the same kinds and names, and of each what others find it by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.upstream_data import Object

Place = tuple[str, str, str]
"""Kind, namespace, name."""

_WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet", "Job")
_HELMS_OWN = {"helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"}
"""Labels that change with each release of a chart, so that nothing may select by them."""

UNUSED = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
"""Rights: the lab's API server asks nobody for them."""


def place(obj: Object, namespace: str) -> Place:
    at = obj["metadata"]
    cluster_wide = obj["kind"] in _CLUSTER_WIDE
    return obj["kind"], "" if cluster_wide else at.get("namespace", namespace), at["name"]


_CLUSTER_WIDE = (
    "Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "IngressClass", "StorageClass",
    "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ClusterPolicy", "RuntimeClass", "GatewayClass",
    "PriorityClass",
)  # fmt: skip


def drift(
    emulated: Iterable[Object], real: Iterable[Object], *, namespace: str = "", left_out: Iterable[Place] = ()
) -> list[str]:
    """What the lab's objects have and upstream's have not, or the other way round; empty when they agree.

    Args:
        namespace: of objects that name none.
        left_out: upstream's objects that the lab has no use for.
    """
    ours = {place(obj, namespace): obj for obj in emulated}
    theirs = {place(obj, namespace): obj for obj in real if not _is_hook(obj)}
    invented = [f"{_spoken(at)} does not exist upstream" for at in ours.keys() - theirs.keys()]
    absent = [at for at in theirs.keys() - ours.keys() - set(left_out) if at[0] not in UNUSED]
    found = [*invented, *(f"{_spoken(at)} is not in the lab" for at in absent)]
    for at in ours.keys() & theirs.keys():
        found += (f"{_spoken(at)}: {line}" for line in _differences(ours[at], theirs[at]))
    return sorted(found)


def _is_hook(obj: Object) -> bool:
    """Of a chart, made for an installation and gone with its success; the lab does what it does without it."""
    return "helm.sh/hook" in (obj["metadata"].get("annotations") or {})


def _spoken(at: Place) -> str:
    kind, namespace, name = at
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _differences(ours: Object, theirs: Object) -> Iterator[str]:
    if ours["apiVersion"] != theirs["apiVersion"]:
        yield f"apiVersion {ours['apiVersion']}, upstream {theirs['apiVersion']}"
    for name, read in _PARTS.items():
        one, other = read(ours), read(theirs)
        if one != other:
            yield f"{name} {one}, upstream {other}"


def _labels(obj: Object, *path: str) -> Mapping[str, str]:
    found: Any = obj
    for name in (*path, "metadata", "labels"):
        found = found.get(name) or {}
    return {name: value for name, value in found.items() if name not in _HELMS_OWN}


def _selector(obj: Object) -> Any:
    return (obj.get("spec") or {}).get("selector") if obj["kind"] in (*_WORKLOADS, "Service") else None


def _pod_labels(obj: Object) -> Any:
    return _labels(obj, "spec", "template") if obj["kind"] in _WORKLOADS else None


def _containers(obj: Object) -> Any:
    return [c["name"] for c in obj["spec"]["template"]["spec"]["containers"]] if obj["kind"] in _WORKLOADS else None


def _account(obj: Object) -> Any:
    return obj["spec"]["template"]["spec"].get("serviceAccountName") if obj["kind"] in _WORKLOADS else None


def _ports(obj: Object) -> Any:
    if obj["kind"] != "Service":
        return None
    ports = obj["spec"]["ports"]
    return sorted(
        (p.get("name", ""), p["port"], p.get("protocol", "TCP"), p.get("targetPort", p["port"])) for p in ports
    )


def _served(obj: Object) -> Any:
    """Of a CRD: how its kind is served."""
    if obj["kind"] != "CustomResourceDefinition":
        return None
    spec = obj["spec"]
    versions = sorted(
        (v["name"], v["served"], v["storage"], "status" in v.get("subresources", {})) for v in spec["versions"]
    )
    return spec["scope"], spec["names"]["kind"], spec["names"]["plural"], versions


def _class(obj: Object) -> Any:
    kept = ("provisioner", "reclaimPolicy", "volumeBindingMode", "handler")
    found = {name: obj[name] for name in kept if name in obj}
    return found | {"controller": obj["spec"].get("controller")} if obj["kind"] == "IngressClass" else found


_PARTS = {
    "labels": _labels,
    "selector": _selector,
    "pods' labels": _pod_labels,
    "containers": _containers,
    "service account": _account,
    "ports": _ports,
    "served": _served,
    "class": _class,
}
