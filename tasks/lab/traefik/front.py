"""The real server of one Traefik on loopback: TLS with the certificates of the cluster's secrets, HTTP by aiohttp."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from itertools import chain

from aiohttp import web

from tasks.lab.traefik import gateways, ingresses
from tasks.lab.traefik.certificates import choose
from tasks.lab.traefik.instance import Instance
from tasks.lab.traefik.routes import respond
from thinkube_nornir.lab.kube.objects import name_of, namespace_of


@dataclass
class Front:
    """`http` and `https` are its ports on 127.0.0.1."""

    instance: Instance
    http: int = 0
    https: int = 0
    runner: web.AppRunner | None = field(default=None, repr=False)

    async def start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        self.runner = web.AppRunner(application, access_log=None)
        await self.runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = self._choose
        for tls in (None, context):
            await web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.http, self.https = (int(address[1]) for address in self.runner.addresses)

    async def stop(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        now = self._now()
        routes = chain(ingresses.routes(now), gateways.routes(now))
        host = request.host.partition(":")[0]
        found = respond(now.cluster, routes, request.scheme, host, request.path)
        return web.Response(status=found.status, text=found.body, content_type="text/plain")

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        now = self._now()
        mine = [listener for g in gateways.gateways(now) for listener in gateways.listeners(now, g)]
        known = [place for listener in mine if not listener.faults for place in listener.certificates]
        connection.context = choose(now, name or "", [*known, *ingresses.secrets(now)])

    def _now(self) -> Instance:
        """The instance as it is today: a changed Deployment restarts its pods."""
        cluster, previous = self.instance.cluster, self.instance.workload
        found = cluster.get("apps/v1", "Deployment", name_of(previous), namespace_of(previous))
        return Instance(cluster, found or previous)
