"""The lab's CRDs beside upstream's: where a schema of the lab says something, it says the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.upstream_data import Object

_OWN = {"apiVersion", "kind", "metadata"}
_WORDS = (
    "type",
    "enum",
    "default",
    "x-kubernetes-int-or-string",
    "x-kubernetes-map-type",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)
_UNSAID = {"x-kubernetes-list-type": "atomic", "x-kubernetes-map-type": "granular"}
"""What holds where nothing is said."""


def schema_drift(emulated: Iterable[Object], real: Iterable[Object]) -> list[str]:
    """Of all definitions that both have, in all versions that both serve."""
    upstreams = dict(_schemas(real))
    found: list[str] = []
    for place, schema in _schemas(emulated):
        if place in upstreams:
            found += (f"{' '.join(place)}: {line}" for line in _differences(schema, upstreams[place], ""))
    return found


def _schemas(objects: Iterable[Object]) -> Iterator[tuple[tuple[str, str], Object]]:
    for obj in objects:
        if obj["kind"] == "CustomResourceDefinition":
            for version in obj["spec"]["versions"]:
                yield (obj["metadata"]["name"], version["name"]), version["schema"]["openAPIV3Schema"]


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], path: str) -> Iterator[str]:
    if ours.get("x-kubernetes-preserve-unknown-fields"):
        return  # the lab leaves it open
    for word in _WORDS:
        one, other = (schema.get(word, _UNSAID.get(word)) for schema in (ours, theirs))
        if one != other:
            yield f"{path or 'object'} {word} {one!r}, upstream {other!r}"
    if set(ours.get("required", ())) != set(theirs.get("required", ())):
        yield f"{path or 'object'} required {ours.get('required')}, upstream {theirs.get('required')}"
    fields, known = (dict(schema.get("properties") or {}) for schema in (ours, theirs))
    if not path:
        known = {name: inner for name, inner in known.items() if name not in _OWN}
    yield from (f"{path}.{name} does not exist upstream".lstrip(".") for name in fields.keys() - known.keys())
    yield from (f"{path}.{name} is not in the lab".lstrip(".") for name in known.keys() - fields.keys())
    for name in fields.keys() & known.keys():
        yield from _differences(fields[name], known[name], f"{path}.{name}".lstrip("."))
    for name, mark in (("items", "[]"), ("additionalProperties", ".*")):
        one, other = ours.get(name), theirs.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _differences(one, other, path + mark)
        elif one != other:
            yield f"{path}{mark} {one!r}, upstream {other!r}"
