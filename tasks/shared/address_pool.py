"""The addresses that services get from the load balancer, and which of them are the ingresses'.

A pool is a range of the LAN or of the overlay: `192.168.1.240-192.168.1.245`. The ingresses have its first addresses
unless the inventory says otherwise; the second ingress, for Knative's names, is an option.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from nornir.core.task import Task

from thinkube_nornir.context import setting

RANGE = "load_balancer_range"
KNATIVE = "knative"
INGRESSES = ("primary_ingress_ip", "secondary_ingress_ip")


def ends(pool: str) -> tuple[IPv4Address, IPv4Address]:
    """
    >>> ends("192.168.1.240-192.168.1.245")
    (IPv4Address('192.168.1.240'), IPv4Address('192.168.1.245'))

    Raises:
        ValueError: no such range.
    """
    first, _, last = pool.partition("-")
    return IPv4Address(first.strip()), IPv4Address(last.strip())


def ingresses_in(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Address of the primary ingress, then that of Knative's when it is on.

    >>> ingresses_in({"load_balancer_range": "192.168.1.240-192.168.1.245"})
    ('192.168.1.240',)
    >>> ingresses_in({"load_balancer_range": "10.0.0.7-10.0.0.9", "knative": True, "secondary_ingress_ip": "10.0.0.9"})
    ('10.0.0.7', '10.0.0.9')
    """
    first, _ = ends(settings[RANGE])
    names = INGRESSES if settings.get(KNATIVE) else INGRESSES[:1]
    return tuple(str(settings.get(name) or first + position) for position, name in enumerate(names))


def ingress_addresses(task: Task) -> tuple[str, ...]:
    """The primary ingress, and the second one when Knative is on."""
    given = {name: setting(task, name, None) for name in (KNATIVE, *INGRESSES)}
    return ingresses_in({RANGE: setting(task, RANGE), **given})


def pool_is_in_overlay(task: Task) -> bool:
    overlay = setting(task, "zerotier_cidr", None)
    return overlay is not None and ends(setting(task, RANGE))[0] in IPv4Network(overlay)


def knative(task: Task) -> bool:
    """Whether names below kn.<domain> have an ingress of their own."""
    return bool(setting(task, KNATIVE))
