"""The objects of one cluster, their revisions, and the recent history that watches start from.

Source: kubernetes/apiserver@v0.35.0 pkg/storage/cacher/watch_cache.go (too old resource version)
Unproven: how far back a server's history reaches.
"""

from __future__ import annotations

import builtins
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from thinkube_nornir.lab.kube.objects import Key, Object, clone, key_of
from thinkube_nornir.lab.kube.resources import Resource
from thinkube_nornir.lab.kube.status import ApiError

_HISTORY = 5000  # events; a watch that starts further back gets 410


@dataclass(frozen=True)
class Event:
    """One write. `before` is None for ADDED; `object` of DELETED is its last state at the deletion's revision."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    resource_id: str
    object: Object
    before: Object | None
    revision: int


Listener = Callable[[Event], None]


class Store:
    """Objects by resource and key. What it hands out may be read but not changed; `clone` before changing."""

    def __init__(self) -> None:
        self.revision = 1
        self._oldest = 0
        self._objects: dict[str, dict[Key, Object]] = {}
        self._history: deque[Event] = deque()
        self._listeners: list[Listener] = []
        self._untold: deque[Event] = deque()

    def get(self, resource_id: str, key: Key) -> Object | None:
        return self._objects.get(resource_id, {}).get(key)

    def list(self, resource_id: str, namespace: str = "") -> list[Object]:
        """By namespace and name, as etcd's keys are sorted; an empty namespace means all."""
        found = self._objects.get(resource_id, {})
        return [obj for key, obj in sorted(found.items()) if not namespace or key[0] == namespace]

    def everything(self) -> Iterator[tuple[str, Object]]:
        for resource_id in sorted(self._objects):
            for obj in self.list(resource_id):
                yield resource_id, obj

    def put(self, resource: Resource, obj: Object) -> Object:
        stored = clone(obj)
        before = self.get(resource.id, key_of(obj))
        self._write(stored)
        self._objects.setdefault(resource.id, {})[key_of(obj)] = stored
        self._report(Event("MODIFIED" if before else "ADDED", resource.id, stored, before, self.revision))
        return stored

    def remove(self, resource: Resource, key: Key) -> Object:
        before = self._objects[resource.id].pop(key)
        gone = clone(before)
        self._write(gone)
        self._report(Event("DELETED", resource.id, gone, before, self.revision))
        return gone

    def since(self, resource_id: str, revision: int) -> builtins.list[Event]:
        """Events after a revision.

        Raises:
            ApiError: 410, the history does not reach back that far.
        """
        if revision < self._oldest:
            raise ApiError(410, f"too old resource version: {revision} ({self._oldest})")
        return [event for event in self._history if event.revision > revision and event.resource_id == resource_id]

    def compact(self) -> None:
        """Forget the history, as etcd does every five minutes."""
        self._history.clear()
        self._oldest = self.revision

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each write, in order; the returned function ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _write(self, obj: Object) -> None:
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)

    def _report(self, event: Event) -> None:
        self._history.append(event)
        if len(self._history) > _HISTORY:
            self._oldest = self._history.popleft().revision
        self._untold.append(event)
        if len(self._untold) > 1:
            return  # a listener wrote: everybody hears of the first write before this one
        while self._untold:
            for listener in list(self._listeners):
                listener(self._untold[0])
            self._untold.popleft()
