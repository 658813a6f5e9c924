"""What MetalLB's pods do: the controller gives services addresses, a speaker's node answers for each.

Source: metallb/metallb@v0.15.2 controller/service.go (convergeBalancer)
Source: metallb/metallb@v0.15.2 internal/allocator/allocator.go
Source: metallb/metallb@v0.15.2 speaker/layer2_controller.go (ShouldAnnounce)
Source: metallb/metallb@v0.13.3 speaker/layer2_controller.go (ShouldAnnounce)
Unproven: how soon speakers agree on who announces, and that a node whose speaker is not ready is none of them.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator

from tasks.lab.microk8s.rollout import complete
from thinkube_nornir.lab.kube import Controller, KubeApi, Object
from thinkube_nornir.lab.kube.controllers import Kind
from thinkube_nornir.lab.kube.objects import Key, annotations_of, dig, is_true, labels_of, name_of, namespace_of
from thinkube_nornir.lab.kube.selectors import selects

NAMESPACE = "metallb-system"
GROUP, VERSION = "metallb.io", "v1beta1"
POOL: Kind = (f"{GROUP}/{VERSION}", "IPAddressPool")
ADVERTISEMENT: Kind = (f"{GROUP}/{VERSION}", "L2Advertisement")
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
_POOL_OF = ("metallb.io/address-pool", "metallb.universe.tf/address-pool")
_WANTED = ("metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs")
_SPEAKER = {"matchLabels": {"app": "metallb", "component": "speaker"}}

Address = ipaddress.IPv4Address


class Refusal(Exception):
    """No address for this service; the text is the event's."""


class Balancer(Controller):
    """MetalLB's controller, as long as its Deployment is available."""

    kind = ("v1", "Service")
    watches = (("v1", "Service"), POOL, ("apps/v1", "Deployment"))

    def concerned(self, changed: Object) -> Iterable[Key]:
        return self.every() if changed["kind"] != "Deployment" or namespace_of(changed) == NAMESPACE else ()

    def reconcile(self, obj: Object) -> None:
        if not complete(self.cluster.get("apps/v1", "Deployment", "controller", NAMESPACE) or {}):
            return
        present = addresses_of(obj)
        try:
            given = self._address(obj, present) if obj["spec"].get("type") == "LoadBalancer" else ""
        except Refusal as refusal:
            given = ""
            self.cluster.event(
                obj, "AllocationFailed", f'Failed to allocate IP for "{_name(obj)}": {refusal}', warning=True
            )
        if given and [given] != present:
            self.cluster.event(obj, "IPAllocated", f'Assigned IP ["{given}"]')
        if [given] * bool(given) != present:
            entries = [{"ip": given, "ipMode": "VIP"}] if given else None
            self.cluster.set_status(obj, manager="controller", loadBalancer={"ingress": entries})

    def _address(self, service: Object, present: list[str]) -> str:
        found = self.cluster.list(*POOL)
        pools = [pool for one in found for pool in _ranges(one)]
        wanted, wanted_pool = _wanted(service), _note(service, _POOL_OF)
        taken = {a: _name(s) for s in self.cluster.list("v1", "Service") for a in addresses_of(s)}
        if wanted:
            if not any(first <= Address(wanted) <= last for first, last in pools):
                raise Refusal(f'["{wanted}"] is not allowed in config')
            if taken.get(wanted, _name(service)) != _name(service):
                raise Refusal(
                    f'can\'t change sharing key for "{_name(service)}", address also in use by {taken[wanted]}'
                )
            return wanted
        if wanted_pool:
            found = [one for one in found if name_of(one) == wanted_pool]
            if not found:
                raise Refusal(f'unknown pool "{wanted_pool}"')
        pools = [pool for one in found for pool in _ranges(one)]
        if present and any(first <= Address(present[0]) <= last for first, last in pools):
            return present[0]
        automatic = found if wanted_pool else [one for one in found if dig(one, "spec", "autoAssign", default=True)]
        ranges = [pool for one in automatic for pool in _ranges(one)]
        free = (str(a) for first, last in ranges for a in _between(first, last) if str(a) not in taken)
        if address := next(free, ""):
            return address
        raise Refusal("no available IPs")


