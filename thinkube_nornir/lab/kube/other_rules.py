"""What ConfigMaps, Secrets, roles, claims, classes, budgets and quotas must keep.

Source: kubernetes/kubernetes@v1.36.2 pkg/apis/core/validation/validation.go (ValidateSecret, ValidateConfigMap)
Source: kubernetes/kubernetes@v1.36.2 pkg/apis/rbac/validation/validation.go
Source: kubernetes/kubernetes@v1.36.2 pkg/apis/storage/validation/validation.go
Source: kubernetes/kubernetes@v1.36.2 pkg/apis/policy/validation/validation.go
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator

from thinkube_nornir.lab.kube.objects import Object, annotations_of, dig, name_of
from thinkube_nornir.lab.kube.quantities import quantity
from thinkube_nornir.lab.kube.rules import (
    among,
    broken,
    data_key,
    forbidden,
    invalid,
    label,
    not_negative,
    required,
    unsupported,
)
from thinkube_nornir.lab.kube.status import Cause

_HIDDEN = "<secret contents redacted>"
_ACCOUNT = "kubernetes.io/service-account.name"
_NEEDED = {"kubernetes.io/tls": ("tls.crt", "tls.key"), "kubernetes.io/ssh-auth": ("ssh-privatekey",)}
_DOCKER = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
_ACCESS = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_MOST_PRIORITY = 1000000000


def config_map(obj: Object) -> Iterator[Cause]:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key in data:
        yield from broken(f"data[{key}]", key, data_key)
        if key in binary:
            yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    for key in binary:
        yield from broken(f"binaryData[{key}]", key, data_key)


def secret(obj: Object) -> Iterator[Cause]:
    data, kind = obj.get("data") or {}, obj.get("type") or ""
    for key in data:
        yield from broken(f"data[{key}]", key, data_key)
    for key in _NEEDED.get(kind, ()):
        if key not in data:
            yield required(f"data[{key}]")
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
        yield required("data[username]")
        yield required("data[password]")
    if kind == "kubernetes.io/service-account-token" and not annotations_of(obj).get(_ACCOUNT):
        yield required(f"metadata.annotations[{_ACCOUNT}]")
    if key := _DOCKER.get(kind):
        yield from _docker(data.get(key), f"data[{key}]")


def _docker(value: str | None, field: str) -> Iterator[Cause]:
    if value is None:
        yield required(field)
        return
    try:
        json.loads(base64.b64decode(value))
    except (ValueError, binascii.Error):
        yield invalid(field, _HIDDEN, _first(base64.b64decode(value)))


def _first(content: bytes) -> str:
    text = content.decode(errors="replace").lstrip()
    return f"invalid character '{text[0]}' looking for beginning of value" if text else "unexpected end of JSON input"


def role(obj: Object) -> Iterator[Cause]:
    for index, rule in enumerate(obj.get("rules") or []):
        field = f"rules[{index}]"
        if not rule.get("verbs"):
            yield required(f"{field}.verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            if obj["kind"] == "Role":
                reported = "namespaced rules cannot apply to non-resource URLs"
                yield invalid(f"{field}.nonResourceURLs", rule["nonResourceURLs"], reported)
            continue
        if not rule.get("apiGroups"):
            yield required(f"{field}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"{field}.resources", "resource rules must supply at least one resource")


def binding(obj: Object) -> Iterator[Cause]:
    reference = obj.get("roleRef") or {}
    kinds = ("Role", "ClusterRole") if obj["kind"] == "RoleBinding" else ("ClusterRole",)
    if reference.get("kind") not in kinds:
        yield unsupported("roleRef.kind", reference.get("kind") or "", kinds)
    if not reference.get("name"):
        yield required("roleRef.name")
    for index, subject in enumerate(obj.get("subjects") or []):
        field, kind = f"subjects[{index}]", subject.get("kind") or ""
        if not subject.get("name"):
            yield required(f"{field}.name")
        yield from among(f"{field}.kind", kind, "ServiceAccount", "User", "Group")
        if kind == "ServiceAccount" and obj["kind"] == "ClusterRoleBinding" and not subject.get("namespace"):
            yield required(f"{field}.namespace")


def claim(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if not spec.get("accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    for mode in spec.get("accessModes") or []:
        yield from among("spec.accessModes", mode, *_ACCESS)
    size = dig(spec, "resources", "requests", "storage")
    if size is None:
        yield required("spec.resources[storage]")
    elif (quantity(str(size)) or 0) <= 0:
        yield invalid("spec.resources[storage]", str(size), "must be greater than zero")


def storage_class(obj: Object) -> Iterator[Cause]:
    if not obj.get("provisioner"):
        yield required("provisioner")
    yield from among("reclaimPolicy", obj.get("reclaimPolicy"), "Delete", "Retain")
    yield from among("volumeBindingMode", obj.get("volumeBindingMode"), "Immediate", "WaitForFirstConsumer")


def budget(obj: Object) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        reported = {"MinAvailable": least, "Selector": spec.get("selector"), "MaxUnavailable": most}
        both = "minAvailable and maxUnavailable cannot be both set"
        yield invalid("spec", reported | {"UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy")}, both)
    yield from not_negative("spec.minAvailable", least)
    yield from not_negative("spec.maxUnavailable", most)


def priority_class(obj: Object) -> Iterator[Cause]:
    if not name_of(obj).startswith("system-") and obj.get("value", 0) > _MOST_PRIORITY:
        yield forbidden("value", f"maximum allowed value of a user defined priority is {_MOST_PRIORITY}")


def runtime_class(obj: Object) -> Iterator[Cause]:
    yield from broken("handler", obj.get("handler") or "", label)


def lease(obj: Object) -> Iterator[Cause]:
    seconds = dig(obj, "spec", "leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        yield invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")


def quota(obj: Object) -> Iterator[Cause]:
    for name, amount in dig(obj, "spec", "hard", default={}).items():
        if (quantity(str(amount)) or 0) < 0:
            yield invalid(f"spec.hard[{name}]", str(amount), "must be greater than or equal to 0")
