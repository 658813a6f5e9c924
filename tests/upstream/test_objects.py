"""Every object that the product sends to an API server, against the schemas of real ones."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.product_objects import Object, Recording
from tests.upstream_schemas import GroupVersionKind, Schema, validate

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
NOT_OURS = {
    "tasks/shared/cluster/definitions.py:update_definitions": "the CRDs of a chart, as they are",
}
"""What sends no manifest of ours, and why."""
WRITERS = {"apply", "run_pod", "probe_server"}
"""The functions of thinkube_nornir.cluster that send a manifest."""


def refused(obj: Object, schemas: Mapping[GroupVersionKind, Schema], *, partial: bool = False) -> list[str]:
    group, _, version = obj["apiVersion"].rpartition("/")
    schema = schemas.get((group, version, obj["kind"]))
    metadata = obj.get("metadata", {})
    name = f"{obj['kind']} {metadata.get('name') or metadata.get('generateName')}"
    if schema is None:
        return [f"{name}: no upstream data has this kind ({obj['apiVersion']})"]
    return [f"{name}: {error}" for error in validate(obj, schema, partial=partial)]


def test_a_strict_api_server_takes_every_object(
    recording: Recording, schemas: Mapping[GroupVersionKind, Schema]
) -> None:
    """Every field exists upstream and holds what it may; what becomes of an applied part is whole."""
    sent = [line for write in recording.writes for line in refused(write.sent, schemas, partial=write.partial)]
    kept = [line for write in recording.writes if write.answer for line in refused(write.answer, schemas)]

    assert recording.writes
    assert sorted({*sent, *kept}) == []


def test_every_manifest_asks_for_strict_validation(recording: Recording) -> None:
    """Without it an API server drops an unknown field and the product goes on as if it were set.

    Not what is put back: that is the API server's own, and to have most of it is better than nothing.
    """
    ours = (write for write in recording.writes if "thinkube_nornir/cluster/restoring.py:restore" not in write.sites)
    queries = {write.name: parse_qs(urlsplit(write.url).query) for write in ours}

    assert [name for name, query in queries.items() if query.get("fieldValidation") != ["Strict"]] == []


def test_nothing_that_writes_was_left_out(recording: Recording) -> None:
    """Each place in the product that sends a manifest sent one while it was recorded."""
    assert sorted(set(writing_places()) - recording.sites - NOT_OURS.keys()) == []


def writing_places() -> Iterator[str]:
    """`tasks/phase5_core_services/coredns/__init__.py:apply_corefile`"""
    for path in sorted((ROOT / "tasks").rglob("*.py")):
        relative = path.relative_to(ROOT)
        if relative.parts[:2] != ("tasks", "lab"):
            tree = ast.parse(path.read_text())
            functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
            yield from (f"{relative}:{function.name}" for function in functions if calls_writer(function))


def calls_writer(function: ast.FunctionDef) -> bool:
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return any(isinstance(called, ast.Name) and called.id in WRITERS for called in calls)
