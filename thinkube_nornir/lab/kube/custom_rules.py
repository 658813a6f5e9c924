"""What a CRD's schema refuses: missing fields, wrong types, and values out of range, length or pattern.

Not checked: CEL rules (x-kubernetes-validations), and formats other than those below.

Source: kubernetes/kube-openapi@5b3e3fdf29af pkg/validation/validate/values.go, schema_props.go
Source: kubernetes/kubernetes@v1.36.2
    staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/validation/validation.go
Source: kubernetes/kubernetes@v1.36.2
    staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype/validation.go
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from thinkube_nornir.lab.kube.custom import CustomSchema
from thinkube_nornir.lab.kube.objects import Object
from thinkube_nornir.lab.kube.rules import duplicate, invalid, required, unsupported
from thinkube_nornir.lab.kube.status import Cause

_BOUNDS: tuple[tuple[str, str, Callable[[Any, Any], bool], str], ...] = (
    ("minimum", "exclusiveMinimum", lambda value, limit: bool(value < limit), "greater than"),
    ("maximum", "exclusiveMaximum", lambda value, limit: bool(value > limit), "less than"),
)


def causes(declared: Mapping[str, Any], value: Any, path: str = "") -> Iterator[Cause]:
    """Each with its field, as the API server names it."""
    schema = CustomSchema("declared", declared=declared)
    kind = _kind(value)
    mistyped = schema.known and bool(schema.mismatch(value))
    if mistyped:
        wanted = "integer,string" if declared.get("x-kubernetes-int-or-string") else declared.get("type", "string")
        why = f'{path} in body must be of type {wanted}: "{kind}"'
        yield Cause(path, f'Invalid value: "{kind}": {why}', "FieldValueTypeInvalid")
    if "enum" in declared and value not in declared["enum"]:
        yield unsupported(path, value, map(str, declared["enum"]))
    yield from _combined(declared, value, path)
    if mistyped:
        return
    match value:
        case bool():
            return
        case int() | float():
            yield from _number(declared, value, path)
        case str():
            yield from _text(declared, value, path)
        case list():
            yield from _list(declared, value, path)
        case dict():
            yield from _map(declared, value, path)


def _combined(declared: Mapping[str, Any], value: Any, path: str) -> Iterator[Cause]:
    """Whether it fits as many of the alternatives as it must; the first one's own causes stand beside."""
    fitting = {name: [list(causes(one, value, path)) for one in declared.get(name) or ()] for name in _COMBINED}
    passed = {name: sum(not found for found in tried) for name, tried in fitting.items()}
    if fitting["anyOf"] and not passed["anyOf"]:
        yield _of_schema(path, "must validate at least one schema (anyOf)")
        yield from fitting["anyOf"][0]
    if fitting["oneOf"] and passed["oneOf"] != 1:
        found = f"{passed['oneOf']} valid alternatives" if passed["oneOf"] else "none valid"
        yield _of_schema(path, f"must validate one and only one schema (oneOf). Found {found}")
        yield from () if passed["oneOf"] else fitting["oneOf"][0]
    if passed["allOf"] < len(fitting["allOf"]):
        yield from (cause for found in fitting["allOf"] for cause in found)
        none = "" if passed["allOf"] else ". None validated"
        yield _of_schema(path, f"must validate all the schemas (allOf){none}")
    if "not" in declared and not any(causes(declared["not"], value, path)):
        yield _of_schema(path, "must not validate the schema (not)")


_COMBINED = ("anyOf", "oneOf", "allOf")


def _of_schema(path: str, what: str) -> Cause:
    return Cause("<nil>", f'Invalid value: "": "{path}" {what}')


def _kind(value: Any) -> str:
    """The word of the schema for what a value is."""
    names = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"))
    return next((name for kind, name in names if isinstance(value, kind)), "null")


def _number(declared: Mapping[str, Any], value: float, path: str) -> Iterator[Cause]:
    for name, strict, passes, words in _BOUNDS:
        limit = declared.get(name)
        if limit is None:
            continue
        if passes(value, limit) or (declared.get(strict) and value == limit):
            or_equal = "" if declared.get(strict) else " or equal to"
            yield invalid(path, value, f"{path} in body should be {words}{or_equal} {limit}")
    if (factor := declared.get("multipleOf")) and value % factor:
        yield invalid(path, value, f"{path} in body should be a multiple of {factor}")


def _text(declared: Mapping[str, Any], value: str, path: str) -> Iterator[Cause]:
    if (most := declared.get("maxLength")) is not None and len(value) > most:
        yield Cause(path, f"Too long: may not be more than {most} bytes", "FieldValueTooLong")
    if (least := declared.get("minLength")) is not None and len(value) < least:
        yield invalid(path, value, f"{path} in body should be at least {least} chars long")
    if (pattern := declared.get("pattern")) and not re.search(pattern, value):
        yield invalid(path, value, f"{path} in body should match '{pattern}'")
    form = declared.get("format", "")
    if form in _FORMATS and not _fits(_FORMATS[form], value):
        why = f'{path} in body must be of type {form}: "{value}"'
        yield Cause(path, f'Invalid value: "{value}": {why}', "FieldValueTypeInvalid")


_FORMATS: Mapping[str, Callable[[str], object]] = {
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "date-time": datetime.datetime.fromisoformat,
}


def _fits(read: Callable[[str], object], value: str) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True


def _list(declared: Mapping[str, Any], value: list[Any], path: str) -> Iterator[Cause]:
    yield from _count(declared, len(value), path, "Items", "items")
    keys = declared.get("x-kubernetes-list-map-keys") or ()
    is_set, seen = declared.get("x-kubernetes-list-type") == "set", list[Any]()
    for index, item in enumerate(value):
        yield from causes(declared.get("items") or {}, item, f"{path}[{index}]")
        identity = {key: item.get(key) for key in keys} if keys and isinstance(item, dict) else item
        if (keys or is_set) and identity in seen:
            yield duplicate(f"{path}[{index}]", identity)
        seen.append(identity)


def _map(declared: Mapping[str, Any], value: Object, path: str) -> Iterator[Cause]:
    yield from _count(declared, len(value), path, "Properties", "properties")
    where = f"{path}." if path else ""
    yield from (required(f"{where}{name}") for name in declared.get("required") or () if name not in value)
    properties = declared.get("properties") or {}
    for name, inner in value.items():
        below = properties.get(name) or declared.get("additionalProperties")
        if isinstance(below, Mapping) and inner is not None:
            yield from causes(below, inner, f"{where}{name}")


def _count(declared: Mapping[str, Any], number: int, path: str, suffix: str, what: str) -> Iterator[Cause]:
    if (most := declared.get(f"max{suffix}")) is not None and number > most:
        items = "item" if most == 1 else "items"
        yield Cause(path, f"Too many: {number}: must have at most {most} {items}", "FieldValueTooMany")
    if (least := declared.get(f"min{suffix}")) is not None and number < least:
        yield invalid(path, number, f"{path} in body should have at least {least} {what}")
