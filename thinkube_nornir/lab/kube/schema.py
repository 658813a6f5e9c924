"""Types of the built-in kinds, read from the official client's models; custom resources have none and take anything.

Checked: field names at every depth, and whether a value is a string, number, boolean, list or map. Not checked: enums,
ranges and required fields (validation.py has those that matter).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from thinkube_nornir.lab.kube.objects import Object
from thinkube_nornir.lab.kube.resources import Resource

_LIST = re.compile(r"^[Ll]ist\[(.+)\]$")
_DICT = re.compile(r"^[Dd]ict\([^,]+,\s*(.+)\)$|^[Dd]ict\[[^,]+,\s*(.+)\]$")

# Merge keys of lists whose items have an identity; every other list is replaced as a whole.
_LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "V1Container": ("name",),
    "V1EphemeralContainer": ("name",),
    "V1ContainerPort": ("containerPort", "protocol"),
    "V1ServicePort": ("port", "protocol"),
    "V1EnvVar": ("name",),
    "V1Volume": ("name",),
    "V1VolumeMount": ("mountPath",),
    "V1VolumeDevice": ("devicePath",),
    "V1LocalObjectReference": ("name",),
    "V1HostAlias": ("ip",),
    "V1PodIP": ("ip",),
    "V1HostIP": ("ip",),
    "V1OwnerReference": ("uid",),
    "V1TopologySpreadConstraint": ("topologyKey", "whenUnsatisfiable"),
    "V1NodeAddress": ("type",),
    "V1MutatingWebhook": ("name",),
    "V1ValidatingWebhook": ("name",),
    "V1PodResourceClaim": ("name",),
}
_STRATEGIC_KEYS: Mapping[str, str] = {"V1Taint": "key", "V1ObjectReference": "name"}
_KEY_DEFAULTS = {"protocol": "TCP"}
_ATOMIC_TYPES = {
    "V1ConfigMapKeySelector",
    "V1LabelSelector",
    "V1LocalObjectReference",
    "V1NodeSelector",
    "V1NodeSelectorTerm",
    "V1ObjectFieldSelector",
    "V1ObjectReference",
    "V1ResourceFieldSelector",
    "V1RoleRef",
    "V1SecretKeySelector",
    "V1SecretReference",
    "V1TypedLocalObjectReference",
    "V1TypedObjectReference",
    "object",
}
_ATOMIC_MAPS = {"nodeSelector", "selector"}
_SET_LISTS = {"finalizers"}
_QUANTITIES = {"limits", "requests", "capacity", "allocatable", "hard", "used", "overhead"}


@dataclass(frozen=True)
class Schema:
    """What is known of a value: the client's name of its type (`List[V1Container]`), and the field it stands in."""

    type: str
    name: str = ""

    @property
    def known(self) -> bool:
        return self.type not in ("", "object")

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
        return Schema(fields[name], name) if name in fields else None

    @property
    def atomic(self) -> bool:
        """Whether a map of this type has one owner as a whole."""
        return self.type in _ATOMIC_TYPES or (self.name in _ATOMIC_MAPS and not self.struct and self.known)

    @property
    def keys(self) -> tuple[str, ...]:
        """The fields that tell items of this list apart; empty when the list is one value."""
        kind = self.item.type
        return ("type",) if kind.endswith("Condition") else _LIST_KEYS.get(kind, ())

    @property
    def is_set(self) -> bool:
        return self.name in _SET_LISTS

    @property
    def patch_key(self) -> str:
        """The merge key of a strategic merge patch; empty when the list is replaced."""
        return self.keys[0] if self.keys else _STRATEGIC_KEYS.get(self.item.type, "")


UNKNOWN = Schema("")


@dataclass(frozen=True)
class Mistake:
    """A value that does not fit: `path` as in `spec.template`, `unknown` for a field that does not exist."""

    path: str
    unknown: bool
    what: str


def item_key(schema: Schema, item: Object) -> dict[str, Any]:
    return {key: item.get(key, _KEY_DEFAULTS.get(key)) for key in schema.keys}


def schema_of(resource: Resource) -> Schema:
    if resource.custom:
        return _CUSTOM
    name = f"{resource.version.capitalize()}{resource.kind}"
    return next((Schema(n) for n in (name, f"Core{name}") if _fields(n)), UNKNOWN)


def mistakes(schema: Schema, value: Any, path: str = "") -> Iterator[Mistake]:
    """Every unknown field and every value of a wrong type below `value`."""
    if value is None or not schema.known:
        return
    if expected := _mismatch(schema, value):
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


def _mismatch(schema: Schema, value: Any) -> str:
    """What was expected instead of `value`; empty when it fits."""
    kind = schema.type
    if kind in ("str", "bytes", "datetime", "date"):
        return (
            ""
            if isinstance(value, str) or (schema.name in _QUANTITIES and isinstance(value, int | float))
            else "string"
        )
    if kind == "bool":
        return "" if isinstance(value, bool) else "boolean"
    if kind in ("int", "float"):
        return "" if isinstance(value, int | float) and not isinstance(value, bool) else "numeric (int or float)"
    if _LIST.match(kind):
        return "" if isinstance(value, list) else "list"
    return "" if isinstance(value, dict) else "map"


_CUSTOM = Schema("custom resource")


@functools.cache
def _fields(type_name: str) -> Mapping[str, str]:
    """JSON field names and their types; empty for a type that is no structure."""
    if type_name == _CUSTOM.type:
        return _CustomFields(metadata="V1ObjectMeta", apiVersion="str", kind="str")
    from kubernetes.client import models  # 0.3 s, so not before the first write

    model = getattr(models, type_name, None) if type_name.isidentifier() else None
    if model is None or not hasattr(model, "openapi_types"):
        return {}
    return {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}


class _CustomFields(dict[str, str]):
    """A custom resource: metadata is known, every other field exists and holds anything."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return ""
