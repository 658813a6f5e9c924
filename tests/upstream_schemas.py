"""OpenAPI schemas of Kubernetes and of CRDs as JSON schemas that refuse what an API server refuses in strict mode.

Checked: unknown fields, types, enums, patterns, ranges, required fields. Not checked: CEL rules
(x-kubernetes-validations), what admission webhooks say, and what only Go code knows (a DNS label, a quantity).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators
from jsonschema.exceptions import relevance

Schema = dict[str, Any]
GroupVersionKind = tuple[str, str, str]
"""Group ("" for the core's), version, kind."""

_METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_REFERENCE = "#/components/schemas/"
_COMBINED = ("allOf", "anyOf", "oneOf")
_KEPT = (
    "type", "enum", "format", "pattern", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minimum",
    "maximum", "multipleOf", "minProperties", "maxProperties",
)  # fmt: skip


def validate(obj: Any, schema: Schema, *, partial: bool = False) -> list[str]:
    """What is wrong with an object, one line each with its place; empty when a strict API server takes it.

    Args:
        partial: fields for a server-side apply: what is required may be there already.
    """
    found = Draft202012Validator(schema).iter_errors(without_nulls(obj))
    counted = (error for error in found if not (partial and error.validator == "required"))
    return sorted({line for error in counted for line in _lines(error)})


def without_nulls(value: Any) -> Any:
    """An API server takes a field that is null as not set."""
    if isinstance(value, Mapping):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def validate_values(values: Any, schema: Schema) -> list[str]:
    """The same for a chart's values, whose schema says itself which draft it is of."""
    found = validators.validator_for(schema)(schema).iter_errors(values)
    return sorted({line for error in found for line in _lines(error)})


def _lines(error: ValidationError) -> Iterator[str]:
    """Of alternatives that all fail, the one that came nearest says why."""
    if error.context and error.validator in ("anyOf", "oneOf"):
        best = max(error.context, key=relevance)
        yield f"{_place(error)}: {best.message}"
    else:
        yield f"{_place(error)}: {error.message}"


def _place(error: ValidationError) -> str:
    return error.json_path.removeprefix("$.").removeprefix("$") or "(the object)"


def served_kinds(definitions: Mapping[str, Schema]) -> Mapping[GroupVersionKind, Schema]:
    """Of an API server's component schemas, those that are kinds."""
    shared = {name: strict(schema) for name, schema in definitions.items()}
    return {
        (kind["group"], kind["version"], kind["kind"]): {"$ref": f"#/$defs/{name}", "$defs": shared}
        for name, schema in definitions.items()
        for kind in schema.get("x-kubernetes-group-version-kind", ())
    }


def custom_resources(
    definitions: Sequence[Mapping[str, Any]], builtin: Mapping[str, Schema]
) -> Mapping[GroupVersionKind, Schema]:
    """The schemas of the kinds that CRDs define; their metadata is that of every object."""
    shared = {name: strict(schema) for name, schema in builtin.items() if ".meta.v1." in name}
    found: dict[GroupVersionKind, Schema] = {}
    for crd in (d for d in definitions if d["kind"] == "CustomResourceDefinition"):
        spec = crd["spec"]
        for version in spec["versions"]:
            schema = _resource(strict(_pruning(version["schema"]["openAPIV3Schema"])))
            found[spec["group"], version["name"], spec["names"]["kind"]] = {**schema, "$defs": shared}
    return found


def _resource(schema: Schema) -> Schema:
    """A whole object: what its schema says, and apiVersion, kind and metadata."""
    own = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"$ref": f"#/$defs/{_METADATA}"}}
    required = dict.fromkeys([*schema.get("required", ()), *own])
    return schema | {"properties": schema.get("properties", {}) | own, "required": [*required]}


def _pruning(schema: Schema) -> Schema:
    """The schema of a CRD, where a map without named fields has none: of a custom resource the rest is pruned."""
    made = dict(schema)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            made[name] = _pruning(schema[name])
    if "properties" in schema:
        made["properties"] = {field: _pruning(inner) for field, inner in schema["properties"].items()}
    elif schema.get("type") == "object" and not _takes_any(schema):
        made["additionalProperties"] = False
    return made


def _takes_any(schema: Schema) -> bool:
    marks = ("additionalProperties", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource")
    return any(schema.get(mark) for mark in marks)


def strict(schema: Schema, *, closed: bool = True) -> Schema:
    """The schema in JSON schema's dialect.

    Args:
        closed: a map with named fields has no others. Not so in the branches of anyOf, oneOf and allOf, which only
            restrict what is declared outside of them (a structural schema).
    """
    made: Schema = {name: schema[name] for name in _KEPT if name in schema}
    if "$ref" in schema:
        made["$ref"] = schema["$ref"].replace(_REFERENCE, "#/$defs/")
    if "properties" in schema:
        made["properties"] = {field: strict(inner, closed=closed) for field, inner in schema["properties"].items()}
        if closed and not _takes_any(schema):
            made["additionalProperties"] = False
    if "required" in schema:
        fields = schema.get("properties", {})  # what has a default is filled in before it is required
        made["required"] = [name for name in schema["required"] if "default" not in fields.get(name, {})]
    for name in ("items", "additionalProperties"):
        if name in schema:
            made[name] = strict(schema[name], closed=closed) if isinstance(schema[name], dict) else schema[name]
    for name in _COMBINED:
        if name in schema:
            made[name] = [strict(branch, closed=False) for branch in schema[name]]
    if "not" in schema:
        made["not"] = strict(schema["not"], closed=False)
    return _extended(schema, made)


def _extended(schema: Schema, made: Schema) -> Schema:
    """OpenAPI's and Kubernetes' own words; `nullable` needs nothing, for nulls are taken out."""
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if schema.get(exclusive) is True:  # a number in JSON schema
            made[exclusive] = made.pop(bound)
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        made = {**made, "type": ["integer", "string"]}
        made.pop("oneOf", None)
    return _resource(made) if schema.get("x-kubernetes-embedded-resource") else made


def unknown_values(values: Mapping[str, Any], defaults: Mapping[str, Any], path: str = "") -> list[str]:
    """The keys that are set and that the chart's defaults do not have: helm ignores them without a word.

    What upstream leaves empty ({}) takes any key; so does a null, which has no shape.
    """
    found = []
    for name, value in values.items():
        at = f"{path}.{name}" if path else name
        if name not in defaults:
            found.append(at)
        elif isinstance(value, Mapping) and value and defaults[name]:
            below = defaults[name]
            found += unknown_values(value, below, at) if isinstance(below, Mapping) else [f"{at} (is no map upstream)"]
    return found
