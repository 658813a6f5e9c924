"""Types of the built-in kinds, read from the official client's models; custom.py has those of custom resources.

Checked: field names at every depth, and whether a value is a string, number, boolean, list or map. Not checked: enums,
ranges and required fields (validation.py has those that matter).

Unproven: the keys by which each list merges, unless a real API server was there for the contract tests.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from thinkube_nornir.lab.kube.objects import Object

_LIST = re.compile(r"^[Ll]ist\[(.+)\]$")
_DICT = re.compile(r"^[Dd]ict\([^,]+,\s*(.+)\)$|^[Dd]ict\[[^,]+,\s*(.+)\]$")

# How lists and maps are merged, by the client's names of types; what a real API server publishes is compared with it.
# Merge keys of lists whose items have an identity; every other list is replaced as a whole.
_LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "V1ContainerPort": ("containerPort", "protocol"),
    "V1ServicePort": ("port", "protocol"),
    "V1VolumeMount": ("mountPath",),
    "V1VolumeMountStatus": ("mountPath",),
    "V1VolumeDevice": ("devicePath",),
    "V1HostAlias": ("ip",),
    "V1PodIP": ("ip",),
    "V1OwnerReference": ("uid",),
    "V1TopologySpreadConstraint": ("topologyKey", "whenUnsatisfiable"),
    "V1NodeAddress": ("type",),
    "V1ResourceHealth": ("resourceID",),
    "V1ValidationRule": ("rule",),
    **dict.fromkeys(
        (
            "CoreV1ResourceClaim",
            "V1CSINodeDriver",
            "V1Container",
            "V1EnvVar",
            "V1EphemeralContainer",
            "V1LocalObjectReference",
            "V1MatchCondition",
            "V1MutatingWebhook",
            "V1ObjectReference",
            "V1PodResourceClaim",
            "V1PodResourceClaimStatus",
            "V1PodSchedulingGate",
            "V1ResourceStatus",
            "V1ValidatingWebhook",
            "V1Variable",
            "V1Volume",
        ),
        ("name",),
    ),
}
_ATOMIC_LISTS = {  # of such items, and yet one value
    ("V1CronJobStatus", "active"),
    ("V1JobStatus", "conditions"),
    ("V1ServiceAccount", "imagePullSecrets"),
}
_STRATEGIC_KEYS: Mapping[str, str] = {"V1HostIP": "ip", "V1JobCondition": "type"}
_NOT_STRATEGIC = {"CoreV1ResourceClaim", "V1CustomResourceDefinitionCondition", "V1ResourceHealth"}
_NOT_STRATEGIC_LISTS = {("V1ValidatingAdmissionPolicyStatus", "conditions")}
_KEY_DEFAULTS = {"protocol": "TCP"}
_ATOMIC_TYPES = {
    "CoreV1EndpointPort",
    "DiscoveryV1EndpointPort",
    "RbacV1Subject",
    "V1ConfigMapKeySelector",
    "V1EndpointAddress",
    "V1FileKeySelector",
    "V1LabelSelector",
    "V1LocalObjectReference",
    "V1MatchResources",
    "V1NamedRuleWithOperations",
    "V1NodeSelector",
    "V1NodeSelectorTerm",
    "V1ObjectFieldSelector",
    "V1ObjectReference",
    "V1OwnerReference",
    "V1ParamKind",
    "V1ParamRef",
    "V1ResourceFieldSelector",
    "V1RoleRef",
    "V1ScopeSelector",
    "V1SecretKeySelector",
    "V1SecretReference",
    "V1ServiceBackendPort",
    "V1TopologySelectorTerm",
    "V1TypedLocalObjectReference",
    "V1TypedObjectReference",
    "V1Variable",
    "object",
}
_NOT_ATOMIC = {("V1PersistentVolumeSpec", "claimRef"), ("V1PersistentVolumeClaimSpec", "dataSourceRef")}
_ATOMIC_MAPS = {"nodeSelector", "selector"}
_STRATEGIC_SETS = {("V1NodeSpec", "podCIDRs"), ("V1ObjectMeta", "finalizers")}
_SET_LISTS = _STRATEGIC_SETS | {
    ("V1CSIDriverSpec", "volumeLifecycleModes"),
    ("V1ContainerRestartRuleOnExitCodes", "values"),
    ("V1Endpoint", "addresses"),
    ("V1NodeAllocatableResourceClaimStatus", "containers"),
    ("V1PodFailurePolicyOnExitCodesRequirement", "values"),
    ("V1UncountedTerminatedPods", "failed"),
    ("V1UncountedTerminatedPods", "succeeded"),
    ("V1ValidatingAdmissionPolicyBindingSpec", "validationActions"),
}
_QUANTITIES = {
    *("limits", "requests", "capacity", "allocatable", "hard", "used", "overhead"),
    *("divisor", "maximumVolumeSize", "sizeLimit"),
}
_INT_OR_STRING = {"maxSurge", "maxUnavailable", "minAvailable", "port", "targetPort"}  # of the client's type `object`


@dataclass(frozen=True)
class Schema:
    """What is known of a value: the client's name of its type (`List[V1Container]`), and the field it stands in."""

    type: str
    name: str = ""
    owner: str = ""
    """The type that has the field."""

    @property
    def known(self) -> bool:
        return self.type not in ("", "object") or self.int_or_string

    @property
    def int_or_string(self) -> bool:
        return self.type == "object" and self.name in _INT_OR_STRING

    @property
    def struct(self) -> bool:
        return bool(_fields(self.type))

    @property
    def item(self) -> Schema:
        found = _LIST.match(self.type)
        return Schema(found[1], self.name) if found else UNKNOWN

    def field(self, name: str) -> Schema | None:
        """The schema of a field; None when the type has no such field."""
        if found := _DICT.match(self.type):
            return Schema(found[1] or found[2], self.name)
        fields = _fields(self.type)
        if not fields:
            return UNKNOWN
        return Schema(fields[name], name, self.type) if name in fields else None

    @property
    def _place(self) -> tuple[str, str]:
        return self.owner, self.name

    @property
    def atomic(self) -> bool:
        """Whether a map of this type has one owner as a whole."""
        if self.type in _ATOMIC_TYPES:
            return self._place not in _NOT_ATOMIC
        return self.name in _ATOMIC_MAPS and not self.struct and self.known

    @property
    def keys(self) -> tuple[str, ...]:
        """The fields that tell items of this list apart; empty when the list is one value."""
        if self._place in _ATOMIC_LISTS:
            return ()
        kind = self.item.type
        return _LIST_KEYS.get(kind) or (("type",) if kind.endswith("Condition") else ())

    @property
    def is_set(self) -> bool:
        return self._place in _SET_LISTS

    @property
    def patched_as_set(self) -> bool:
        """Whether a strategic merge patch adds to this list of plain values."""
        return self._place in _STRATEGIC_SETS

    @property
    def patch_key(self) -> str:
        """The merge key of a strategic merge patch; empty when the list is replaced."""
        kind = self.item.type
        if kind in _NOT_STRATEGIC or self._place in _NOT_STRATEGIC_LISTS:
            return ""
        return _STRATEGIC_KEYS.get(kind) or (self.keys[0] if self.keys else "")

    def mismatch(self, value: Any) -> str:
        """What was expected instead of `value`; empty when it fits."""
        kind, number = self.type, isinstance(value, int | float) and not isinstance(value, bool)
        if kind in ("str", "bytes", "datetime", "date") or self.int_or_string:
            also = self.int_or_string or self.name in _QUANTITIES
            return "" if isinstance(value, str) or (also and number) else "string"
        if kind == "bool":
            return "" if isinstance(value, bool) else "boolean"
        if kind in ("int", "float"):
            return "" if number else "numeric (int or float)"
        if _LIST.match(kind):
            return "" if isinstance(value, list) else "list"
        return "" if isinstance(value, dict) else "map"


