"""The lab's API server, against what a real one publishes about its kinds: fields, types, and how lists are merged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests import upstream_data as upstream
from tests.upstream_schemas import Schema as Published
from thinkube_nornir.lab.kube.custom import schema_of
from thinkube_nornir.lab.kube.resources import Registry
from thinkube_nornir.lab.kube.schema import Schema, mistakes

REMOVED = {"v1 Pod.status.nodeAllocatableResourceClaimStatuses[].resources"}
"""Fields of an alpha feature that the newer client library no longer has."""
_REFERENCE = "#/components/schemas/"
VALUES: Mapping[str, Any] = {"string": "a", "integer": 1, "boolean": True, "array": [], "object": {}}
Pair = tuple[str, Schema, Published]
"""Where it stands, what the lab knows of it, what upstream publishes."""


@pytest.fixture(scope="module")
def definitions() -> Mapping[str, Published]:
    return upstream.builtin_definitions()


def kinds(definitions: Mapping[str, Published]) -> dict[str, tuple[Schema, str]]:
    """The lab's built-in kinds, and the name of each one's definition upstream; empty when it has none."""
    named = {
        (kind["group"], kind["version"], kind["kind"]): name
        for name, definition in definitions.items()
        for kind in definition.get("x-kubernetes-group-version-kind", ())
    }
    return {
        f"{resource.api_version} {resource.kind}": (
            schema_of(resource),
            named.get((resource.group, resource.version, resource.kind), ""),
        )
        for resource in Registry()
    }


def pairs(definitions: Mapping[str, Published]) -> Iterator[Pair]:
    seen: set[tuple[str, str]] = set()
    for kind, (schema, name) in kinds(definitions).items():
        if name:
            yield from below(definitions, kind, schema, {"$ref": _REFERENCE + name}, seen)


def below(
    definitions: Mapping[str, Published], path: str, schema: Schema, published: Published, seen: set[tuple[str, str]]
) -> Iterator[Pair]:
    name, whole = resolved(definitions, published)
    yield path, schema, whole
    if name and (schema.type, name) in seen:
        return
    seen.add((schema.type, name))
    for field, inner in whole.get("properties", {}).items():
        known = schema.field(field)
        if known is not None and schema.struct:
            yield from below(definitions, f"{path}.{field}", known, inner, seen)
    if "items" in whole:
        yield from below(definitions, f"{path}[]", schema.item, whole["items"], seen)


def resolved(definitions: Mapping[str, Published], published: Published) -> tuple[str, Published]:
    """The definition's name, and all that is said of this field."""
    wrapped = published["allOf"][0] if len(published.get("allOf", ())) == 1 else published
    name = wrapped.get("$ref", "").removeprefix(_REFERENCE)
    return name, {**(definitions[name] if name else {}), **published}


def taken_upstream(published: Published) -> set[str]:
    """Which kinds of values a field may hold."""
    if published.get("format") == "int-or-string" or "oneOf" in published:
        return {"string", "integer"}
    kind = "integer" if published.get("type") == "number" else published.get("type")
    free = kind is None or (kind == "object" and not {"properties", "additionalProperties"} & published.keys())
    return set(VALUES) if free else {str(kind)}


def taken_here(schema: Schema) -> set[str]:
    return {kind for kind, value in VALUES.items() if not list(mistakes(schema, value))}


def test_every_kind_of_the_lab_is_published(definitions: Mapping[str, Published]) -> None:
    """In the group and version in which the lab serves it, but for those whose documents the data leaves out."""
    unknown = {kind for kind, (_, name) in kinds(definitions).items() if not name}

    assert unknown == {"autoscaling/v2 HorizontalPodAutoscaler", "certificates.k8s.io/v1 CertificateSigningRequest"}


def test_the_lab_knows_every_field(definitions: Mapping[str, Published]) -> None:
    """What a real API server takes the lab takes, with a value of the same type.

    It takes more where its client library is newer than upstream's data.
    """
    wrong = []
    for path, known, whole in pairs(definitions):
        if known.struct:
            wrong += [f"{path}.{field}" for field in whole.get("properties", {}) if known.field(field) is None]
        if (expected := taken_upstream(whole)) != (found := taken_here(known)):
            wrong.append(f"{path}: {sorted(found)}, upstream {sorted(expected)}")

    assert sorted(set(wrong) - REMOVED) == []


def test_the_lab_merges_as_published(definitions: Mapping[str, Published]) -> None:
    """List keys, sets and atomic maps decide who owns what after an apply, and what a patch replaces."""
    wrong = []
    for path, known, whole in pairs(definitions):
        merges = "merge" in whole.get("x-kubernetes-patch-strategy", "")
        published = {
            "keys": set(whole.get("x-kubernetes-list-map-keys", ())),
            "set": whole.get("x-kubernetes-list-type") == "set",
            "atomic": whole.get("x-kubernetes-map-type") == "atomic",
            "patch key": whole.get("x-kubernetes-patch-merge-key", "") if merges else "",
        }
        emulated = {"keys": set(known.keys), "set": known.is_set, "atomic": known.atomic, "patch key": known.patch_key}
        if taken_upstream(whole) not in ({"object"}, {"array"}):
            del published["atomic"]  # JSON of any shape
        if whole.get("type") == "array" and "$ref" not in str(whole["items"]):
            published["patched as set"], emulated["patched as set"] = merges, known.patched_as_set
        wrong += [f"{path} {n}: {emulated[n]}, upstream {p}" for n, p in published.items() if emulated[n] != p]

    assert wrong == []
