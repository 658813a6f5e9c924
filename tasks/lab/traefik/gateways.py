"""Gateway API as Traefik reads it: which Gateways are its own, what their listeners say, which routes are attached.

An API server fills in what a manifest leaves out, by the definitions; the lab's does not, so it is done here.

Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/gateway/kubernetes.go
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/gateway/httproute.go
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/gateway/client.go
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tasks.lab.traefik.certificates import pair_of
from tasks.lab.traefik.instance import SCHEMES, Instance
from tasks.lab.traefik.routes import Backend, Route
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.objects import condition, dig, labels_of, name_of, namespace_of
from thinkube_nornir.lab.kube.selectors import label_predicate, selects

GROUP = "gateway.networking.k8s.io"
VERSION = f"{GROUP}/v1"
CONTROLLER = "traefik.io/gateway-controller"
CLASS, GATEWAY, ROUTE = (VERSION, "GatewayClass"), (VERSION, "Gateway"), (VERSION, "HTTPRoute")
_WATCHED = (
    *((VERSION, kind) for kind in ("GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute")),
    (VERSION, "BackendTLSPolicy"),
    (f"{GROUP}/v1beta1", "ReferenceGrant"),
)
Condition = tuple[str, bool, str, str]
"""Type, status, reason, message."""
_GOOD = tuple((name, True, name, "No error found") for name in ("Accepted", "ResolvedRefs", "Programmed"))


@dataclass(frozen=True)
class Listener:
    """One listener of a Gateway, with what is wrong with it."""

    spec: Object
    entry_point: str
    faults: tuple[Condition, ...] = ()
    certificates: tuple[tuple[str, str], ...] = field(default=())
    """Namespace and name of their secrets."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return self.faults or _GOOD


def serves(instance: Instance) -> bool:
    """While one kind that it watches is not served, it waits, and serves no Gateway."""
    if not instance.has("kubernetesgateway"):
        return False
    served = {(d["spec"]["group"], d["spec"]["names"]["kind"]): _versions(d) for d in _definitions(instance)}
    return all(version.partition("/")[2] in served.get((GROUP, kind), ()) for version, kind in _WATCHED)


