"""JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge patch.

Source: kubernetes/apimachinery@v0.35.0 pkg/util/strategicpatch/patch.go
Source: kubernetes/apimachinery@v0.35.0 pkg/util/mergepatch/errors.go
Unproven: where new items of a list go when the patch states an order, which is not followed here.
"""

from __future__ import annotations

from typing import Any

from thinkube_nornir.lab.kube.objects import Object, clone
from thinkube_nornir.lab.kube.schema import UNKNOWN, Schema
from thinkube_nornir.lab.kube.status import ApiError


def json_patch(obj: Object, operations: Any) -> Object:
    if not isinstance(operations, list):
        raise ApiError(400, "a JSON patch is a list of operations")
    result: Any = clone(obj)
    for operation in operations:
        try:
            result = _operate(result, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ApiError(
                422, f"the server rejected our request due to an error in our request: {operation}: {error}"
            ) from error
    if not isinstance(result, dict):
        raise ApiError(400, "a patched object is a map")
    return result


def _operate(document: Any, operation: Object) -> Any:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "add":
            return _add(document, path, operation["value"])
        case "remove":
            return _remove(document, path)
        case "replace":
            return _add(_remove(document, path), path, operation["value"]) if path else operation["value"]
        case "test":
            if _at(document, path) != operation.get("value"):
                raise ValueError(f"testing value {operation['path']} failed")
            return document
        case "copy":
            return _add(document, path, clone(_at(document, _pointer(operation["from"]))))
        case "move":
            value = _at(document, _pointer(operation["from"]))
            return _add(_remove(document, _pointer(operation["from"])), path, value)
    raise ValueError(f"unexpected operation {operation['op']!r}")


def _pointer(text: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _at(value: Any, path: list[str]) -> Any:
    for part in path:
        value = value[_index(value, part)]
    return value


def _index(value: Any, part: str) -> Any:
    return int(part) if isinstance(value, list) else part


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _at(document, path[:-1])
    if isinstance(parent, list):
        parent.insert(len(parent) if path[-1] == "-" else int(path[-1]), value)
    else:
        parent[path[-1]] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    parent = _at(document, path[:-1])
    del parent[_index(parent, path[-1])]
    return document


def merge_patch(value: Any, patch: Any) -> Any:
    """A null takes a field out; maps merge; everything else is replaced."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if change is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), change)
    return result


def strategic_merge(schema: Schema, value: Any, patch: Any) -> Any:
    """A merge patch in which lists whose items have a key (containers, env, volumes) merge item by item.

    `$patch: delete|replace`, `$retainKeys` and `$deleteFromPrimitiveList/x` are understood; `$setElementOrder/x` is
    ignored: new items go to the end.
    """
    if isinstance(patch, list) and schema.patch_key:
        return _strategic_list(schema, value if isinstance(value, list) else [], patch)
    if not isinstance(patch, dict):
        return clone(patch)
    if patch.get("$patch") == "replace":
        return {name: clone(change) for name, change in patch.items() if name != "$patch"}
    result = dict(value) if isinstance(value, dict) else {}
    if "$retainKeys" in patch:
        result = {name: old for name, old in result.items() if name in patch["$retainKeys"]}
    for name, change in patch.items():
        _strategic_field(schema, result, name, change)
    return result


def _strategic_field(schema: Schema, result: Object, name: str, change: Any) -> None:
    directive, _, field = name.partition("/")
    if directive == "$deleteFromPrimitiveList":
        result[field] = [item for item in result.get(field) or [] if item not in change]
    elif change is None:
        result.pop(name, None)
    elif not name.startswith("$"):
        inner = schema.field(name) or UNKNOWN
        if inner.patched_as_set and isinstance(change, list):
            result[name] = list(dict.fromkeys([*(result.get(name) or []), *change]))
        else:
            result[name] = strategic_merge(inner, result.get(name), change)


def _strategic_list(schema: Schema, items: list[Object], patch: list[Object]) -> list[Object]:
    key, result = schema.patch_key, list(items)
    if any(change.get("$patch") == "replace" for change in patch):
        return [clone(change) for change in patch if "$patch" not in change]
    for change in patch:
        if key not in change:
            raise ApiError(400, f"map: {change} does not contain declared merge key: {key}")
        found = next((i for i, item in enumerate(result) if item.get(key) == change[key]), None)
        if change.get("$patch") == "delete":
            result = [item for item in result if item.get(key) != change[key]]
        elif found is None:
            result.append(strategic_merge(schema.item, {}, change))
        else:
            result[found] = strategic_merge(schema.item, result[found], change)
    return result
