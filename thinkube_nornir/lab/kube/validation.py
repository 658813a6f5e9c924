"""Rules an object must keep: names, required fields of the common kinds, and what may not change.

Source: kubernetes/apimachinery@v0.35.0 pkg/api/validation/objectmeta.go (ValidateImmutableField)
Unproven: that these are all rules an object of ours could break, and the words in which each kind refuses a change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from thinkube_nornir.lab.kube import custom, status
from thinkube_nornir.lab.kube.objects import Object, dig, labels_of, name_of
from thinkube_nornir.lab.kube.resources import Resource
from thinkube_nornir.lab.kube.selectors import selects
from thinkube_nornir.lab.kube.status import Cause

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")

_IMMUTABLE: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec.selector",),
    "ReplicaSet": ("spec.selector",),
    "DaemonSet": ("spec.selector",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"),
    "Job": ("spec.selector", "spec.template", "spec.completionMode"),
    "Secret": ("type",),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "IngressClass": ("spec.controller",),
    "RuntimeClass": ("handler",),
    "PersistentVolumeClaim": ("spec.storageClassName", "spec.accessModes", "spec.volumeMode"),
    "CustomResourceDefinition": ("spec.group", "spec.scope", "spec.names.plural"),
    "PriorityClass": ("value",),
}
_POD_MAY_CHANGE = {
    "tolerations",
    "activeDeadlineSeconds",
    "terminationGracePeriodSeconds",
    "nodeName",
    "ephemeralContainers",
}
_WORKLOADS = ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet")
_POD_SPECS = dict.fromkeys((*_WORKLOADS, "Job"), "spec.template.spec") | {"Pod": "spec"}
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "StorageClass": ("provisioner",),
    "PersistentVolumeClaim": ("spec.accessModes", "spec.resources.requests"),
    "CustomResourceDefinition": (
        "spec.group",
        "spec.scope",
        "spec.names.plural",
        "spec.names.kind",
        "spec.versions",
    ),
}


def check(resource: Resource, obj: Object, live: Object | None) -> None:
    """Raise 422 Invalid, with every cause found."""
    causes = [
        *_metadata(resource, obj),
        *(custom.causes(resource.declared, obj) if resource.custom else _required(obj)),
    ]
    if live is not None:
        causes += _unchanged(obj, live)
    if causes:
        raise status.invalid(resource.kind, resource.group, name_of(obj), causes)


def _metadata(resource: Resource, obj: Object) -> Iterator[Cause]:
    name = name_of(obj)
    if not name:
        yield Cause("metadata.name", "Required value: name or generateName is required", "FieldValueRequired")
    elif not _name_fits(resource, name):
        rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
        yield Cause("metadata.name", f'Invalid value: "{name}": {rule}')
    for key, value in labels_of(obj).items():
        if len(value) > 63 or not _LABEL_VALUE.fullmatch(value):
            yield Cause("metadata.labels", f'Invalid value: "{value}": not a valid label value (of {key})')


def _name_fits(resource: Resource, name: str) -> bool:
    if resource.group == "rbac.authorization.k8s.io":
        return name not in (".", "..") and not {"/", "%"} & set(name)
    if resource.kind == "Service":
        return bool(_SERVICE.fullmatch(name)) and len(name) <= 63
    if resource.kind == "Namespace":
        return bool(_LABEL.fullmatch(name)) and len(name) <= 63
    return bool(_SUBDOMAIN.fullmatch(name)) and len(name) <= 253


def _required(obj: Object) -> Iterator[Cause]:
    kind = obj["kind"]
    if kind in _NEEDED:
        yield from _needs(obj, *_NEEDED[kind])
    if kind in _WORKLOADS:
        yield from _selector(obj)
    if kind in _POD_SPECS:
        where = _POD_SPECS[kind]
        yield from _pod_spec(dig(obj, *where.split("."), default={}), where)
    if more := _MORE.get(kind):
        yield from more(obj)


def _job(obj: Object) -> Iterator[Cause]:
    if dig(obj, "spec", "template", "spec", "restartPolicy") == "Always":
        field = "spec.template.spec.restartPolicy"
        yield Cause(field, 'Required value: valid values: "OnFailure", "Never"', "FieldValueRequired")


def _data(obj: Object) -> Iterator[Cause]:
    rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    for key in dig(obj, "data", default={}):
        if not _DATA_KEY.fullmatch(key):
            yield Cause(f"data[{key}]", f'Invalid value: "{key}": {rule}')


def _needs(obj: Object, *fields: str) -> Iterator[Cause]:
    for field in fields:
        if not dig(obj, *field.split(".")):
            yield Cause(field, "Required value", "FieldValueRequired")


def _pod_spec(spec: Object, where: str) -> Iterator[Cause]:
    containers = spec.get("containers") or []
    if not containers:
        yield Cause(f"{where}.containers", "Required value", "FieldValueRequired")
    seen: set[str] = set()
    for index, container in enumerate(containers):
        field = f"{where}.containers[{index}]"
        for name in ("name", "image"):
            if not container.get(name):
                yield Cause(f"{field}.{name}", "Required value", "FieldValueRequired")
        if container.get("name") in seen:
            yield Cause(f"{field}.name", f'Duplicate value: "{container["name"]}"', "FieldValueDuplicate")
        seen.add(container.get("name", ""))
    yield from _mounts(spec, where)


def _mounts(spec: Object, where: str) -> Iterator[Cause]:
    volumes = {volume.get("name") for volume in spec.get("volumes") or []}
    for index, container in enumerate(spec.get("containers") or []):
        for number, mount in enumerate(container.get("volumeMounts") or []):
            if mount.get("name") not in volumes:
                field = f"{where}.containers[{index}].volumeMounts[{number}].name"
                yield Cause(field, f'Not found: "{mount.get("name")}"', "FieldValueNotFound")


def _selector(obj: Object) -> Iterator[Cause]:
    selector = dig(obj, "spec", "selector")
    if not selector:
        yield Cause("spec.selector", "Required value", "FieldValueRequired")
    elif not selects(selector, dig(obj, "spec", "template", "metadata", "labels", default={})):
        labels = dig(obj, "spec", "template", "metadata", "labels", default={})
        yield Cause(
            "spec.template.metadata.labels", f"Invalid value: {labels}: `selector` does not match template `labels`"
        )


def _service(obj: Object) -> Iterator[Cause]:
    spec = obj["spec"]
    ports = spec.get("ports") or []
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        yield Cause("spec.ports", "Required value", "FieldValueRequired")
    if len(ports) > 1:
        for index, port in enumerate(ports):
            if not port.get("name"):
                yield Cause(f"spec.ports[{index}].name", "Required value", "FieldValueRequired")


def _definition(obj: Object) -> Iterator[Cause]:
    wanted = f"{dig(obj, 'spec', 'names', 'plural')}.{dig(obj, 'spec', 'group')}"
    if name_of(obj) != wanted:
        yield Cause("metadata.name", f'Invalid value: "{name_of(obj)}": must be spec.names.plural+"."+spec.group')
    for index, version in enumerate(dig(obj, "spec", "versions", default=[])):
        if not dig(version, "schema", "openAPIV3Schema"):
            field = f"spec.versions[{index}].schema.openAPIV3Schema"
            yield Cause(field, "Required value: schemas are required", "FieldValueRequired")
    if sum(bool(version.get("storage")) for version in dig(obj, "spec", "versions", default=[])) != 1:
        yield Cause("spec.versions", "Invalid value: must have exactly one version marked as storage version")


_MORE: Mapping[str, Callable[[Object], Iterator[Cause]]] = {
    "Job": _job,
    "Service": _service,
    "ConfigMap": _data,
    "Secret": _data,
    "CustomResourceDefinition": _definition,
}


def _unchanged(obj: Object, live: Object) -> Iterator[Cause]:
    for field in _IMMUTABLE.get(obj["kind"], ()):
        before = dig(live, *field.split("."))
        if before is not None and dig(obj, *field.split(".")) != before:
            value = json.dumps(dig(obj, *field.split(".")), separators=(",", ":"))
            yield Cause(field, f"Invalid value: {value}: field is immutable")
    if live.get("immutable") and any(
        obj.get(field) != live.get(field) for field in ("data", "binaryData", "immutable")
    ):
        yield Cause("data", "Forbidden: field is immutable when `immutable` is set", "FieldValueForbidden")
    if obj["kind"] == "Pod" and _fixed(obj["spec"]) != _fixed(live["spec"]):
        rule = "pod updates may not change fields other than `spec.containers[*].image`, `spec.tolerations`"
        yield Cause("spec", f"Forbidden: {rule}", "FieldValueForbidden")
    if obj["kind"] == "Service" and _moved(obj["spec"], live["spec"]):
        yield Cause("spec.clusterIPs[0]", f"Invalid value: {obj['spec'].get('clusterIPs')}: may not change once set")


def _moved(spec: Object, live: Object) -> bool:
    before = live.get("clusterIP")
    return bool(before) and spec["type"] != "ExternalName" and spec.get("clusterIP") != before


def _fixed(spec: Object) -> Object:
    """A pod's spec without what may change."""
    fixed = {name: value for name, value in spec.items() if name not in _POD_MAY_CHANGE}
    for group in ("containers", "initContainers"):
        if group in fixed:
            fixed[group] = [{k: v for k, v in c.items() if k not in ("image", "imagePullPolicy")} for c in fixed[group]]
    return fixed
