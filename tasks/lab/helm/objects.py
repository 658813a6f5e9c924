"""What helm does with a release's objects: mark, apply, wait for, and remove them.

Source: helm/helm@v3.19.2 pkg/action/validate.go
Source: helm/helm@v3.19.2 pkg/releaseutil/kind_sorter.go
Source: helm/helm@v3.19.2 pkg/kube/ready.go
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from tasks.lab.microk8s.rollout import POLL, complete
from tasks.lab.tool import ToolError
from thinkube_nornir.lab.kube import ApiError, KubeApi, Object

NAME, NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
MANAGED = "app.kubernetes.io/managed-by"
POLICY = "helm.sh/resource-policy"
_ORDER = (
    *("Namespace", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "Secret", "ConfigMap", "StorageClass"),
    *("PersistentVolumeClaim", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
    *("Service", "DaemonSet", "Pod", "Deployment", "StatefulSet", "Job", "CronJob", "IngressClass", "Ingress"),
)
_WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet")
Key = tuple[str, str, str, str]


def owned(objects: Sequence[Object], name: str, namespace: str, api: KubeApi) -> list[Object]:
    """The objects with helm's own marks, in the order in which it installs kinds."""
    return [_marked(obj, name, namespace, api) for obj in sorted(objects, key=lambda obj: _rank(obj["kind"]))]


def _rank(kind: str) -> int:
    """All others come last."""
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _marked(obj: Object, name: str, namespace: str, api: KubeApi) -> Object:
    metadata = dict(obj["metadata"])
    metadata["labels"] = (metadata.get("labels") or {}) | {MANAGED: "Helm"}
    metadata["annotations"] = (metadata.get("annotations") or {}) | {NAME: name, NAMESPACE: namespace}
    if _namespaced(api, obj):
        metadata.setdefault("namespace", namespace)
    return {**obj, "metadata": metadata}


def _namespaced(api: KubeApi, obj: Object) -> bool:
    try:
        return api.registry.by_kind(obj["apiVersion"], obj["kind"]).namespaced
    except ApiError:  # of a CRD that comes with the same chart
        return True


async def define(api: KubeApi, definitions: Sequence[Object]) -> None:
    """Those that are not there yet, by name."""
    for obj in definitions:
        if api.get(*key(obj)) is None:
            api.create(obj, manager="helm")
    await api.queue.idle()


def check_kinds(api: KubeApi, objects: Sequence[Object], prefix: str) -> None:
    """
    Raises:
        ToolError: a kind is neither served nor defined by the chart itself.
    """
    defined = [o["spec"] for o in objects if o["kind"] == "CustomResourceDefinition"]
    known = {(spec["group"], spec["names"]["kind"]) for spec in defined}
    for obj in objects:
        try:
            api.registry.by_kind(obj["apiVersion"], obj["kind"])
        except ApiError:
            if (obj["apiVersion"].rpartition("/")[0], obj["kind"]) in known:
                continue
            message = f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"'
            name = f'resource mapping not found for name: "{obj["metadata"]["name"]}" namespace: ""'
            build = "unable to build kubernetes objects from release manifest"
            text = f'{prefix}{build}: {name} from "": {message}\nensure CRDs are installed first'
            raise ToolError(1, f"Error: {text}\n") from None


def key(obj: Object) -> Key:
    at = obj["metadata"]
    return obj["apiVersion"], obj["kind"], at["name"], at.get("namespace", "")


def check_ownership(api: KubeApi, objects: Sequence[Object], name: str, namespace: str, *, upgrade: bool) -> None:
    """
    Raises:
        ToolError: an object is there already that belongs to no release, or to another.
    """
    for obj in objects:
        live = api.get(*key(obj))
        if live is None:
            continue
        labels, notes = live["metadata"].get("labels") or {}, live["metadata"].get("annotations") or {}
        wrong = _mismatches("label", labels, {MANAGED: "Helm"})
        wrong += _mismatches("annotation", notes, {NAME: name, NAMESPACE: namespace})
        if wrong:
            place = f'{obj["kind"]} "{obj["metadata"]["name"]}" in namespace "{obj["metadata"].get("namespace", "")}"'
            message = f"{place} exists and cannot be imported into the current release: invalid ownership metadata"
            what = "UPGRADE FAILED: Unable to continue with update" if upgrade else "Unable to continue with install"
            raise ToolError(1, f"Error: {what}: {message}; {'; '.join(wrong)}\n")


def _mismatches(kind: str, found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    wrong = []
    for name, value in wanted.items():
        if name not in found:
            wrong.append(f'{kind} validation error: missing key "{name}": must be set to "{value}"')
        elif found[name] != value:
            wrong.append(
                f'{kind} validation error: key "{name}" must equal "{value}": current value is "{found[name]}"'
            )
    return wrong


async def apply(api: KubeApi, objects: Sequence[Object], previous: Sequence[Object]) -> None:
    """Apply the objects, and remove those of the previous manifest that are in it no more."""
    for obj in objects:
        api.apply(obj, manager="helm")
        if obj["kind"] == "CustomResourceDefinition":
            await api.queue.idle()
    wanted = {key(obj) for obj in objects}
    remove(api, [obj for obj in previous if key(obj) not in wanted])


def remove(api: KubeApi, objects: Sequence[Object]) -> list[Object]:
    """Remove in reverse; returns those that the resource policy keeps."""
    kept = [obj for obj in objects if (obj["metadata"].get("annotations") or {}).get(POLICY) == "keep"]
    for obj in reversed([obj for obj in objects if obj not in kept]):
        api.delete(*key(obj))
    return kept


async def ready(api: KubeApi, objects: Sequence[Object], timeout: float) -> bool:
    """Whether what helm waits for came in time: rolled out workloads, addresses of LoadBalancer services."""
    end = time.monotonic() + timeout
    while not all(_is_ready(api.get(*key(obj)) or {}) for obj in objects if obj["kind"] in (*_WORKLOADS, "Service")):
        if time.monotonic() >= end:
            return False
        await asyncio.sleep(POLL)
    return True


def _is_ready(obj: Object) -> bool:
    if obj.get("kind") == "Service":
        wants = obj["spec"].get("type") == "LoadBalancer"
        return not wants or bool((obj.get("status") or {}).get("loadBalancer", {}).get("ingress"))
    return complete(obj)


async def gone(api: KubeApi, objects: Sequence[Object], timeout: float) -> bool:
    end = time.monotonic() + timeout
    while any(api.get(*key(obj)) for obj in objects):
        if time.monotonic() >= end:
            return False
        await asyncio.sleep(POLL)
    return True
