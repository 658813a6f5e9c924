"""The verbs on resources: get, list, watch, create, update, patch, delete, and the subresources.

Source: kubernetes/apiserver@v0.35.0 pkg/endpoints/handlers/delete.go
Source: kubernetes/apiserver@v0.35.0 pkg/endpoints/handlers/get.go
Source: kubernetes/apiserver@v0.35.0 pkg/endpoints/handlers/patch.go
Unproven: which kinds a deletion returns instead of a Status, and the answers of binding, eviction and finalize.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from aiohttp import web

from thinkube_nornir.lab.kube import deletion, listing, rbac, requests, routes, status
from thinkube_nornir.lab.kube.cluster import Cluster
from thinkube_nornir.lab.kube.logs import Logs
from thinkube_nornir.lab.kube.objects import Object, clone, key_of, uid_of
from thinkube_nornir.lab.kube.rbac import User
from thinkube_nornir.lab.kube.routes import Target
from thinkube_nornir.lab.kube.scale import of_scale, to_scale
from thinkube_nornir.lab.kube.status import ApiError
from thinkube_nornir.lab.kube.webhook_calls import Caller
from thinkube_nornir.lab.kube.webhooks import Answers, Unanswered
from thinkube_nornir.lab.kube.writes import Options

_RETURN_DELETED = {"Pod", "Service", "ServiceAccount", "PersistentVolume", "PersistentVolumeClaim", "ResourceQuota"}

Handler = Callable[[web.Request, Target], Awaitable[web.StreamResponse]]


class Rest:
    def __init__(self, cluster: Cluster, logs: Logs) -> None:
        self._cluster = cluster
        self._logs = logs
        self.webhooks = Caller(cluster.store)
        self._streams: set[asyncio.Task[Any]] = set()
        self._verbs: dict[tuple[str, str], Handler] = {
            ("GET", "collection"): self._list,
            ("POST", "collection"): self._create,
            ("DELETE", "collection"): self._delete_collection,
            ("GET", "object"): self._get,
            ("PUT", "object"): self._update,
            ("PATCH", "object"): self._patch,
            ("DELETE", "object"): self._delete,
            ("GET", "status"): self._get,
            ("PUT", "status"): self._update,
            ("PATCH", "status"): self._patch,
            ("GET", "scale"): self._get_scale,
            ("PUT", "scale"): self._set_scale,
            ("PATCH", "scale"): self._set_scale,
            ("GET", "log"): self._log,
            ("POST", "eviction"): self._evict,
            ("POST", "binding"): self._bind,
            ("PUT", "finalize"): self._finalize,
        }

    async def handle(self, request: web.Request, where: Target, user: User) -> web.StreamResponse:
        subject = where.subresource or ("object" if where.name else "collection")
        handler = self._verbs.get((request.method, subject))
        everywhere = where.resource.namespaced and not where.namespace and request.method != "GET"
        if handler is None or everywhere:
            raise ApiError(405, "the server does not allow this method on the requested resource")
        self._authorize(request, where, user)
        return await handler(request, replace(where, user=user.name))

    async def _written(self, options: Options, write: Callable[[Options], Object]) -> Object:
        """The write, made again after each webhook that must be asked."""
        answers: Answers = {}
        while True:
            options.warnings.clear()
            try:
                return write(replace(options, answers=answers))
            except Unanswered as asked:
                answers[asked.webhook] = await self.webhooks.answer(asked)

    def _authorize(self, request: web.Request, where: Target, user: User) -> None:
        """An apply that would make a new object needs the right to create it, too."""
        watching = request.query.get("watch", "").lower() in ("true", "1")
        verb = rbac.verb_of(request.method, named=bool(where.name), watching=watching)
        name = where.name or requests.name_in(request.query.get("fieldSelector", ""))
        attempt = rbac.Attempt(verb, where.resource, where.namespace, name, where.subresource)
        rbac.authorize(self._cluster.store, user, attempt)
        applying = request.method == "PATCH" and "apply-patch" in request.content_type and not where.subresource
        if applying and self._cluster.store.get(where.resource.id, where.key) is None:
            rbac.authorize(self._cluster.store, user, replace(attempt, verb="create"))

    def close(self) -> None:
        """End the watches and followed logs that are open."""
        for task in self._streams:
            task.cancel()

    async def _get(self, _request: web.Request, where: Target) -> web.StreamResponse:
        return _answer(where, self._cluster.writer.read(where.resource, where.key))

    async def _list(self, request: web.Request, where: Target) -> web.StreamResponse:
        if request.query.get("watch", "").lower() in ("true", "1"):
            return await self._watch(request, where)
        return web.json_response(listing.page(self._cluster.store, where, request.query))

    async def _watch(self, request: web.Request, where: Target) -> web.StreamResponse:
        try:
            lines = listing.Watch(self._cluster.store, where, request.query).lines()
        except ApiError as error:
            if error.code != 410:
                raise
            lines = _expired(error)
        encoded = (json.dumps(line).encode() + b"\n" async for line in lines)
        return await self._stream(request, "application/json", encoded)

    async def _stream(self, request: web.Request, kind: str, chunks: AsyncIterator[bytes]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        task = asyncio.current_task()
        assert task is not None, "a request is handled in a task"  # noqa: S101 - for the type checker
        self._streams.add(task)
        try:
            await response.prepare(request)
            async for chunk in chunks:
                await response.write(chunk)
            await response.write_eof()
        except ConnectionResetError:
            return response  # the client has seen enough
        finally:
            self._streams.discard(task)
        return response

    async def _create(self, request: web.Request, where: Target) -> web.StreamResponse:
        options = _options(request, where)
        body = await requests.object_in(request)
        create = partial(self._cluster.writer.create, where.resource, where.namespace, body)
        return _answer(where, await self._written(options, create), options, code=201)

    async def _update(self, request: web.Request, where: Target) -> web.StreamResponse:
        options = _options(request, where)
        body = await requests.object_in(request)
        update = partial(self._cluster.writer.update, where.resource, where.key, body)
        return _answer(where, await self._written(options, update), options)

    async def _patch(self, request: web.Request, where: Target) -> web.StreamResponse:
        kind, change = await requests.patch_in(request)
        options = _options(request, where, applying=kind == "apply")
        if kind != "apply":
            patch = partial(self._cluster.writer.patch, where.resource, where.key, kind, change)
            return _answer(where, await self._written(options, patch), options)
        new = self._cluster.store.get(where.resource.id, where.key) is None
        apply = partial(self._cluster.writer.apply, where.resource, where.key, change)
        return _answer(where, await self._written(options, apply), options, code=201 if new else 200)

    async def _delete(self, request: web.Request, where: Target) -> web.StreamResponse:
        how = routes.deletion_of(request.query, await requests.object_in(request))
        obj, gone = deletion.delete(self._cluster.writer, where.resource, where.key, how)
        if not gone or where.resource.kind in _RETURN_DELETED:
            return _answer(where, obj)
        details = {"name": where.name, "kind": where.resource.plural, "uid": uid_of(obj)}
        details |= {"group": where.resource.group} if where.resource.group else {}
        return web.json_response(status.success(**details))

    async def _delete_collection(self, request: web.Request, where: Target) -> web.StreamResponse:
        how = routes.deletion_of(request.query, await requests.object_in(request))
        found = listing.page(self._cluster.store, where, request.query)
        for obj in found["items"]:
            deletion.delete(self._cluster.writer, where.resource, key_of(obj), how)
        return web.json_response(found)

    async def _get_scale(self, _request: web.Request, where: Target) -> web.StreamResponse:
        return web.json_response(to_scale(self._cluster.writer.read(where.resource, where.key)))

    async def _set_scale(self, request: web.Request, where: Target) -> web.StreamResponse:
        patching = request.method == "PATCH"
        change = await requests.patch_in(request) if patching else await requests.object_in(request)
        changed = of_scale(self._cluster.writer.read(where.resource, where.key), change)
        obj = self._cluster.writer.update(where.resource, where.key, changed, _options(request, where))
        return web.json_response(to_scale(obj))

    async def _log(self, request: web.Request, where: Target) -> web.StreamResponse:
        pod = self._cluster.writer.read(where.resource, where.key)
        return await self._stream(request, "text/plain", self._logs.read(pod, request.query))

    async def _evict(self, request: web.Request, where: Target) -> web.StreamResponse:
        body = await requests.object_in(request)
        how = routes.deletion_of(request.query, body.get("deleteOptions") or {})
        deletion.evict(self._cluster.writer, where.resource, where.key, how)
        return web.json_response(status.success(), status=201)

    async def _bind(self, request: web.Request, where: Target) -> web.StreamResponse:
        body = await requests.object_in(request)
        pod = clone(self._cluster.writer.read(where.resource, where.key))
        if node := pod["spec"].get("nodeName"):
            why = f'pod {where.name} is already assigned to node "{node}"'
            raise status.conflict("pods/binding", "", where.name, why)
        pod["spec"]["nodeName"] = (body.get("target") or {}).get("name", "")
        self._cluster.writer.update(where.resource, where.key, pod, _options(request, where))
        return web.json_response(status.success(), status=201)

    async def _finalize(self, request: web.Request, where: Target) -> web.StreamResponse:
        body = await requests.object_in(request)
        obj = clone(self._cluster.writer.read(where.resource, where.key))
        obj["spec"]["finalizers"] = (body.get("spec") or {}).get("finalizers") or []
        return _answer(where, self._cluster.writer.update(where.resource, where.key, obj, _options(request, where)))


def _options(request: web.Request, where: Target, *, applying: bool = False) -> Options:
    return routes.write_options(where, request.query, request.headers.get("User-Agent", ""), applying=applying)


def _answer(where: Target, obj: Object, options: Options | None = None, *, code: int = 200) -> web.StreamResponse:
    response = web.json_response(listing.served(where.resource, obj), status=code)
    for warning in options.warnings if options else ():
        quoted = warning.replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response


async def _expired(error: ApiError) -> AsyncIterator[Object]:
    yield {"type": "ERROR", "object": error.status}
