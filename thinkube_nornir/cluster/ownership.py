"""Who set which field of an object, by its managedFields, and putting back the ones that this program set."""

from __future__ import annotations

import json
from typing import Any

from thinkube_nornir.cluster.messages import Object

MANAGER = "thinkube-nornir"
AS_MANAGER = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
"""What a request with a managed manifest asks for: else an API server drops a field that it does not know."""

_NOTHING: Any = object()


def _entries(obj: Object) -> list[Object]:
    return list(obj.get("metadata", {}).get("managedFields") or [])


def managers(obj: Object) -> list[str]:
    """Everyone who set a field, the status aside."""
    return sorted({entry["manager"] for entry in _entries(obj) if not entry.get("subresource")})


def is_owned_by_us(obj: Object) -> bool:
    return MANAGER in managers(obj)


def owned_by_us(obj: Object) -> Object:
    """The fields that this program set, in the form of fieldsV1: `{"f:data": {"f:Corefile": {}}}`."""
    owned: Object = {}
    for entry in _entries(obj):
        if entry["manager"] == MANAGER and not entry.get("subresource"):
            _merge(owned, entry.get("fieldsV1") or {})
    return owned


def _merge(into: Object, fields: Object) -> None:
    for name, inner in fields.items():
        _merge(into.setdefault(name, {}), inner)


def put_back(live: Object, before: Object) -> Object:
    """`live` with our fields as they were in `before`; what others changed since stays."""
    return dict(_put_back(live, before, owned_by_us(live)))


def entries_put_back(live: Object, before: Object) -> list[Object]:
    """managedFields after `put_back`: we own nothing, and those we took a field from own it again.

    Who owns the status is left to those who write it.
    """
    previous = {_identity(entry): entry for entry in _entries(before) if not entry.get("subresource")}
    now = {_identity(entry): entry for entry in _entries(live) if entry["manager"] != MANAGER}
    return list((now | previous).values())


def _identity(entry: Object) -> tuple[str, ...]:
    return tuple(str(entry.get(part, "")) for part in ("manager", "operation", "apiVersion", "subresource"))


def _put_back(live: Any, before: Any, owned: Object) -> Any:
    """A value as it was; `_NOTHING` stands for a value that is, or was, not there."""
    inner = {name: fields for name, fields in owned.items() if name != "."}
    if inner and isinstance(live, dict) and (before is _NOTHING or isinstance(before, dict)):
        return _map_put_back(live, before, inner)
    if inner and isinstance(live, list) and (before is _NOTHING or isinstance(before, list)):
        return _list_put_back(live, before, inner)
    return before


def _map_put_back(live: Object, before: Any, owned: Object) -> Any:
    result = dict(live)
    for name, fields in owned.items():
        key = name.removeprefix("f:")
        previous = _NOTHING if before is _NOTHING else before.get(key, _NOTHING)
        value = _put_back(live.get(key, _NOTHING), previous, fields)
        if value is _NOTHING:
            result.pop(key, None)
        else:
            result[key] = value
    return _NOTHING if before is _NOTHING and not result else result


def _list_put_back(live: list[Any], before: Any, owned: Object) -> Any:
    """Items are found by their key (`k:{"name":"web"}`) or value (`v:"a"`), as the API's merge does."""
    result = list(live)
    previous = [] if before is _NOTHING else before
    for name, fields in owned.items():
        there, was = _find(result, name), _find(previous, name)
        value = _NOTHING if was is _NOTHING else _put_back(there, was, fields)  # an item we added goes as a whole
        if there is not _NOTHING:
            position = result.index(there)
            result[position : position + 1] = [] if value is _NOTHING else [value]
        elif value is not _NOTHING:
            result.append(value)
    return _NOTHING if before is _NOTHING and not result else result


def _find(items: list[Any], name: str) -> Any:
    kind, _, text = name.partition(":")
    wanted = json.loads(text)
    for item in items:
        if (kind == "v" and item == wanted) or (
            kind == "k" and isinstance(item, dict) and wanted.items() <= item.items()
        ):
            return item
    return _NOTHING
