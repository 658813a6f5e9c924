"""Server-side apply: merge an applier's intent into the live object, find conflicts, drop what it gave up.

Source: kubernetes-sigs/structured-merge-diff@v6.3.0 merge/update.go
Source: kubernetes/apimachinery@v0.35.0 pkg/util/managedfields/internal/structuredmerge.go
Source: kubernetes/apimachinery@v0.35.0 pkg/util/managedfields/internal/conflict.go
Source: kubernetes/apimachinery@v0.35.0 pkg/util/managedfields/internal/skipnonapplied.go
"""

from __future__ import annotations

import json
from typing import Any

from thinkube_nornir.lab.kube.managed import (
    Manager,
    Path,
    in_words,
    own,
    owned_values,
    read_managers,
    write_managers,
)
from thinkube_nornir.lab.kube.objects import Object, clone, name_of, namespace_of, now
from thinkube_nornir.lab.kube.schema import UNKNOWN, Schema, item_key, mistakes
from thinkube_nornir.lab.kube.status import ApiError, Cause

_ABSENT: Any = object()


def server_side_apply(schema: Schema, live: Object | None, applied: Object, who: Manager, *, force: bool) -> Object:
    """The object as it is after `who` applied its intent, managedFields included.

    Raises:
        ApiError: 409 when others own a field that would change, unless `force` takes it from them.
    """
    _check_types(schema, applied)
    intent = without_nulls(applied)
    managers = read_managers(live)
    wanted = owned_values(schema, intent)
    before = owned_values(schema, live or {})
    if live and not managers:
        managers = [Manager("before-first-apply", "Update", "", who.api_version, now(), set(before))]
    others = [manager for manager in managers if manager.id != who.id]
    _settle(others, {path for path, value in wanted.items() if before.get(path, _ABSENT) != value}, force=force)

    given_up = _given_up(managers, who, set(wanted))
    base = _without(clone(live), given_up) if live else {"metadata": {}}
    merged: Object = merge(schema, base, intent)
    own(managers, who, set(wanted))
    write_managers(merged, managers)
    return merged


def _check_types(schema: Schema, applied: Object) -> None:
    for mistake in mistakes(schema, applied):
        kind = f"{applied['apiVersion']}, Kind={applied['kind']}"
        where = f"{namespace_of(applied)}/{name_of(applied)}; {kind}"
        raise ApiError(
            500, f"failed to create typed patch object ({where}): .{mistake.path}: {mistake.what}", reason=""
        )


def _settle(others: list[Manager], changing: set[Path], *, force: bool) -> None:
    """Raise the conflicts over `changing`, or with `force` take those fields from the others."""
    disputed = [(manager, path) for manager in others for path in sorted(manager.paths & changing)]
    if disputed and not force:
        raise _conflict(disputed)
    for manager, path in disputed:
        manager.paths.discard(path)


def _conflict(disputed: list[tuple[Manager, Path]]) -> ApiError:
    causes = [
        Cause(in_words(path), f"conflict with {_named(manager)}", "FieldManagerConflict") for manager, path in disputed
    ]
    if len(causes) == 1:
        reported = f"1 conflict: {causes[0].message}: {causes[0].field}"
    else:
        fields: dict[str, list[str]] = {}
        for manager, path in disputed:
            fields.setdefault(_named(manager), []).append(f"- {in_words(path)}")
        listed = [line for name in sorted(fields) for line in (f"conflicts with {name}:", *fields[name])]
        reported = f"{len(causes)} conflicts: " + "\n".join(listed)
    return ApiError(409, f"Apply failed with {reported}", causes=causes)


def _named(manager: Manager) -> str:
    """Who applies does so in any version; who updates, in the one that is said."""
    part = f' with subresource "{manager.subresource}"' if manager.subresource else ""
    return f'"{manager.name}"{part}' + (f" using {manager.api_version}" if manager.operation == "Update" else "")


def _given_up(managers: list[Manager], who: Manager, wanted: set[Path]) -> list[Path]:
    """What `who` applied before and applies no longer, and nobody else owns; items come before their fields."""
    mine = next((manager.paths for manager in managers if manager.id == who.id), set())
    kept = set(wanted).union(*(manager.paths for manager in managers if manager.id != who.id))
    gone = {path for path in mine - wanted if not any(other[: len(path)] == path for other in kept)}
    return sorted((path for path in gone if not _names_kept_item(path, gone)), key=len)


def _names_kept_item(path: Path, gone: set[Path]) -> bool:
    """Whether the path is a key field of a list item that stays."""
    item = path[:-1]
    return bool(item) and item[-1].startswith("k:") and item not in gone and path[-1][2:] in json.loads(item[-1][2:])


def _without(obj: Object, paths: list[Path]) -> Object:
    for path in paths:
        _remove(obj, path)
    return obj


def _remove(value: Any, path: Path) -> None:
    """Take the value at `path` out, and every map or list that this leaves empty."""
    element, rest = path[0], path[1:]
    place = _find(value, element)
    if place is None:
        return
    if rest:
        _remove(value[place], rest)
    if not rest or value[place] in ({}, []):
        del value[place]


def _find(value: Any, element: str) -> Any:
    """The key or index of a path element in a map or list; None when it is not there."""
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return text if isinstance(value, dict) and text in value else None
    if not isinstance(value, list):
        return None
    wanted = json.loads(text)
    if kind == "v:":
        return value.index(wanted) if wanted in value else None
    return next((i for i, item in enumerate(value) if _matches(item, wanted)), None)


def _matches(item: Object, key: Object) -> bool:
    return all(item.get(name, "TCP" if name == "protocol" else None) == value for name, value in key.items())


def merge(schema: Schema, live: Any, applied: Any) -> Any:
    """`applied` laid over `live`: maps and keyed lists field by field, everything else as a whole."""
    if isinstance(live, dict) and isinstance(applied, dict) and not schema.atomic:
        return live | {
            name: merge(schema.field(name) or UNKNOWN, live.get(name), value) for name, value in applied.items()
        }
    if isinstance(live, list) and isinstance(applied, list):
        if schema.keys:
            return _merge_items(schema, live, applied)
        if schema.is_set:
            return [*live, *(item for item in applied if item not in live)]
    return clone(applied)


def _merge_items(schema: Schema, live: list[Object], applied: list[Object]) -> list[Object]:
    """Items in the applied order, those of others where they stood before."""
    keys = [item_key(schema, item) for item in live]
    merged = [*live]
    for item in applied:
        key = item_key(schema, item)
        if key in keys:
            merged[keys.index(key)] = merge(schema.item, merged[keys.index(key)], item)
        else:
            merged.append(clone(item))
    order = [item_key(schema, item) for item in applied]
    if all(key in order for key in keys):
        merged.sort(key=lambda item: order.index(item_key(schema, item)))
    return merged


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value
