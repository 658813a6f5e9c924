"""What Traefik writes into objects: addresses of Ingress objects, conditions of Gateway API's.

Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/ingress/kubernetes.go
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/ingress-nginx/kubernetes.go
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/gateway/kubernetes.go
Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/gateway/httproute.go
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tasks.lab.load_balancer import addresses_of
from tasks.lab.traefik import gateways, ingresses
from tasks.lab.traefik.gateways import CLASS, CONTROLLER, GATEWAY, ROUTE, Condition
from tasks.lab.traefik.instance import WORKLOADS, Instance, instances, is_traefik
from thinkube_nornir.lab.kube import Controller, Object
from thinkube_nornir.lab.kube.controllers import Kind
from thinkube_nornir.lab.kube.objects import Key, dig, key_of, name_of, with_condition

_SECRET, _SERVICE = ("v1", "Secret"), ("v1", "Service")
_DEFINITION = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")


class _Written(Controller):
    """Base: every Traefik that runs looks at each object again when one of the things it read changes."""

    watches: tuple[Kind, ...] = (*WORKLOADS, _SERVICE)

    def concerned(self, changed: Object) -> Iterable[Key]:
        relevant = changed["kind"] not in ("Deployment", "DaemonSet", "Service") or is_traefik(changed)
        return self.every() if relevant else ()

    def reconcile(self, obj: Object) -> None:
        """Write the object's status; of several that take it the last does, as each would overwrite the others."""
        for instance in [i for i in instances(self.cluster) if self.takes(i, obj)][-1:]:
            self.write(instance, obj)

    def takes(self, instance: Instance, obj: Object) -> bool:
        raise NotImplementedError

    def write(self, instance: Instance, obj: Object, /) -> None:
        raise NotImplementedError

    def conditions(self, old: Sequence[Object], wanted: Iterable[Condition], generation: int) -> list[Object]:
        """These alone, with the time of the last change of each."""
        names = {name for name, *_ in wanted}
        kept: list[Object] = [c for c in old if c["type"] in names]
        for name, status, reason, message in wanted:
            kept = with_condition(kept, name, status, reason, message, observedGeneration=generation)
        return kept


class Addresses(_Written):
    """Ingress objects show the address of the service that is published."""

    kind = ingresses.INGRESS
    watches = (*_Written.watches, ("networking.k8s.io/v1", "IngressClass"))

    def takes(self, instance: Instance, obj: Object) -> bool:
        return key_of(obj) in [key_of(i) for i in [*ingresses.served(instance), *ingresses.nginx_s(instance)]]

    def write(self, instance: Instance, obj: Object, /) -> None:
        plain = key_of(obj) in [key_of(i) for i in ingresses.served(instance)]
        name = "ingressendpoint.publishedservice" if plain else "publishservice"
        provider = "kubernetesingress" if plain else "kubernetesingressnginx"
        namespace, _, service = instance.provider(f"{provider}.{name}").partition("/")
        shown = [{"ip": a} for a in addresses_of(self.cluster.get(*_SERVICE, service, namespace) or {})]
        if shown and dig(obj, "status", "loadBalancer", "ingress", default=[]) != shown:
            self.cluster.set_status(obj, manager="traefik", loadBalancer={"ingress": shown})


class Classes(_Written):
    """GatewayClass objects are accepted."""

    kind = CLASS
    watches = (*_Written.watches, _DEFINITION)

    def takes(self, instance: Instance, obj: Object) -> bool:
        return name_of(obj) in [name_of(c) for c in gateways.classes(instance)]

    def write(self, _: Instance, obj: Object, /) -> None:
        wanted = [("Accepted", True, "Handled", "Handled by Traefik controller")]
        generation = obj["metadata"].get("generation", 1)
        updated = self.conditions(dig(obj, "status", "conditions", default=[]), wanted, generation)
        self.cluster.set_status(obj, manager="traefik", conditions=updated)


class Gateways(_Written):
    """Gateway objects: accepted and programmed, or what is wrong with which listener."""

    kind = GATEWAY
    watches = (*_Written.watches, CLASS, ROUTE, _SECRET, _DEFINITION)

    def takes(self, instance: Instance, obj: Object) -> bool:
        return key_of(obj) in [key_of(g) for g in gateways.gateways(instance)]

    def write(self, instance: Instance, obj: Object, /) -> None:
        found, generation = gateways.listeners(instance, obj), obj["metadata"].get("generation", 1)
        old = {listener["name"]: listener for listener in dig(obj, "status", "listeners", default=[])}
        attached = [
            (key_of(gateway), listener.spec["name"])
            for route in self.cluster.list(*ROUTE)
            for _, gateway, _, taken in gateways.parents(instance, route)
            for listener in taken
        ]
        listeners = [
            {
                "name": listener.spec["name"],
                "attachedRoutes": attached.count((key_of(obj), listener.spec["name"])),
                "supportedKinds": [{"group": gateways.GROUP, "kind": kind} for kind in ("HTTPRoute", "GRPCRoute")],
                "conditions": self.conditions(
                    old.get(listener.spec["name"], {}).get("conditions", []), listener.conditions, generation
                ),
            }
            for listener in found
        ]
        namespace = instance.provider("kubernetesgateway.statusaddress.service.namespace")
        name = instance.provider("kubernetesgateway.statusaddress.service.name")
        shown = addresses_of(self.cluster.get(*_SERVICE, name, namespace) or {}) if name else []
        updated = self.conditions(dig(obj, "status", "conditions", default=[]), gateways.conditions(found), generation)
        addresses = [{"type": "IPAddress", "value": address} for address in shown] or None
        self.cluster.set_status(obj, manager="traefik", conditions=updated, listeners=listeners, addresses=addresses)


class Routes(_Written):
    """HTTPRoute objects: which of their parents took them."""

    kind = ROUTE
    watches = (*_Written.watches, CLASS, GATEWAY, _SECRET, _DEFINITION)

    def concerned(self, changed: Object) -> Iterable[Key]:
        return self.every() if changed["kind"] == "Service" else super().concerned(changed)

    def reconcile(self, obj: Object) -> None:
        """A route may have parents of several."""
        for instance in [i for i in instances(self.cluster) if self.takes(i, obj)]:
            self.write(instance, self.cluster.get(*ROUTE, *reversed(key_of(obj))) or obj)

    def takes(self, instance: Instance, obj: Object) -> bool:
        return any(True for _ in gateways.parents(instance, obj))

    def write(self, instance: Instance, obj: Object, /) -> None:
        mine = list(gateways.parents(instance, obj))
        old = dig(obj, "status", "parents", default=[])
        generation = obj["metadata"].get("generation", 1)
        references = [reference for reference, *_ in mine]
        parents = [parent for parent in old if parent["parentRef"] not in references]
        for reference, _, _, attached in mine:
            previous: list[Object] = next((p.get("conditions", []) for p in old if p["parentRef"] == reference), [])
            good = gateways.resolved(instance, obj)
            wanted: list[Condition] = [
                ("Accepted", bool(attached), "Accepted" if attached else "NoMatchingParent", ""),
                ("ResolvedRefs", good, "ResolvedRefs" if good else "BackendNotFound", ""),
            ]
            conditions = self.conditions(previous, wanted, generation)
            parents.append({"parentRef": reference, "controllerName": CONTROLLER, "conditions": conditions})
        self.cluster.set_status(obj, manager="traefik", parents=parents)


def controllers() -> Sequence[Controller]:
    return Addresses(), Classes(), Gateways(), Routes()
