"""Checks what a YAML file holds against a pydantic schema: every mistake with its line, and the nearest known name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import Problem
from thinkube_nornir.secret import is_secret_name
from thinkube_nornir.settings.yaml_source import Location, Source

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MANY = 100  # mistakes of one part that are worth naming
_LONGEST = 60  # characters of a wrong value worth repeating


@dataclass
class Checked:
    """What could be used, and what could not."""

    value: Any
    """As the schema makes it, without the mistaken parts."""
    problems: list[Problem] = field(default_factory=list)
    mistaken: frozenset[str] = frozenset()
    """Top-level keys whose value, or a part of it, is wrong or unknown."""


def check(
    schema: Any, value: Any, source: Source, at: Location = (), fixes: Mapping[str, str] | None = None
) -> Checked:
    """Check `value`, which stands at `at` in `source`.

    An empty value is the same as a key left out, so a section whose lines are all commented out is no mistake.

    Args:
        schema: a dataclass or TypedDict that accepts `{}`, so that what remains is valid once mistakes are left out.
        fixes: what to do about names that are unknown for a reason worth telling, instead of the nearest name.
    """
    value = _without_empty(value)
    try:
        return Checked(validate(schema, value))
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
    problems = [_problem(schema, e, source, at, fixes or {}) for e in errors[:_MANY]]
    if len(errors) > _MANY:
        problems.append(source.problem(at, f"{len(errors) - _MANY} mistakes more", "is this the right file?"))
    mistaken = frozenset(str(e["loc"][0]) for e in errors if e["loc"])
    return Checked(validate(schema, _without(value, [e["loc"] for e in errors])), problems, mistaken)


@cache
def _adapter(schema: Any) -> TypeAdapter[Any]:
    return TypeAdapter(schema)


def validate(schema: Any, value: Any) -> Any:
    """Return the value as the schema makes it.

    Raises:
        ValidationError: pydantic's, with every mistake.
    """
    # JSON is what YAML can say: its strict mode takes text for a path and a list for a tuple, but no "5" for a 5.
    return _adapter(schema).validate_json(json.dumps(value), strict=True)


def _problem(schema: Any, error: Any, source: Source, at: Location, fixes: Mapping[str, str]) -> Problem:
    loc: Location = error["loc"]
    name = ".".join(str(part) for part in (*at, *loc)) or "the file"
    if error["type"] in _UNKNOWN:
        last = str(loc[-1])
        fix = fixes.get(last) or did_you_mean(last, _names(schema, loc[:-1]))
        return source.problem((*at, *loc), f"{name} is not a known name", fix)
    message = (
        error["msg"].removeprefix("Value error, ").replace("Input should", "should").replace("an object", "a mapping")
    )
    said = "" if any(is_secret_name(str(part)) for part in loc) else _but(error["input"])
    quotes = "put it in quotes" if error["type"] == "string_type" and _is_number(error["input"]) else ""
    return source.problem((*at, *loc), f"{name}: {message}{said}", quotes)


def _names(schema: Any, loc: Location) -> list[str]:
    """The names that a mapping at `loc` may hold."""
    for part in loc:
        hints = get_type_hints(schema)
        schema = hints[str(part)] if part in hints else schema
        if get_args(schema):  # Mapping[str, X]: the next part is a key of the operator's own
            schema = get_args(schema)[-1]
    return [name for name in get_type_hints(schema) if not name.startswith("_")]


def _but(value: Any) -> str:
    if isinstance(value, str | int | float) and len(repr(value)) <= _LONGEST:
        return f", not {value!r}" if isinstance(value, str) else f", not {json.dumps(value)}"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _without_empty(value: Any) -> Any:
    if value is None:
        return {}
    if isinstance(value, dict):
        return {key: _without_empty(item) for key, item in value.items() if item is not None}
    return value


def _without(value: Any, locations: list[Location]) -> Any:
    """A copy of `value` without the innermost mapping entries that lead to the locations."""
    if not isinstance(value, dict) or () in locations:
        return {}
    kept = {}
    for key, item in value.items():
        inside = [loc[1:] for loc in locations if loc[0] == key]
        if not inside:
            kept[key] = item
        elif isinstance(item, dict) and () not in inside:
            kept[key] = _without(item, inside)
    return kept
