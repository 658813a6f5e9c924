"""MicroK8s' own ingress, which wants the same ports and classes: it is turned off, and on again at a rollback."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.addresses import place
from tasks.phase6_extended_services.ingress.definitions import definitions
from tasks.shared.cluster.control_plane import Object, expect, kube, name_of
from tasks.shared.cluster.definitions import objects_of
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from thinkube_nornir.cluster import Cluster, foreign_in_namespace
from thinkube_nornir.fixes import set_up
from thinkube_nornir.foreign import Foreign, refuse_foreign
from thinkube_nornir.outcome import passed

_ADDON = "ingress"
_NAMESPACE = "ingress"
_OF_ADDON = tuple(f"nginx-{rest}" for rest in ("ingress-microk8s", "ingress-tcp-", "ingress-udp-", "load-balancer-"))


def disable_addon_ingress(task: Task) -> Result:
    """
    Raises:
        HoldsForeign: it would take others' objects along.
    """
    if DISTRIBUTION.addon_is_on(task, _ADDON):
        refuse_foreign(task, f"addon {_ADDON}", _others_in_addon(kube(task)))
    return DISTRIBUTION.addon_off(task, _ADDON)


def _others_in_addon(api: Cluster) -> list[Foreign]:
    """What its namespace holds of others; from 1.35 also all objects of Traefik's kinds and of Gateway API's.

    Source: canonical/microk8s-core-addons@1.34 addons/ingress/ingress.yaml
    Source: canonical/microk8s-core-addons@1.35 addons/ingress/disable
    """
    inside = foreign_in_namespace(api, _NAMESPACE, belongs=_is_of_addon)
    if api.get("apps/v1", "DaemonSet", "traefik", _NAMESPACE) is None:
        return inside
    objects = [obj for crd in definitions(api) for obj in objects_of(api, crd) if not _is_of_addon(obj)]
    return [*inside, *(Foreign(f"{obj['kind']} {place(obj)}") for obj in objects)]


def _is_of_addon(obj: Object) -> bool:
    """Not a map of its nginx that somebody wrote ports or settings into."""
    labels, notes = (obj["metadata"].get(part) or {} for part in ("labels", "annotations"))
    release = notes.get("meta.helm.sh/release-name") or (labels.get("owner") == "helm" and labels.get("name"))
    return release == "traefik" or (name_of(obj).startswith(_OF_ADDON) and not obj.get("data"))


def enable_addon_ingress_again(task: Task) -> Result:
    return DISTRIBUTION.addon_on_again(task, _ADDON)


def addon_ingress_is_off(task: Task) -> Result:
    why = "its class public and the nodes' ports 80 and 443 collide with Traefik's"
    expect(not DISTRIBUTION.addon_is_on(task, _ADDON), f"addon {_ADDON} is on", why=why, fix=set_up(task))
    return passed(task, f"addon {_ADDON} is off")
