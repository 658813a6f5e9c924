"""The two ingress controllers' settings: apart from each other, and out of the way of what the cluster has already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from thinkube_nornir.settings.schema import HostSettings, Mistake

Hosts = Mapping[str, HostSettings]

NAMESPACES = ("ingress_namespace", "ingress_kn_namespace")
CLASSES = ("primary_ingress_class", "secondary_ingress_class")
_TAKEN_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system", "metallb-system", "cert-manager")
_TAKEN_CLASSES = {"public": "MicroK8s' own addon ingress calls its class so"}


def ingresses_are_apart(hosts: Hosts) -> Iterator[Mistake]:
    """What the two share, both answer for: an Ingress would be served on both addresses, or on neither."""
    for host in hosts.values():
        for first, second in (NAMESPACES, CLASSES):
            value = host.settings.get(first)
            if value is not None and value == host.settings.get(second):
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
