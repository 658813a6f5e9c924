"""The two ingress controllers' settings: apart from each other, and out of the way of what the cluster has already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nornir.core.task import Task

from tasks.address_pool import knative
from thinkube_nornir.context import setting
from thinkube_nornir.settings.schema import HostSettings, Mistake

Hosts = Mapping[str, HostSettings]

NAMESPACES = ("ingress_namespace", "ingress_kn_namespace")
CLASSES = ("primary_ingress_class", "secondary_ingress_class")
_WHEN_NOT_SET = {"ingress_namespace": "ingress", "ingress_kn_namespace": "ingress-kn"}
_TAKEN_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system", "metallb-system", "cert-manager")
_TAKEN_CLASSES = {"public": "MicroK8s' own addon ingress calls its class so"}

_OCTETS = "write load_balancer_range: 192.168.191.200-192.168.191.205, with whole addresses"
FORMER = {
    "metallb_ip_start_octet": _OCTETS,
    "metallb_ip_end_octet": _OCTETS,
    "primary_ingress_ip_octet": "write primary_ingress_ip with the whole address",
    "secondary_ingress_ip_octet": "write knative: true, and secondary_ingress_ip with the whole address",
}


def ingress_namespaces(task: Task) -> tuple[str, ...]:
    """Of the primary controller, and of Knative's when Knative is on."""
    used = NAMESPACES if knative(task) else NAMESPACES[:1]
    return tuple(str(setting(task, name, _WHEN_NOT_SET[name])) for name in used)


def ingresses_are_apart(hosts: Hosts) -> Iterator[Mistake]:
    """What the two share, both answer for: an Ingress would be served on both addresses, or on neither."""
    for host in hosts.values():
        for first, second in (NAMESPACES, CLASSES):
            value, other = (host.settings.get(name, _WHEN_NOT_SET.get(name)) for name in (first, second))
            if value is not None and value == other:
                yield Mistake(f"{first} and {second} are both {value}", "give each its own", host.name, second)


def ingresses_use_free_names(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        for name in NAMESPACES:
            value = host.settings.get(name)
            if value in _TAKEN_NAMESPACES:
                what = f"{name} {value} is taken by another part of the cluster"
                yield Mistake(what, "rollback removes it as a whole, so give it one of its own", host.name, name)
        for name in CLASSES:
            value = host.settings.get(name)
            if value in _TAKEN_CLASSES:
                yield Mistake(f"{name} {value} is taken", _TAKEN_CLASSES[value], host.name, name)


CHECKS = (ingresses_are_apart, ingresses_use_free_names)
