"""The ingress controllers' settings: apart from each other, and out of the way of what the cluster has already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from nornir.core.task import Task

from tasks.shared.address_pool import knative
from tasks.shared.defaults import DEFAULTS
from thinkube_nornir.context import setting
from thinkube_nornir.settings.schema import HostSettings, Mistake

Hosts = Mapping[str, HostSettings]

NAMESPACES = ("ingress_namespace", "ingress_kn_namespace")
CLASSES = ("primary_ingress_class", "secondary_ingress_class")
NGINX_CLASSES = ("primary_nginx_class", "secondary_nginx_class")
_TAKEN_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system", "metallb-system", "cert-manager")
_ADDONS = "public"
"""MicroK8s 1.35 takes its addon ingress for enabled where a class's name starts so.

Source: canonical/microk8s-core-addons@1.35 addons.yaml
Source: canonical/microk8s@1.35 scripts/wrappers/common/utils.py
"""
_OCTETS = "write load_balancer_range: 192.168.191.200-192.168.191.205, with whole addresses"
PREVIOUS = {
    "metallb_ip_start_octet": _OCTETS,
    "metallb_ip_end_octet": _OCTETS,
    "primary_ingress_ip_octet": "write primary_ingress_ip with the whole address",
    "secondary_ingress_ip_octet": "write knative: true, and secondary_ingress_ip with the whole address",
    "ingress_nginx_chart_version": "ingress-nginx is retired: write traefik_chart_version, "
    "and give the classes that your Ingress objects name to primary_nginx_class and secondary_nginx_class",
}


def ingress_namespaces(task: Task) -> tuple[str, ...]:
    """Of the primary controller, and of Knative's when Knative is on."""
    return all_ingress_namespaces(task)[: 2 if knative(task) else 1]


def all_ingress_namespaces(task: Task) -> tuple[str, str]:
    """Also of Knative's when Knative is off."""
    first, second = (_named(task, name) for name in NAMESPACES)
    return first, second


def ingress_classes(task: Task) -> tuple[str, str]:
    first, second = (_named(task, name) for name in CLASSES)
    return first, second


def nginx_classes(task: Task) -> tuple[str, str]:
    """Of Ingress objects that were written for ingress-nginx; empty for none."""
    first, second = (str(setting(task, name, "")) for name in NGINX_CLASSES)
    return first, second


def _named(task: Task, name: str) -> str:
    return str(setting(task, name, DEFAULTS[name]))


def ingresses_are_apart(hosts: Hosts) -> Iterator[Mistake]:
    """What the two share, both answer for: an Ingress would be served on both addresses, or on neither."""
    for host in hosts.values():
        given = {**DEFAULTS, **host.settings}
        for names in (NAMESPACES, (*CLASSES, *NGINX_CLASSES)):
            for first, second in combinations([name for name in names if name in given], 2):
                if given[first] == given[second] and {first, second} & host.settings.keys():
                    at = second if second in host.settings else first
                    yield Mistake(f"{first} and {second} are both {given[first]}", "give each its own", host.name, at)


def ingresses_use_free_names(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        for name in NAMESPACES:
            value = host.settings.get(name)
            if value in _TAKEN_NAMESPACES:
                what = f"{name} {value} is taken by another part of the cluster"
                yield Mistake(what, "rollback removes it as a whole, so give it one of its own", host.name, name)
        for name in (*CLASSES, *NGINX_CLASSES):
            value = host.settings.get(name, "")
            if value.startswith(_ADDONS):
                fix = f"MicroK8s' own addon ingress has class {_ADDONS}, and takes one that starts so for its own"
                yield Mistake(f"{name} {value} is taken", fix, host.name, name)


CHECKS = (ingresses_are_apart, ingresses_use_free_names)
