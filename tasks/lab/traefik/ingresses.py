"""Ingress objects as Traefik reads them: those of its own class, and those for ingress-nginx by another provider.

Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/ingress/kubernetes.go
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/ingress/client.go
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/ingress-nginx/build.go
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/ingress-nginx/client.go
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/ingress-nginx/translator.go
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/ingress-nginx/middleware.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.lab.traefik.instance import SCHEMES, Instance
from tasks.lab.traefik.routes import Backend, Route
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.objects import annotations_of, dig, name_of, namespace_of

INGRESS = ("networking.k8s.io/v1", "Ingress")
_NOTED = "kubernetes.io/ingress.class"
_NGINX = "nginx.ingress.kubernetes.io"
_SNIPPETS = ("server-snippet", "configuration-snippet", "auth-snippet")
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._\-/]*")


def served(instance: Instance) -> list[Object]:
    """Those that the provider for Ingress objects processes."""
    wanted = instance.provider("kubernetesingress.ingressclass")
    classes = {name_of(c) for c in _classes(instance) if not wanted or name_of(c) == wanted}
    found = instance.cluster.list(*INGRESS) if instance.has("kubernetesingress") else []
    return [i for i in found if _is_served(i, classes, wanted)]


def _is_served(ingress: Object, classes: set[str], wanted: str) -> bool:
    named = dig(ingress, "spec", "ingressClassName")
    if named is not None:
        return named in classes
    noted = annotations_of(ingress).get(_NOTED, "")
    return noted == wanted or (not wanted and noted == "traefik")


def nginx_s(instance: Instance) -> list[Object]:
    """Those that the provider for ingress-nginx's objects processes."""
    if not instance.has("kubernetesingressnginx"):
        return []
    value = instance.provider("kubernetesingressnginx.controllerclass", "k8s.io/ingress-nginx")
    classes = {name_of(c) for c in _classes(instance) if dig(c, "spec", "controller") == value}
    wanted = instance.provider("kubernetesingressnginx.ingressclass", "nginx")
    found = [i for i in instance.cluster.list(*INGRESS) if _is_nginx_s(i, classes, wanted)]
    return [i for i in found if _is_valid(i)]


def _is_nginx_s(ingress: Object, classes: set[str], wanted: str) -> bool:
    named = dig(ingress, "spec", "ingressClassName")
    if classes and named is not None:
        return named in classes
    return annotations_of(ingress).get(_NOTED) == wanted


def _is_valid(ingress: Object) -> bool:
    """One with snippets is left out as a whole, as is one with a pattern for a path that is no pattern."""
    if any(annotations_of(ingress).get(f"{_NGINX}/{name}") for name in _SNIPPETS):
        return False
    paths = [path for _, path in _paths(ingress)]
    return all(
        path.get("pathType") == "ImplementationSpecific" or _PLAIN_PATH.fullmatch(path["path"])
        for path in paths
        if path.get("path")
    )


def _classes(instance: Instance) -> list[Object]:
    return instance.cluster.list("networking.k8s.io/v1", "IngressClass")


def _paths(ingress: Object) -> Iterator[tuple[str, Object]]:
    for rule in dig(ingress, "spec", "rules", default=[]):
        for path in dig(rule, "http", "paths", default=[]):
            yield rule.get("host", ""), path


def routes(instance: Instance) -> Iterator[Route]:
    strict = instance.provider("kubernetesingress.strictprefixmatching") == "true"
    for ingress in served(instance):
        noted = annotations_of(ingress).get("traefik.ingress.kubernetes.io/router.entrypoints", "")
        names = [name.strip() for name in noted.split(",")] if noted else [*SCHEMES]
        schemes = frozenset(SCHEMES[name] for name in names if name in SCHEMES)
        yield from _routes(instance, ingress, strict=strict, schemes=schemes)
    for ingress in nginx_s(instance):
        redirects = annotations_of(ingress).get(f"{_NGINX}/ssl-redirect", "true") == "true"
        redirected = bool(dig(ingress, "spec", "tls")) and redirects
        yield from _routes(instance, ingress, strict=True, schemes=frozenset(SCHEMES.values()), redirected=redirected)


def _routes(
    instance: Instance, ingress: Object, *, strict: bool, schemes: frozenset[str], redirected: bool = False
) -> Iterator[Route]:
    for host, path in _paths(ingress):
        wanted = dig(path, "backend", "service")
        service = instance.cluster.get("v1", "Service", wanted["name"], namespace_of(ingress)) if wanted else None
        port = dig(wanted, "port", "number") or dig(wanted, "port", "name")
        if service is None or not _has(service, port):
            continue
        exact = path.get("pathType") == "Exact"
        hosts = (host,) if host else ()
        yield Route(hosts, path.get("path", ""), exact, strict, schemes, (Backend(service),), redirected)


def _has(service: Object, port: object) -> bool:
    return any(port in (found.get("port"), found.get("name")) for found in service["spec"].get("ports") or ())


def secrets(instance: Instance) -> list[tuple[str, str]]:
    """Namespace and name of those that the objects name for TLS."""
    found = [*served(instance), *nginx_s(instance)]
    named = [(namespace_of(i), tls.get("secretName")) for i in found for tls in dig(i, "spec", "tls", default=[])]
    return [(namespace, str(name)) for namespace, name in named if name]
