"""What a pod of ingress-nginx does: choose the certificate and the backend for a request, by the cluster's objects.

A Front is its real server on loopback: TLS with the certificates of the cluster's secrets, HTTP by aiohttp.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache

from aiohttp import web

from tasks.lab.pods import WEB_SERVER
from thinkube_nornir.lab.kube import Cluster, Object
from thinkube_nornir.lab.kube.certificates import Authority
from thinkube_nornir.lab.kube.objects import annotations_of, dig, is_true, labels_of, name_of, namespace_of, uid_of

LABEL = {"app.kubernetes.io/name": "ingress-nginx"}
_CLASS = "kubernetes.io/ingress.class"
_WORDS = {200: "OK", 404: "404 Not Found", 502: "502 Bad Gateway", 503: "503 Service Temporarily Unavailable"}
_PAGE = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


@dataclass(frozen=True)
class Answer:
    status: int
    body: str


def arguments(deployment: Object) -> dict[str, str]:
    """Of the controller's container; the last one of a name counts."""
    words = dig(deployment, "spec", "template", "spec", "containers")[0].get("args") or []
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def serves(cluster: Cluster, deployment: Object, ingress: Object) -> bool:
    """Whether an Ingress is of this controller's class; by annotation when it names none."""
    given, named = arguments(deployment), dig(ingress, "spec", "ingressClassName")
    if named:
        found = cluster.get("networking.k8s.io/v1", "IngressClass", named)
        return found is not None and dig(found, "spec", "controller") == given.get("--controller-class")
    noted = annotations_of(ingress).get(_CLASS)
    if noted is None:
        return given.get("--watch-ingress-without-class") == "true"
    return noted == given.get("--ingress-class")


def controller_at(cluster: Cluster, address: str) -> tuple[Object, Object] | None:
    """The service that has this address, and the ingress controller behind it."""
    for service in cluster.list("v1", "Service"):
        if address in [entry["ip"] for entry in dig(service, "status", "loadBalancer", "ingress", default=[])]:
            found = cluster.get("apps/v1", "Deployment", name_of(service), namespace_of(service))
            if found is not None and labels_of(found).items() >= LABEL.items():
                return service, found
    return None


def ready_pods(cluster: Cluster, service: Object) -> list[Object]:
    selector = {"matchLabels": service["spec"].get("selector") or {}}
    found = cluster.list("v1", "Pod", namespace_of(service), selector=selector)
    return [pod for pod in found if is_true(pod, "Ready")]


def respond(cluster: Cluster, deployment: Object, host: str, path: str) -> Answer:
    """As nginx would: the backend of the longest fitting path; else the default server, which knows /healthz."""
    ours = [i for i in cluster.list("networking.k8s.io/v1", "Ingress") if serves(cluster, deployment, i)]
    rules = [(namespace_of(i), rule) for i in ours for rule in dig(i, "spec", "rules", default=[])]
    of_host = [(space, rule) for space, rule in rules if _fits(rule.get("host", ""), host)]
    ways = [(space, way) for space, rule in of_host for way in dig(rule, "http", "paths", default=[])]
    fitting = [(space, way) for space, way in ways if _leads(way, path)]
    if fitting:
        space, way = max(fitting, key=lambda found: len(found[1].get("path", "/")))
        return _backend(cluster, space, way["backend"]["service"], path)
    if not of_host and path == "/healthz":
        return Answer(200, "")
    return _page(404)


def _fits(wanted: str, host: str) -> bool:
    if wanted.startswith("*."):
        return host.partition(".")[2] == wanted[2:]
    return wanted in ("", host)


def _leads(way: Object, path: str) -> bool:
    wanted = way.get("path", "/").rstrip("/")
    return path == wanted or (way.get("pathType") != "Exact" and path.startswith(f"{wanted}/"))


def _backend(cluster: Cluster, namespace: str, wanted: Object, path: str) -> Answer:
    service = cluster.get("v1", "Service", wanted["name"], namespace)
    pods = ready_pods(cluster, service) if service is not None else []
    return _pod(pods[0], path) if pods else _page(503)


def _pod(pod: Object, path: str) -> Answer:
    """The one thing that pods of the lab can serve: busybox' web server over /etc, so /hostname is the pod's name."""
    command = pod["spec"]["containers"][0].get("command") or []
    if tuple(command[:2]) != WEB_SERVER:
        return _page(502)
    if path == "/hostname" and command[-2:] == ["-h", "/etc"]:
        return Answer(200, f"{name_of(pod)}\n")
    return Answer(404, "<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD></HTML>\n")


def _page(status: int) -> Answer:
    return Answer(status, _PAGE.format(_WORDS[status]))


@dataclass
class Front:
    """The servers of one controller: `http` and `https` are their ports on 127.0.0.1."""

    cluster: Cluster
    deployment: Object
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
        found = respond(self.cluster, self._present(), request.host.partition(":")[0], request.path)
        return web.Response(status=found.status, text=found.body, content_type="text/html")

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = certificate_for(self.cluster, self._present(), name or "")

    def _present(self) -> Object:
        at = namespace_of(self.deployment), name_of(self.deployment)
        return self.cluster.get("apps/v1", "Deployment", at[1], at[0]) or self.deployment


def certificate_for(cluster: Cluster, deployment: Object, name: str) -> ssl.SSLContext:
    """Of the Ingress that names a secret for this host, else the default one, else nginx' own fake certificate."""
    places = [*_named_secrets(cluster, deployment, name), arguments(deployment).get("--default-ssl-certificate", "")]
    for place in filter(None, places):
        namespace, _, secret = place.partition("/")
        found = cluster.get("v1", "Secret", secret, namespace)
        if found is not None and (made := _context_of(found)) is not None:
            return made
    return _fake()


def _named_secrets(cluster: Cluster, deployment: Object, name: str) -> list[str]:
    ours = [i for i in cluster.list("networking.k8s.io/v1", "Ingress") if serves(cluster, deployment, i)]
    named = [(namespace_of(i), tls) for i in ours for tls in dig(i, "spec", "tls", default=[])]
    return [
        f"{space}/{tls['secretName']}"
        for space, tls in named
        if tls.get("secretName") and any(_fits(host, name) for host in tls.get("hosts") or [])
    ]


def _context_of(secret: Object) -> ssl.SSLContext | None:
    """None when it holds no certificate and key that belong together, which nginx leaves aside."""
    data = secret.get("data") or {}
    try:
        parts = [base64.b64decode(data.get(name, "")) for name in ("tls.crt", "tls.key")]
        return _context(b"".join(parts), f"{uid_of(secret)}/{secret['metadata']['resourceVersion']}")
    except (ssl.SSLError, binascii.Error):
        return None


@lru_cache(maxsize=16)
def _context(pem: bytes, _: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:  # the ssl module reads files only
        os.fchmod(file.fileno(), 0o600)
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


@lru_cache(maxsize=1)
def _fake() -> ssl.SSLContext:
    certificate, key = Authority().server(["ingress.local"])
    return _context(certificate + key, "fake")
