"""Ingress: addresses for HTTP(S), and Traefik behind them, for Ingress objects and for routes of Gateway API.

setup     turns MicroK8s' own ingress off and MetalLB on, pins its announcements, installs the controllers
verify    looks at every object, then asks as people do, for each class and each Gateway
rollback  refuses while others publish through our controllers; else rolls back what was installed

One controller serves all names, a second one, with `knative: true`, those of Knative.
"""

from __future__ import annotations

from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.cert_manager.resources import COPIES, NAMESPACES
from tasks.phase6_extended_services.ingress import addon, addresses, checks, definitions, metallb, traffic, usage
from tasks.phase6_extended_services.ingress.controllers import (
    GATEWAY,
    GATEWAY_KIND,
    PRIMARY,
    REPOSITORY,
    SECONDARY,
    Controller,
    controllers,
    status_faults,
)
from tasks.shared.cluster.control_plane import CONTROL_PLANE, Object, kube, where_a_cluster_is
from tasks.shared.hosts.network_requirements import sources_answer
from tasks.shared.hosts.node_facts import HOSTNAME
from tasks.shared.microk8s.facts import STATUS
from thinkube_nornir.cluster import wait
from thinkube_nornir.command import Fact
from thinkube_nornir.component import Component, chain, here, step
from thinkube_nornir.context import context
from thinkube_nornir.outcome import all_of, skipped, unchanged

SOURCES = sources_answer(REPOSITORY, "quay.io")
"""Traefik's images are docker.io's, as MicroK8s' own; MetalLB's are not."""

_PROGRAMMED = 60.0  # seconds from the pod's start until it has read the cluster and written what it found


def copy_certificates(task: Task) -> Result:
    """They are there, unless MicroK8s' own ingress took its namespace along, with all that was in it."""
    return all_of(task, NAMESPACES.set_up(task), COPIES.set_up(task))


def remove_certificates(task: Task) -> Result:
    """Those that `copy_certificates` brought again."""
    return all_of(task, COPIES.roll_back(task), NAMESPACES.roll_back(task))


def await_gateways(task: Task) -> Result:
    api, kind = kube(task), GATEWAY_KIND
    waiting = [c for c in controllers(task) if status_faults(c, api.get(*kind, GATEWAY, c.namespace))]
    if waiting and context(task).dry_run:
        return skipped(task, "a dry run does not wait for Gateways")
    for c in waiting:

        def programmed(found: Object | None, c: Controller = c) -> bool:
            return not status_faults(c, found)

        what = f"Gateway {c.namespace}/{GATEWAY} to be programmed"
        wait(api, *kind, GATEWAY, c.namespace, condition=programmed, what=what, timeout=_PROGRAMMED)
    return unchanged(task, "the Gateways are programmed")


def _facts(_: Task) -> tuple[Fact[Any], ...]:
    return HOSTNAME, STATUS


COMPONENT = Component(
    title="MetalLB and Traefik",
    number=20,
    group=CONTROL_PLANE,
    needs=(here("phase5.coredns"), "phase6.cert_manager"),
    settings=("domain_name", "load_balancer_range", "traefik_chart_version", "acme_issuer"),
    preconditions=chain(step(SOURCES, early=True), step(addresses.addresses_are_nobodys, early=True)),
    setup=chain(
        usage.release_names_are_free,
        addon.disable_addon_ingress,
        metallb.enable_metallb,
        metallb.await_metallb,
        addresses.keep_addresses_of_others,
        metallb.ADDRESSES,
        copy_certificates,
        definitions.note_definitions,
        definitions.install_gateway_api,
        definitions.update_own_definitions,
        PRIMARY,
        SECONDARY,
        await_gateways,
        facts=_facts,
    ),
    verify=chain(
        addon.addon_ingress_is_off,
        metallb.addon_metallb_is_on,
        metallb.ADDRESSES,
        metallb.control_plane_may_announce,
        metallb.nobody_else_announces,
        definitions.definitions_are_there,
        PRIMARY,
        SECONDARY,
        checks.services_have_their_addresses,
        checks.no_other_class_is_the_default,
        checks.gateways_are_programmed,
        traffic.unknown_names_are_not_found,
        traffic.each_way_answers_on_its_own_address,
        facts=_facts,
    ),
    rollback=chain(
        where_a_cluster_is(usage.refuse_while_controllers_are_used),
        SECONDARY,
        PRIMARY,
        *map(where_a_cluster_is, (definitions.delete_definitions, remove_certificates)),
        metallb.ADDRESSES,
        *map(where_a_cluster_is, (metallb.disable_metallb, addon.enable_addon_ingress_again)),
    ),
)
