"""What others publish through our ingress controllers: Ingress objects, routes to our Gateways, Traefik's own kinds."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.phase6_extended_services.ingress.controller import GATEWAY, RELEASES
from tasks.phase6_extended_services.ingress.definitions import GATEWAY_API
from tasks.phase6_extended_services.ingress.metallb import place
from tasks.shared.cluster.control_plane import Object, name_of
from thinkube_nornir.cluster import LABELS, Cluster

_NOTED = "kubernetes.io/ingress.class"
_ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute")
_OWN = ("IngressRoute", "IngressRouteTCP", "IngressRouteUDP")
_RELEASE, _NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"


def users(api: Cluster, release: str, namespace: str, *, keeping: Iterable[str] = ()) -> list[str]:
    """What would be published no more without this release, one statement each.

    Args:
        keeping: classes that will be served by another controller.
    """
    classes = [c for c in api.list("networking.k8s.io/v1", "IngressClass") if _belongs(c, release, namespace)]
    names = {name_of(c) for c in classes} - set(keeping)
    default = any(_is_default(c) for c in classes if name_of(c) in names)
    gateways = [g for g in _listed(api, f"{GATEWAY_API}/v1", "Gateway") if _belongs(g, release, namespace)]
    found = [f"Ingress {place(i)} is of class {_class_of(i)}" for i in _ingresses(api) if _class_of(i) in names]
    if gateways:
        found += [*_routes(api, namespace), *_gateways(api, names)]
        found += [f"{o['kind']} {place(o)} is served by it" for o in _own(api, names, default)]
    return found


def _belongs(obj: Object, release: str, namespace: str) -> bool:
    notes = obj["metadata"].get("annotations") or {}
    return (notes.get(_RELEASE), notes.get(_NAMESPACE)) == (release, namespace)


def _is_default(found: Object) -> bool:
    notes = found["metadata"].get("annotations") or {}
    return bool(notes.get("ingressclass.kubernetes.io/is-default-class") == "true")


def _ingresses(api: Cluster) -> list[Object]:
    """Without those of a probe, which go by themselves."""
    return _without_probes(api.list("networking.k8s.io/v1", "Ingress"))


def _without_probes(found: list[Object]) -> list[Object]:
    return [o for o in found if not LABELS.items() <= (o["metadata"].get("labels") or {}).items()]


def _class_of(obj: Object) -> str:
    noted = (obj["metadata"].get("annotations") or {}).get(_NOTED, "")
    return str((obj.get("spec") or {}).get("ingressClassName") or noted)


def _listed(api: Cluster, version: str, kind: str) -> list[Object]:
    return _without_probes(api.list(version, kind)) if api.kind(version, kind) is not None else []


def _routes(api: Cluster, namespace: str) -> list[str]:
    """Those that name our Gateway as a parent; a parent without namespace is in the route's own."""
    found = []
    for route in (r for kind in _ROUTES for r in _listed(api, f"{GATEWAY_API}/v1", kind)):
        for parent in (route.get("spec") or {}).get("parentRefs") or ():
            at = parent.get("namespace") or route["metadata"]["namespace"]
            if (parent.get("name"), at) == (GATEWAY, namespace):
                found.append(f"{route['kind']} {place(route)} leads through Gateway {namespace}/{GATEWAY}")
                break
    return found


def _gateways(api: Cluster, classes: set[str]) -> list[str]:
    found = _listed(api, f"{GATEWAY_API}/v1", "Gateway")
    others = [g for g in found if (g["metadata"].get("annotations") or {}).get(_RELEASE) not in RELEASES]
    return [
        f"Gateway {place(g)} is of class {g['spec'].get('gatewayClassName')}"
        for g in others
        if g["spec"].get("gatewayClassName") in classes
    ]


def _own(api: Cluster, classes: set[str], default: bool) -> list[Object]:
    """Traefik's kinds are the primary controller's when they name no class."""
    found = [o for kind in _OWN for o in _listed(api, "traefik.io/v1alpha1", kind)]
    return [o for o in found if _class_of(o) in classes or (default and not _class_of(o))]
