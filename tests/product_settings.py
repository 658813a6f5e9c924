"""The settings that the product's components declare, as the engine collects them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from thinkube_nornir import catalog
from thinkube_nornir.settings.fragments import Fragment, fragments, load_schema
from thinkube_nornir.settings.schema import Schema

ROOT = Path(__file__).parents[1]


@cache
def schema() -> Schema:
    found = load_schema(catalog.load(ROOT / "tasks"))
    assert found
    return found


def defaults() -> Mapping[str, Any]:
    """What is built in."""
    return schema().defaults


def declared() -> list[Fragment]:
    return fragments(catalog.load(ROOT / "tasks"))
