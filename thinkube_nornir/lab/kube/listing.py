"""Lists and watches: selectors, pages, and the stream of events.

Source: kubernetes/apiserver@v0.35.0 pkg/endpoints/handlers/get.go (ListResource)
Source: kubernetes/apiserver@v0.35.0 pkg/storage/continue.go
Unproven: when a server sends bookmarks between the first events and the end of a watch; this one sends none.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping

from thinkube_nornir.lab.kube.objects import Key, Object, key_of
from thinkube_nornir.lab.kube.resources import Resource
from thinkube_nornir.lab.kube.routes import Target
from thinkube_nornir.lab.kube.selectors import Predicate, field_predicate, label_predicate
from thinkube_nornir.lab.kube.status import ApiError
from thinkube_nornir.lab.kube.store import Event, Store

_LONGEST = 1800  # seconds a watch lasts without timeoutSeconds, as a real server ends it
_INITIAL_END = "k8s.io/initial-events-end"


def served(resource: Resource, obj: Object) -> Object:
    """The object in the version that was asked for."""
    return obj | {"apiVersion": resource.api_version} if resource.custom else obj


def predicate(where: Target, query: Mapping[str, str]) -> Predicate:
    by_label = label_predicate(query.get("labelSelector", ""))
    by_field = field_predicate(query.get("fieldSelector", ""), where.resource.kind)

    def wanted(obj: Object) -> bool:
        namespace, name = key_of(obj)
        here = where.namespace in ("", namespace) and where.name in ("", name)
        return here and by_label(obj) and by_field(obj)

    return wanted


def page(store: Store, where: Target, query: Mapping[str, str]) -> Object:
    """A list object; with `limit`, one page of it and a token for the next."""
    wanted = predicate(where, query)
    found = [obj for obj in store.list(where.resource.id, where.namespace) if wanted(obj)]
    metadata: Object = {"resourceVersion": str(store.revision)}
    if token := query.get("continue"):
        revision, last = _read_token(token)
        store.since(where.resource.id, revision)  # 410 when the token's revision is forgotten
        metadata["resourceVersion"] = str(revision)
        found = [obj for obj in found if key_of(obj) > last]
    limit = _number(query, "limit")
    if limit and len(found) > limit:
        if not (query.get("labelSelector") or query.get("fieldSelector")):
            metadata["remainingItemCount"] = len(found) - limit
        found = found[:limit]
        metadata["continue"] = _token(int(metadata["resourceVersion"]), key_of(found[-1]))
    items = [served(where.resource, obj) for obj in found]
    kind = f"{where.resource.kind}List"
    return {"kind": kind, "apiVersion": where.resource.api_version, "metadata": metadata, "items": items}


def _token(revision: int, last: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps([revision, *last]).encode()).decode()


def _read_token(token: str) -> tuple[int, Key]:
    try:
        revision, namespace, name = json.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise ApiError(400, "continue key is not valid") from error
    return revision, (namespace, name)


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "0"
    if not text.isdecimal():
        raise ApiError(400, f'{name}: Invalid value: "{text}"')
    return int(text)


class Watch:
    """One watch. Its first events are read at once: a revision that is too old is an error before the stream."""

    def __init__(self, store: Store, where: Target, query: Mapping[str, str]) -> None:
        self._store = store
        self._resource = where.resource
        self._wanted = predicate(where, query)
        self._bookmarks = query.get("allowWatchBookmarks") == "true"
        self._timeout = _number(query, "timeoutSeconds") or _LONGEST
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._initial = query.get("sendInitialEvents") == "true"
        revision = 0 if self._initial else _number(query, "resourceVersion")
        self._first = self._start(where.namespace, revision)
        self._unsubscribe = store.subscribe(self._events.put_nowait)

    def _start(self, namespace: str, revision: int) -> list[Object]:
        if revision:
            events = self._store.since(self._resource.id, revision)
            return [shown for event in events if (shown := self._shown(event))]
        found = self._store.list(self._resource.id, namespace)
        return [self._line("ADDED", obj) for obj in found if self._wanted(obj)]

    async def lines(self) -> AsyncIterator[Object]:
        """Watch events as they go to the client, until the time is up."""
        try:
            for line in self._first:
                yield line
            if self._initial:
                yield self._bookmark({_INITIAL_END: "true"})
            async for line in self._live():
                yield line
            if self._bookmarks:
                yield self._bookmark({})
        finally:
            self._unsubscribe()

    async def _live(self) -> AsyncIterator[Object]:
        deadline = asyncio.get_running_loop().time() + self._timeout
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await self._events.get()
            except TimeoutError:
                return
            if event.resource_id == self._resource.id and (shown := self._shown(event)):
                yield shown

    def _shown(self, event: Event) -> Object | None:
        """What the client sees of an event: an object that begins or ceases to match is added or deleted."""
        before = event.before is not None and self._wanted(event.before)
        after = event.type != "DELETED" and self._wanted(event.object)
        if after:
            return self._line("MODIFIED" if before else "ADDED", event.object)
        return self._line("DELETED", event.object) if before else None

    def _line(self, kind: str, obj: Object) -> Object:
        return {"type": kind, "object": served(self._resource, obj)}

    def _bookmark(self, annotations: Mapping[str, str]) -> Object:
        metadata: Object = {"resourceVersion": str(self._store.revision), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = dict(annotations)
        obj = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": metadata}
        return {"type": "BOOKMARK", "object": obj}