def addresses_of(service: Object) -> list[str]:
    return [entry["ip"] for entry in dig(service, "status", "loadBalancer", "ingress", default=[])]


def announcer(api: KubeApi, service: Object) -> str | None:
    """The node that answers ARP for a service's address; None when no node may, or nothing is behind the service.

    Of those that may it is the one whose name hashes lowest together with the address.
    """
    address = Address(addresses_of(service)[0])
    behind = _nodes_behind(api, service)
    if not behind:
        return None
    pools = {name_of(p) for p in api.list(*POOL) if any(first <= address <= last for first, last in _ranges(p))}
    advertised = [a for a in api.list(*ADVERTISEMENT) if _selects_pool(api, a, pools)]
    nodes = [n for n in api.list("v1", "Node") if _may_announce(api, n)]
    chosen = [name_of(n) for n in nodes if any(_selects_node(a, n) for a in advertised)]
    if service["spec"].get("externalTrafficPolicy") == "Local":
        chosen = [name for name in chosen if name in behind]
    return min(chosen, key=lambda name: hashlib.sha256(f"{name}#{address}".encode()).digest(), default=None)


def _nodes_behind(api: KubeApi, service: Object) -> set[str]:
    """Where what serves it runs."""
    slices = api.list("discovery.k8s.io/v1", "EndpointSlice", namespace_of(service))
    mine = [s for s in slices if labels_of(s).get("kubernetes.io/service-name") == name_of(service)]
    endpoints = [endpoint for s in mine for endpoint in s.get("endpoints") or []]
    return {str(e.get("nodeName", "")) for e in endpoints if dig(e, "conditions", "serving", default=True)}


def _selects_pool(api: KubeApi, advertisement: Object, pools: set[str]) -> bool:
    spec = advertisement.get("spec") or {}
    named, selectors = spec.get("ipAddressPools") or [], spec.get("ipAddressPoolSelectors") or []
    labelled = {name_of(p) for p in api.list(*POOL) if any(selects(s, labels_of(p)) for s in selectors)}
    return bool(pools & ({*named} | labelled if named or selectors else pools))


def _selects_node(advertisement: Object, node: Object) -> bool:
    selectors = dig(advertisement, "spec", "nodeSelectors", default=[])
    return not selectors or any(selects(s, labels_of(node)) for s in selectors)


def _may_announce(api: KubeApi, node: Object) -> bool:
    speakers = api.list("v1", "Pod", NAMESPACE, selector=_SPEAKER)
    mine = [p for p in speakers if p["spec"].get("nodeName") == name_of(node) and is_true(p, "Ready")]
    excluded = EXCLUDED in labels_of(node) and not any(_ignores_exclusion(p) for p in mine)
    return bool(mine) and is_true(node, "Ready") and not excluded


def _ignores_exclusion(speaker: Object) -> bool:
    """0.13.3, of MicroK8s 1.32, does not know the label."""
    return str(speaker["spec"]["containers"][0]["image"]).endswith(":v0.13.3")


def _wanted(service: Object) -> str:
    return str(service["spec"].get("loadBalancerIP") or _note(service, _WANTED))


def _note(service: Object, names: tuple[str, ...]) -> str:
    notes = annotations_of(service)
    return next((notes[name] for name in names if name in notes), "")


def _ranges(pool: Object) -> Iterator[tuple[Address, Address]]:
    """First and last address of each entry, a range or a network."""
    for entry in dig(pool, "spec", "addresses", default=[]):
        if "/" in entry:
            network = ipaddress.IPv4Network(entry, strict=False)
            yield network[0], network[-1]
        else:
            first, last = entry.split("-")
            yield Address(first.strip()), Address(last.strip())


def _between(first: Address, last: Address) -> Iterator[Address]:
    return (Address(number) for number in range(int(first), int(last) + 1))


def _name(service: Object) -> str:
    return f"{namespace_of(service)}/{name_of(service)}"
