"""Field ownership: sets of field paths, as `metadata.managedFields` writes them (FieldsV1).

A path is a tuple of elements: `f:spec`, `k:{"name":"web"}` for an item of a keyed list, `v:"x"` for one of a set.

Source: kubernetes/apimachinery@v0.35.0 pkg/util/managedfields/internal/managedfieldsupdater.go
Source: kubernetes/apimachinery@v0.35.0 pkg/util/managedfields/internal/stripmeta.go
Source: kubernetes-sigs/structured-merge-diff@v6.3.0 merge/update.go (Update)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from thinkube_nornir.lab.kube.objects import Object, now
from thinkube_nornir.lab.kube.schema import UNKNOWN, Schema, item_key

Path: TypeAlias = tuple[str, ...]

_MEMBER = object()
"""Value of a path that stands for an item's being there, whatever its fields hold."""

# Nobody owns these: they identify the object, or the server writes them.
_SYSTEM_METADATA = (
    "name",
    "namespace",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
)
_UNOWNED = {("f:apiVersion",), ("f:kind",), *(("f:metadata", f"f:{name}") for name in _SYSTEM_METADATA)}


def owned_values(schema: Schema, obj: Object) -> dict[Path, Any]:
    """Every path of `obj` that can have an owner, with its value."""
    found: dict[Path, Any] = {}
    _collect(schema, obj, (), found)
    return {path: value for path, value in found.items() if path[:1] not in _UNOWNED and path[:2] not in _UNOWNED}


def _collect(schema: Schema, value: Any, path: Path, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value and not schema.atomic:
        for name, inner in value.items():
            _collect(schema.field(name) or UNKNOWN, inner, (*path, f"f:{name}"), found)
    elif isinstance(value, list) and value and schema.keys:
        for item in value:
            element = (*path, f"k:{_compact(item_key(schema, item))}")
            found[element] = item if schema.item.atomic else _MEMBER
            if not schema.item.atomic:
                _collect(schema.item, item, element, found)
    elif isinstance(value, list) and schema.is_set:
        found |= {(*path, f"v:{_compact(item)}"): item for item in value}
    elif path:
        found[path] = value


@dataclass
class Manager:
    """One entry of managedFields."""

    name: str
    operation: str
    """`Apply` or `Update`."""
    subresource: str = ""
    api_version: str = ""
    time: str = ""
    paths: set[Path] = field(default_factory=set)

    @property
    def id(self) -> tuple[str, str, str]:
        return self.name, self.operation, self.subresource

    def data(self) -> Object:
        entry: Object = {
            "manager": self.name,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields(self.paths),
        }
        return entry | ({"subresource": self.subresource} if self.subresource else {})


def read_managers(obj: Object | None) -> list[Manager]:
    entries = obj["metadata"].get("managedFields") or [] if obj else []
    return [
        Manager(
            name=entry.get("manager", ""),
            operation=entry.get("operation", "Update"),
            subresource=entry.get("subresource", ""),
            api_version=entry.get("apiVersion", ""),
            time=entry.get("time", ""),
            paths=set(from_fields(entry.get("fieldsV1") or {})),
        )
        for entry in entries
    ]


def write_managers(obj: Object, managers: Iterable[Manager]) -> None:
    """Put managedFields into `obj`; managers that own nothing are left out."""
    obj["metadata"]["managedFields"] = [manager.data() for manager in managers if manager.paths]


def own(managers: list[Manager], who: Manager, paths: set[Path]) -> None:
    """Let `who` own exactly `paths`; its time moves only when that is a difference."""
    for manager in managers:
        if manager.id == who.id:
            if manager.paths != paths:
                manager.paths, manager.time, manager.api_version = paths, now(), who.api_version
            return
    managers.append(Manager(who.name, who.operation, who.subresource, who.api_version, now(), paths))


def track_update(schema: Schema, live: Object | None, new: Object, who: Manager) -> None:
    """Note in `new` who changed what against `live` by a create, update or patch: it takes over what it changed."""
    managers = _named_in(new, live)
    before, after = owned_values(schema, live or {}), owned_values(schema, new)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    gone = before.keys() - after.keys()
    for manager in managers:
        manager.paths -= gone | (changed if manager.id != who.id else set())
    mine = next((manager.paths for manager in managers if manager.id == who.id), set())
    if changed:
        own(managers, who, mine | changed)
    write_managers(new, managers)


def _named_in(new: Object, live: Object | None) -> list[Manager]:
    """The owners a request states, or else the present ones; `[{}]` is the way to say that nobody owns anything."""
    stated = new["metadata"].get("managedFields")
    if stated == [{}]:
        return []
    return read_managers(new) if stated else read_managers(live)


def to_fields(paths: Iterable[Path]) -> Object:
    """
    >>> to_fields({("f:data", "f:a")})
    {'f:data': {'f:a': {}}}
    """
    tree: Object = {}
    ordered = sorted(paths)
    for path in ordered:
        node = tree
        for element in path:
            node = node.setdefault(element, {})
    for path in ordered:
        node = tree
        for element in path:
            node = node[element]
        if node:
            node["."] = {}
    return tree


def from_fields(fields: Mapping[str, Any], path: Path = ()) -> Iterable[Path]:
    for element, inner in fields.items():
        if element == ".":
            yield path
        elif not inner:
            yield (*path, element)
        else:
            yield from from_fields(inner, (*path, element))


def in_words(path: Path) -> str:
    """
    >>> in_words(("f:spec", "f:containers", 'k:{"name":"web"}', "f:image"))
    '.spec.containers[name="web"].image'
    """
    return "".join(_element_in_words(element) for element in path)


def _element_in_words(element: str) -> str:
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "v:":
        return f"[={text}]"
    return "[" + ",".join(f"{key}={_compact(value)}" for key, value in json.loads(text).items()) + "]"


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