def _definitions(instance: Instance) -> list[Object]:
    found = instance.cluster.list("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    return [d for d in found if condition(d, "Established")]


def _versions(definition: Object) -> list[str]:
    return [version["name"] for version in definition["spec"]["versions"] if version.get("served")]


def classes(instance: Instance) -> list[Object]:
    """The classes that this Traefik serves, by their label: the controller's name is the same for every Traefik."""
    if not serves(instance):
        return []
    chosen = label_predicate(instance.provider("kubernetesgateway.labelselector"))
    found = [c for c in instance.cluster.list(*CLASS) if dig(c, "spec", "controllerName") == CONTROLLER]
    return [c for c in found if chosen(c)]


def gateways(instance: Instance) -> list[Object]:
    names = {name_of(c) for c in classes(instance)}
    return [g for g in instance.cluster.list(*GATEWAY) if dig(g, "spec", "gatewayClassName") in names]


def listeners(instance: Instance, gateway: Object) -> list[Listener]:
    return [_listener(instance, gateway, spec) for spec in dig(gateway, "spec", "listeners", default=[])]


def _listener(instance: Instance, gateway: Object, spec: Object) -> Listener:
    port, protocol = int(spec["port"]), spec["protocol"]
    entry_point = instance.entry_point(port)
    if not entry_point:
        why = f'no matching entryPoint for port {port} and protocol "{protocol}"'
        fault = ("Accepted", False, "PortUnavailable", f"Cannot find entryPoint for Gateway: {why}")
        return Listener(spec, "", (fault,))
    if protocol not in ("HTTP", "HTTPS"):
        return Listener(spec, entry_point, (("Accepted", False, "UnsupportedProtocol", f"Protocol {protocol!r}"),))
    if protocol == "HTTP":
        return Listener(spec, entry_point)
    references = dig(spec, "tls", "certificateRefs", default=[])
    if not references:
        fault = ("ResolvedRefs", False, "InvalidCertificateRef", "One TLS CertificateRef is required in Terminate mode")
        return Listener(spec, entry_point, (fault,))
    places = tuple((ref.get("namespace") or namespace_of(gateway), ref["name"]) for ref in references)
    wrong = [f for place in places if (f := _certificate_fault(instance, gateway, *place)) is not None]
    faults = (*wrong, ("Programmed", False, "Invalid", "Invalid CertificateRefs")) if wrong else ()
    return Listener(spec, entry_point, faults, places)


def _certificate_fault(instance: Instance, gateway: Object, namespace: str, name: str) -> Condition | None:
    if namespace != namespace_of(gateway):
        why = f"Cannot reference CertificateRef {namespace}/{name}: missing ReferenceGrant"
        return ("ResolvedRefs", False, "RefNotPermitted", why)
    secret = instance.cluster.get("v1", "Secret", name, namespace)
    why = "getting secret: not found" if secret is None else "" if pair_of(secret) else "validating certificate"
    if not why:
        return None
    message = f"Cannot load CertificateRef {namespace}/{name}: {why}"
    return ("ResolvedRefs", False, "InvalidCertificateRef", message)


def conditions(found: list[Listener]) -> tuple[Condition, ...]:
    """The conditions of a Gateway with these listeners."""
    if any(listener.faults for listener in found):
        return (("Accepted", False, "ListenersNotValid", "All Listeners must be valid"),)
    return tuple((name, True, name, "Gateway successfully scheduled") for name in ("Accepted", "Programmed"))


def parents(instance: Instance, route: Object) -> Iterator[tuple[Object, Object, list[Listener], list[Listener]]]:
    """What a route refers to: the reference, the Gateway, its listeners, and those that the route is attached to."""
    mine = {(namespace_of(g), name_of(g)): g for g in gateways(instance)}
    for reference in dig(route, "spec", "parentRefs", default=[]):
        place = reference.get("namespace") or namespace_of(route), reference["name"]
        if place in mine:
            found = listeners(instance, mine[place])
            yield (
                reference,
                mine[place],
                found,
                [n for n in found if _attached(instance, mine[place], n, route, reference)],
            )


def _attached(instance: Instance, gateway: Object, listener: Listener, route: Object, reference: Object) -> bool:
    named = reference.get("sectionName") in (None, listener.spec["name"])
    at = reference.get("port") in (None, listener.spec["port"])
    allowed = _allows(instance, gateway, listener, namespace_of(route))
    return named and at and allowed and not listener.faults and _hosts(listener, route) is not None


def _allows(instance: Instance, gateway: Object, listener: Listener, namespace: str) -> bool:
    given = dig(listener.spec, "allowedRoutes", "namespaces", default={})
    match given.get("from", "Same"):
        case "All":
            return True
        case "Selector":
            found = instance.cluster.get("v1", "Namespace", namespace)
            return found is not None and selects(given.get("selector"), labels_of(found))
    return namespace == namespace_of(gateway)


def _hosts(listener: Listener, route: Object) -> tuple[str, ...] | None:
    """Those that both know; none for all; None when they have none in common."""
    own, wanted = listener.spec.get("hostname"), dig(route, "spec", "hostnames", default=[])
    if not own:
        return tuple(wanted)
    if not wanted:
        return (own,)
    common = [name for name in wanted if name == own or (own.startswith("*.") and name.endswith(own[1:]))]
    return tuple(common) or None


def routes(instance: Instance) -> Iterator[Route]:
    for route in instance.cluster.list(*ROUTE):
        attached = [listener for *_, attached in parents(instance, route) for listener in attached]
        for listener in attached:
            schemes = frozenset({SCHEMES[listener.entry_point]})
            for rule in dig(route, "spec", "rules", default=[]):
                backends = tuple(_backends(instance, route, rule))
                for match in rule.get("matches") or [{}]:
                    path = match.get("path") or {"type": "PathPrefix", "value": "/"}
                    hosts = _hosts(listener, route) or ()
                    yield Route(hosts, path["value"], path["type"] == "Exact", True, schemes, backends)


def _backends(instance: Instance, route: Object, rule: Object) -> Iterator[Backend]:
    for reference in rule.get("backendRefs") or ():
        yield Backend(_service(instance, route, reference))


def _service(instance: Instance, route: Object, reference: Object) -> Object | None:
    if reference.get("namespace") not in (None, namespace_of(route)) or not reference.get("port"):
        return None
    found = instance.cluster.get("v1", "Service", reference["name"], namespace_of(route))
    ports = [p.get("port") for p in (found or {"spec": {}})["spec"].get("ports") or ()]
    return found if reference["port"] in ports else None


def resolved(instance: Instance, route: Object) -> bool:
    backends = [b for rule in dig(route, "spec", "rules", default=[]) for b in _backends(instance, route, rule)]
    return all(backend.service is not None for backend in backends)
