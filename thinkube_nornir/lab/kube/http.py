"""The HTTPS server: who asks, injected faults, discovery and health, and errors as Status objects.

Source: kubernetes/apiserver@v0.35.0 pkg/server/config.go (MaxRequestBodyBytes)
Unproven: the single checks that /readyz and /livez list.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass

from aiohttp import web

from thinkube_nornir.lab.kube import rbac, requests, routes
from thinkube_nornir.lab.kube.cluster import Cluster
from thinkube_nornir.lab.kube.objects import Object
from thinkube_nornir.lab.kube.rbac import User
from thinkube_nornir.lab.kube.rest import Rest
from thinkube_nornir.lab.kube.status import ApiError

_log = logging.getLogger(__name__)
_PUBLIC = {"healthz", "livez", "readyz", "version"}
_LARGEST = 3 * 1024**2  # bytes of a request, as the real server's limit


@dataclass
class Fault:
    """Answer matching requests with an error, or late. `times` None for always."""

    method: str = ""
    """`GET`, `PATCH`; empty for all."""
    path: str = ""
    """A regular expression searched in the path."""
    status: int = 0
    """HTTP status; 0 for only the delay; -1 to drop the connection."""
    delay: float = 0.0
    times: int | None = 1

    def takes(self, method: str, path: str) -> bool:
        return self.times != 0 and self.method in ("", method) and bool(re.search(self.path, path))


class Server:
    """Answers for a cluster. `tokens` say whose they are; a client certificate of our CA names its user itself."""

    def __init__(self, cluster: Cluster, rest: Rest, version: str) -> None:
        self._cluster = cluster
        self._rest = rest
        self._version = version
        self.faults: list[Fault] = []
        self.tokens: dict[str, User] = {}

    def application(self) -> web.Application:
        """A new one for each start: aiohttp's cannot be started twice."""
        application = web.Application(client_max_size=_LARGEST)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            await self._suffer(request)
            return await self._route(request, routes.segments(request.rel_url.raw_path))
        except ApiError as error:
            return _failure(error)
        except web.HTTPRequestEntityTooLarge:
            message = f"Request entity too large: limit is {_LARGEST}"
            return _failure(ApiError(413, message, reason="RequestEntityTooLarge"))
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:
            _log.exception("the lab's API server failed at %s %s", request.method, request.path)
            return _failure(ApiError(500, f"Internal error occurred: {error}"))

    async def _suffer(self, request: web.Request) -> None:
        fault = next((f for f in self.faults if f.takes(request.method, request.path)), None)
        if fault is None:
            return
        if fault.times is not None:
            fault.times -= 1
        await asyncio.sleep(fault.delay)
        if fault.status == -1 and request.transport is not None:
            request.transport.abort()
            raise ConnectionResetError
        if fault.status:
            raise ApiError(fault.status, f"injected fault: {fault.status}")

    async def _route(self, request: web.Request, path: list[str]) -> web.StreamResponse:
        if path and path[0] in _PUBLIC:
            return self._public(request, path[0])
        user = self._user(request)
        requests.check_accept(request)
        if discovered := self._discovery(path):
            rbac.authorize_path(user, request.method, request.path)
            return web.json_response(discovered)
        if path[0] not in ("api", "apis"):
            raise ApiError(404, "the server could not find the requested resource")
        return await self._rest.handle(request, routes.target(self._cluster.registry, path), user)

    def _public(self, request: web.Request, name: str) -> web.StreamResponse:
        if request.method != "GET":
            raise ApiError(405, "the server does not allow this method on the requested resource")
        if name != "version":
            return web.Response(text="ok")
        major, minor = self._version.lstrip("v").split(".")[:2]
        reported = {"major": major, "minor": minor, "gitVersion": self._version, "platform": "linux/amd64"}
        reported |= {"gitCommit": "", "gitTreeState": "clean", "buildDate": "", "goVersion": "", "compiler": "gc"}
        return web.json_response(reported)

    def _user(self, request: web.Request) -> User:
        """Who asks; an administrator may ask as somebody else."""
        asked = self._authenticated(request)
        wanted = request.headers.get("Impersonate-User")
        if wanted is None:
            return asked
        if not asked.is_master:
            why = f'User "{asked.name}" cannot impersonate resource "users" in API group "" at the cluster scope'
            raise ApiError(403, f'users "{wanted}" is forbidden: {why}', details={"name": wanted, "kind": "users"})
        return rbac.user_of(wanted, tuple(request.headers.getall("Impersonate-Group", [])))

    def _authenticated(self, request: web.Request) -> User:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token in self.tokens:
            return self.tokens[token]
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        if not certificate:
            raise ApiError(401, "Unauthorized")
        fields = [pair for part in certificate["subject"] for pair in part]
        groups = tuple(value for name, value in fields if name == "organizationName")
        return rbac.user_of(next(value for name, value in fields if name == "commonName"), groups)

    def _discovery(self, path: list[str]) -> Object | None:
        match path:
            case []:
                return {"paths": ["/api", "/apis", "/healthz", "/livez", "/readyz", "/version"]}
            case ["api"]:
                addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}]
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}
            case ["apis"]:
                return self._cluster.registry.groups()
            case ["apis", group]:
                return self._cluster.registry.group(group)
            case ["api", version]:
                return self._cluster.registry.resource_list("", version)
            case ["apis", group, version]:
                return self._cluster.registry.resource_list(group, version)
        return None


async def end(runner: web.AppRunner) -> None:
    """Stop serving, and cut the connections that clients keep open: TLS would wait 30 s for their farewell."""
    connections = runner.server.connections if runner.server else []
    transports = [connection.transport for connection in connections if connection.transport]
    await runner.cleanup()
    for transport in transports:
        transport.abort()
    await asyncio.sleep(0)  # the loop drops aborted transports at its next turn


def _failure(error: ApiError) -> web.Response:
    headers = {"Retry-After": "1"} if error.code in (429, 503) else {}
    return web.json_response(error.status, status=error.code, headers=headers)