UNKNOWN = Schema("")


@dataclass(frozen=True)
class Mistake:
    """A value that does not fit: `path` as in `spec.template`, `unknown` for a field that does not exist."""

    path: str
    unknown: bool
    what: str


def item_key(schema: Schema, item: Object) -> dict[str, Any]:
    return {key: item.get(key, _KEY_DEFAULTS.get(key)) for key in schema.keys}


def built_in(version: str, kind: str) -> Schema:
    name = f"{version.capitalize()}{kind}"
    return next((Schema(n) for n in (name, f"Core{name}") if _fields(n)), UNKNOWN)


def mistakes(schema: Schema, value: Any, path: str = "") -> Iterator[Mistake]:
    """Every unknown field and every value of a wrong type below `value`."""
    if value is None or not schema.known:
        return
    if expected := schema.mismatch(value):
        yield Mistake(path, False, f"expected {expected}, got {type(value).__name__}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from mistakes(schema.item, item, f"{path}[{index}]")
    elif isinstance(value, dict):
        yield from _in_fields(schema, value, path)


def _in_fields(schema: Schema, value: Object, path: str) -> Iterator[Mistake]:
    for name, inner in value.items():
        where = f"{path}.{name}" if path else name
        field = schema.field(name)
        if field is None:
            yield Mistake(where, True, "field not declared in schema")
        else:
            yield from mistakes(field, inner, where)


def prune(schema: Schema, value: Any) -> Any:
    """`value` without the fields that its type does not have."""
    if isinstance(value, list):
        return [prune(schema.item, item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = ((name, inner, schema.field(name)) for name, inner in value.items())
    return {name: prune(field, inner) for name, inner, field in kept if field is not None}


@functools.cache
def _fields(type_name: str) -> Mapping[str, str]:
    """JSON field names and their types; empty for a type that is no structure."""
    from kubernetes.client import models  # 0.3 s, so not before the first write

    model = getattr(models, type_name, None) if type_name.isidentifier() else None
    if model is None or not hasattr(model, "openapi_types"):
        return {}
    return {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}
