"""The settings of the ingress controllers: apart from each other, and out of the way of MicroK8s' own addon."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from nornir.core.task import Task

from tasks.shared.settings.values import ChartVersion, Label, ManifestSource
from thinkube_nornir.context import setting
from thinkube_nornir.settings.schema import Hosts, Mistake

CLASSES = ("primary_ingress_class", "secondary_ingress_class")
NGINX_CLASSES = ("primary_nginx_class", "secondary_nginx_class")
_ADDONS = "public"
"""MicroK8s 1.35 takes its addon ingress for enabled where a class's name starts so.

Source: canonical/microk8s-core-addons@1.35 addons.yaml
Source: canonical/microk8s@1.35 scripts/wrappers/common/utils.py
"""
PREVIOUS = {
    "ingress_nginx_chart_version": "ingress-nginx is retired: write traefik_chart_version, "
    "and give the classes that your Ingress objects name to primary_nginx_class and secondary_nginx_class",
}


class Settings:
    """The control plane's."""

    primary_ingress_class: Label = "traefik"
    """Its class, which is the default one, and that of its Gateway."""
    secondary_ingress_class: Label = "traefik-kn"
    """Class of the second controller."""
    primary_nginx_class: Label
    """Class of Ingress objects written for ingress-nginx, whose annotations the controller understands, too."""
    secondary_nginx_class: Label
    """Class of such objects for the second controller."""
    traefik_chart_version: ChartVersion = "41.3.0"
    """Version of the chart of both controllers."""
    gateway_api_manifest: ManifestSource = (
        "https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.5.1/standard-install.yaml"
    )
    """Where Gateway API comes from."""


def ingress_classes(task: Task) -> tuple[str, str]:
    first, second = (str(setting(task, name)) for name in CLASSES)
    return first, second


def nginx_classes(task: Task) -> tuple[str, str]:
    """The classes of Ingress objects that were written for ingress-nginx; empty for none."""
    first, second = (str(setting(task, name, "")) for name in NGINX_CLASSES)
    return first, second


def ingresses_are_apart(hosts: Hosts) -> Iterator[Mistake]:
    """What the two share, both answer for: an Ingress would be served on both addresses, or on neither."""
    for host in hosts.values():
        given = [name for name in (*CLASSES, *NGINX_CLASSES) if name in host.settings]
        for first, second in combinations(given, 2):
            if host.settings[first] == host.settings[second]:
                what = f"{first} and {second} are both {host.settings[first]}"
                yield Mistake(what, "give each its own", host.name, second)


def classes_are_not_the_addons(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        for name in (*CLASSES, *NGINX_CLASSES):
            value = host.settings.get(name, "")
            if value.startswith(_ADDONS):
                fix = f"MicroK8s' own addon ingress has class {_ADDONS}, and takes one that starts so for its own"
                yield Mistake(f"{name} {value} is taken", fix, host.name, name)


RULES = (ingresses_are_apart, classes_are_not_the_addons)
