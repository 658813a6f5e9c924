"""What a CRD's schema says of its objects: fields and types, merging of lists, defaults. Its rules: custom_rules.py.

Source: kubernetes/kubernetes@10dfa86b6c7b
    staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning/algorithm.go
Source: kubernetes/kubernetes@94341df30b4a
    staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting/algorithm.go
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from thinkube_nornir.lab.kube.objects import clone
from thinkube_nornir.lab.kube.resources import Resource
from thinkube_nornir.lab.kube.schema import UNKNOWN, Schema, built_in

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_WORDS = {"array": "list", "object": "map", "integer": "numeric (int or float)", "number": "numeric (int or float)"}


@dataclass(frozen=True)
class CustomSchema(Schema):
    """A value of a custom resource, as the CRD declares it."""

    declared: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def known(self) -> bool:
        return bool(self.types)

    @property
    def types(self) -> tuple[type, ...]:
        """What it may be; empty when nothing is said."""
        if self.declared.get("x-kubernetes-int-or-string"):
            return int, str
        return _TYPES.get(str(self.declared.get("type", "")), ())

    @property
    def struct(self) -> bool:
        return "properties" in self.declared

    @property
    def item(self) -> Schema:
        return _of(self.declared.get("items"))

    def field(self, name: str) -> Schema | None:
        properties = self.declared.get("properties") or {}
        if name in properties:
            return _METADATA if properties[name] is _OBJECT_META else _of(properties[name])
        if inner := self.declared.get("additionalProperties"):
            return _of(inner)
        return UNKNOWN if self.declared.get("x-kubernetes-preserve-unknown-fields") else None

    @property
    def atomic(self) -> bool:
        return self.declared.get("x-kubernetes-map-type") == "atomic"

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.declared.get("x-kubernetes-list-map-keys") or ())

    @property
    def is_set(self) -> bool:
        return self.declared.get("x-kubernetes-list-type") == "set"

    def mismatch(self, value: Any) -> str:
        wrong_bool = isinstance(value, bool) and bool not in self.types
        fits = isinstance(value, self.types) and not wrong_bool
        kind = str(self.declared.get("type", "string"))
        return "" if fits else _WORDS.get(kind, kind)


_OBJECT_META: Mapping[str, Any] = {}
_METADATA = Schema("V1ObjectMeta", "metadata")


def _of(declared: Any) -> Schema:
    return CustomSchema("declared", declared=declared) if isinstance(declared, Mapping) and declared else UNKNOWN


def schema_of_definition(declared: Mapping[str, Any]) -> CustomSchema:
    """Of whole objects: what is declared, and what every object has."""
    own = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _OBJECT_META}
    return CustomSchema("declared", declared={**declared, "properties": {**(declared.get("properties") or {}), **own}})


def schema_of(resource: Resource) -> Schema:
    """Of a kind's objects, whoever defines it."""
    if resource.custom:
        return schema_of_definition(resource.declared)
    return built_in(resource.version, resource.kind)


def fill_in(declared: Mapping[str, Any], value: Any) -> None:
    """Set the declared defaults of fields that are missing, also below what is there."""
    if isinstance(value, list):
        for item in value:
            fill_in(declared.get("items") or {}, item)
    elif isinstance(value, dict):
        for name, inner in (declared.get("properties") or {}).items():
            if value.get(name) is None and "default" in inner:
                value[name] = clone(inner["default"])
            if name in value:
                fill_in(inner, value[name])
        for inner in value.values() if isinstance(declared.get("additionalProperties"), Mapping) else ():
            fill_in(declared["additionalProperties"], inner)
