"""Which rules an object must keep: its metadata, what its kind demands (*_rules.py), and what may not change.

Source: kubernetes/apimachinery@v0.35.0 pkg/api/validation/objectmeta.go (ValidateImmutableField)
Unproven: that these are all rules a managed object could break, and the words in which each kind refuses a change;
    those in which it refuses a new object are compared with a real API server's, where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from thinkube_nornir.lab.kube import custom_rules, other_rules, rules, service_rules, status
from thinkube_nornir.lab.kube.objects import Object, dig, labels_of, name_of
from thinkube_nornir.lab.kube.pod_rules import pod_spec
from thinkube_nornir.lab.kube.resources import Resource
from thinkube_nornir.lab.kube.status import Cause
from thinkube_nornir.lab.kube.workload_rules import cron_job, job, workload

_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
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
_NEEDED: Mapping[str, tuple[str, ...]] = {
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
        *(custom_rules.causes(resource.declared, obj) if resource.custom else _required(obj)),
    ]
    if live is not None:
        causes += _unchanged(obj, live)
    if causes:
        raise status.invalid(resource.kind, resource.group, name_of(obj), causes)


def _metadata(resource: Resource, obj: Object) -> Iterator[Cause]:
    metadata, name = obj["metadata"], name_of(obj)
    if not name:
        yield Cause("metadata.name", "Required value: name or generateName is required", "FieldValueRequired")
    else:
        yield from rules.broken("metadata.name", name, _name_rule(resource))
    yield from rules.labels("metadata.labels", labels_of(obj))
    for key in metadata.get("annotations") or {}:
        yield from rules.broken("metadata.annotations", key.lower(), rules.qualified_name)
    for owner in metadata.get("ownerReferences") or []:
        if not owner.get("uid"):
            yield rules.invalid("metadata.ownerReferences.uid", "", "must not be empty")
    for index, finalizer in enumerate(metadata.get("finalizers") or []):
        field = f"metadata.finalizers[{index}]"
        yield from rules.broken(field, finalizer, rules.qualified_name)
        strict = not resource.custom and obj["kind"] != "CustomResourceDefinition"
        if strict and "/" not in finalizer and finalizer not in _FINALIZERS:
            reported = "name is neither a standard finalizer name nor is it fully qualified"
            yield rules.invalid(field, finalizer, reported)


def _name_rule(resource: Resource) -> rules.Rule:
    if resource.group == "rbac.authorization.k8s.io":
        return _path_segment
    if resource.custom:
        return rules.subdomain
    return {"Service": rules.label, "Namespace": rules.label}.get(resource.kind, rules.subdomain)


def _path_segment(name: str) -> Iterator[str]:
    if name in (".", ".."):
        yield f"may not be '{name}'"
    yield from (f"may not contain '{illegal}'" for illegal in "/%" if illegal in name)


def _required(obj: Object) -> Iterator[Cause]:
    for field in _NEEDED.get(obj["kind"], ()):
        if not dig(obj, *field.split(".")):
            yield rules.required(field)
    if more := _MORE.get(obj["kind"]):
        yield from more(obj)


def _pod(obj: Object) -> Iterator[Cause]:
    yield from pod_spec(obj["spec"], "spec")


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
    "Pod": _pod,
    **dict.fromkeys(("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"), workload),
    "Job": job,
    "CronJob": cron_job,
    "Service": service_rules.service,
    "Ingress": service_rules.ingress,
    "IngressClass": service_rules.ingress_class,
    "NetworkPolicy": service_rules.network_policy,
    "ConfigMap": other_rules.config_map,
    "Secret": other_rules.secret,
    **dict.fromkeys(("Role", "ClusterRole"), other_rules.role),
    **dict.fromkeys(("RoleBinding", "ClusterRoleBinding"), other_rules.binding),
    "PersistentVolumeClaim": other_rules.claim,
    "StorageClass": other_rules.storage_class,
    "PodDisruptionBudget": other_rules.budget,
    "PriorityClass": other_rules.priority_class,
    "RuntimeClass": other_rules.runtime_class,
    "Lease": other_rules.lease,
    "ResourceQuota": other_rules.quota,
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
