"""Small readings of Kubernetes objects, which are plain dicts as in JSON."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")
Object = dict[str, Any]
Key = tuple[str, str]
"""(namespace, name); the namespace is empty for objects of the cluster."""

_RANDOM = "bcdfghjklmnpqrstvwxz2456789"  # the API server's own alphabet: no vowels, so no words


def clone(value: T) -> T:
    """Return a copy of a JSON value; copy.deepcopy takes five times as long, and an API copies all the time."""
    copy: Any = value
    if isinstance(value, dict):
        copy = {name: clone(item) for name, item in value.items()}
    elif isinstance(value, list):
        copy = [clone(item) for item in value]
    return copy  # type: ignore[no-any-return]


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def random_suffix(length: int = 5) -> str:
    return "".join(secrets.choice(_RANDOM) for _ in range(length))


def name_of(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def namespace_of(obj: Object) -> str:
    return str(obj["metadata"].get("namespace", ""))


def key_of(obj: Object) -> Key:
    return namespace_of(obj), name_of(obj)


def uid_of(obj: Object) -> str:
    return str(obj["metadata"]["uid"])


def labels_of(obj: Object) -> dict[str, str]:
    return dict(obj.get("metadata", {}).get("labels") or {})


def annotations_of(obj: Object) -> dict[str, str]:
    return dict(obj.get("metadata", {}).get("annotations") or {})


def finalizers_of(obj: Object) -> list[str]:
    return list(obj["metadata"].get("finalizers") or [])


def terminating(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def dig(obj: Any, *path: str, default: Any = None) -> Any:
    """The value at a path of keys; `default` where a key is missing or its value is null."""
    for key in path:
        if not isinstance(obj, dict) or obj.get(key) is None:
            return default
        obj = obj[key]
    return obj


def owner_reference(owner: Object) -> Object:
    """What a controller writes into the objects it makes for `owner`."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Object) -> Object | None:
    owners: list[Object] = obj["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def owned_by(obj: Object, owner: Object) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == uid_of(owner)


def condition(obj: Object, kind: str) -> Object | None:
    return next((c for c in dig(obj, "status", "conditions", default=[]) if c.get("type") == kind), None)


def is_true(obj: Object, kind: str) -> bool:
    found = condition(obj, kind)
    return found is not None and found.get("status") == "True"


def with_condition(
    conditions: Iterable[Object], kind: str, status: bool | str, reason: str = "", message: str = "", **more: Any
) -> list[Object]:
    """`conditions` with this one set; its lastTransitionTime moves only when its status does."""
    kept = list(conditions)
    text = status if isinstance(status, str) else str(status)
    new: Object = {"type": kind, "status": text, **more}
    new |= {k: v for k, v in (("reason", reason), ("message", message)) if v}
    for index, old in enumerate(kept):
        if old.get("type") == kind:
            same = old.get("status") == text
            new["lastTransitionTime"] = old.get("lastTransitionTime", now()) if same else now()
            kept[index] = new
            return kept
    return [*kept, new | {"lastTransitionTime": now()}]
