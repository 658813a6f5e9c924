"""Ingress: addresses for HTTP(S), and Traefik behind them, for Ingress objects and for routes of Gateway API.

setup     turns MicroK8s' own ingress off and MetalLB on, pins its announcements, installs the controllers
verify    looks at every object, then asks as people do, for each class and each Gateway
rollback  refuses while others publish through our controllers; else takes back what we installed

One controller serves all names, a second one, with `knative: true`, those of Knative. A cluster that has the
ingress-nginx of a former release of this project is moved: addresses and the class nginx stay.
"""

from __future__ import annotations

from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.cert_manager.resources import COPIES, NAMESPACES
from tasks.phase6_extended_services.ingress import checks, definitions, metallb, metallb_checks
from tasks.phase6_extended_services.ingress import gateway_checks as gateways
from tasks.phase6_extended_services.ingress import previous as previous
from tasks.phase6_extended_services.ingress import repair as repair
from tasks.phase6_extended_services.ingress import rollback as leftovers
from tasks.phase6_extended_services.ingress import traffic_checks as traffic
from tasks.phase6_extended_services.ingress.addresses import addresses_are_nobodys
from tasks.phase6_extended_services.ingress.certificates import faults_of, secret_of
from tasks.phase6_extended_services.ingress.controller import REPOSITORY, Controller, controllers, release_of
from tasks.shared.cluster.control_plane import CONTROL_PLANE, Object, kube, name_of, where_a_cluster_is
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.cluster.workloads import look_into
from tasks.shared.hosts.network_requirements import sources_answer
from tasks.shared.hosts.node_facts import HOSTNAME
from tasks.shared.microk8s.facts import STATUS
from thinkube_nornir.cluster import wait
from thinkube_nornir.command import Fact
from thinkube_nornir.component import Component, chain, here, step
from thinkube_nornir.context import context
from thinkube_nornir.errors import CheckFailed, DeadlinePassed, Refused
from thinkube_nornir.helm import install_or_upgrade, releases
from thinkube_nornir.outcome import all_of, changed, skipped, unchanged

SOURCES = sources_answer(REPOSITORY, "quay.io")
"""Traefik's images are docker.io's, as MicroK8s' own; MetalLB's are not."""

_ADDRESS = 120.0  # seconds


def turn_addon_ingress_off(task: Task) -> Result:
    """
    Raises:
        Refused: it would take others' objects along.
    """
    if DISTRIBUTION.addon_is_on(task, checks.ADDON):
        _addon_takes_nothing_along(task)
    return DISTRIBUTION.addon_off(task, checks.ADDON)


def _addon_takes_nothing_along(task: Task) -> None:
    """From 1.35 the addon is Traefik, and disabling it deletes the definitions of Traefik and Gateway API.

    Source: canonical/microk8s-core-addons@1.35 addons/ingress/disable
    """
    api = kube(task)
    if api.get("apps/v1", "DaemonSet", "traefik", "ingress") is None:
        return
    lost = [o for crd in definitions.definitions(api) for o in definitions.objects_of(api, crd) if not _addons(o)]
    if lost:
        raise Refused(
            "disabling addon ingress would delete what others made",
            why="\n".join(f"{o['kind']} {o['metadata'].get('namespace', '')}/{name_of(o)}" for o in lost),
            fix="save them (`kubectl get ... -o yaml`), delete them, run again, then apply them anew",
        )


def _addons(obj: Object) -> bool:
    return (obj["metadata"].get("annotations") or {}).get("meta.helm.sh/release-name") == "traefik"


def bring_certificates(task: Task) -> Result:
    """They are there, unless MicroK8s' own ingress took its namespace along, with all that was in it."""
    return all_of(task, NAMESPACES.set_up(task), COPIES.set_up(task))


def remove_namespaces(task: Task) -> Result:
    """Those that came back by `bring_certificates`."""
    return all_of(task, COPIES.roll_back(task), NAMESPACES.roll_back(task))


def certificates_are_there(task: Task) -> Result:
    """A controller without one starts, and serves a fake certificate."""
    wrong = {c: faults_of(secret_of(task, c), c.domain) for c in controllers(task)}
    told = [f"{c.namespace}/{c.secret}: {fault}" for c, faults in wrong.items() for fault in faults]
    if told and context(task).dry_run:
        return skipped(task, f"a dry run does not wait for certificates: {'; '.join(told)}")
    if told:
        raise CheckFailed(
            "not every controller has a certificate",
            why="\n".join(told),
            fix="run phase6.cert_manager, which copies the certificate into both namespaces",
        )
    return unchanged(task, "both namespaces have a certificate")


def addresses_are_free(task: Task) -> Result:
    """Helm would wait for an address that another service has, and end without saying why.

    Raises:
        Refused: another service has it.
    """
    names = [(c, name) for c in controllers(task) for name in (c.workload, previous.workload(c.role))]
    ours = {f"{c.namespace}/{name}": c.address for c, name in names}
    found = [(metallb.place(s), a) for s in metallb.load_balancer_services(kube(task)) for a in metallb.addresses_of(s)]
    taken = [f"Service {name} has {a}" for name, a in found if a in ours.values() and ours.get(name) != a]
    if taken:
        raise Refused(
            "an ingress controller's address is taken",
            why="\n".join(taken),
            fix="give that service another address (spec.loadBalancerIP), then run again",
        )
    return unchanged(task, f"{' and '.join(c.address for c in controllers(task))} are ours to take")


def install_primary(task: Task) -> Result:
    return _install(task, controllers(task)[0])


def install_secondary(task: Task) -> Result:
    others = controllers(task)[1:]
    return _install(task, others[0]) if others else unchanged(task, "Knative is off: one controller serves all names")


def _install(task: Task, controller: Controller) -> Result:
    release = release_of(task, controller)
    if context(task).dry_run and previous.in_the_way(task, controller.role):
        return changed(task, f"install release {release.name}: {release.chart} {release.version}", planned=True)
    return install_or_upgrade(task, DISTRIBUTION.HELM, release, look=look_into(task, release.namespace))


def await_addresses(task: Task) -> Result:
    api = kube(task)
    for c in controllers(task):
        found = api.get("v1", "Service", c.workload, c.namespace)
        if _has_address(found, c):
            continue
        if context(task).dry_run:
            return skipped(task, f"a dry run does not wait for {c} to get {c.address}")
        _await_address(task, c)
    return unchanged(task, ", ".join(f"{c} has {c.address}" for c in controllers(task)))


def _await_address(task: Task, controller: Controller) -> None:
    try:
        wait(
            kube(task),
            *("v1", "Service", controller.workload, controller.namespace),
            condition=lambda found: _has_address(found, controller),
            what=f"{controller} to get {controller.address}",
            timeout=_ADDRESS,
        )
    except DeadlinePassed as error:
        why = f"{error.why}{checks.events(task, controller)}"
        fix = "the pool must hold the address, and no other service may have it"
        raise DeadlinePassed(error.what, why=why, fix=fix) from error


def _has_address(service: Object | None, controller: Controller) -> bool:
    return metallb.addresses_of(service or {}) == [controller.address]


def turn_addon_ingress_on_again(task: Task) -> Result:
    return DISTRIBUTION.addon_on_again(task, checks.ADDON)


def _setup_facts(_: Task) -> tuple[Fact[Any], ...]:
    return HOSTNAME, STATUS, releases(DISTRIBUTION.HELM)


COMPONENT = Component(
    title="MetalLB and Traefik",
    number=20,
    group=CONTROL_PLANE,
    needs=(here("phase5.coredns"), "phase6.cert_manager"),
    settings=(
        "domain_name",
        "load_balancer_range",
        "traefik_chart_version",
        "acme_issuer",
    ),
    preconditions=chain(step(SOURCES, early=True), step(addresses_are_nobodys, early=True)),
    setup=chain(
        turn_addon_ingress_off,
        metallb.turn_metallb_on,
        metallb.await_metallb,
        metallb.set_pool,
        metallb.announce_from_control_plane,
        bring_certificates,
        certificates_are_there,
        definitions.bring_definitions,
        definitions.update_own_definitions,
        addresses_are_free,
        previous.previous_controllers_may_go,
        previous.remove_previous_primary,
        install_primary,
        previous.remove_previous_secondary,
        install_secondary,
        repair.repair_controllers,
        await_addresses,
        gateways.await_gateways,
        facts=_setup_facts,
    ),
    verify=chain(
        checks.addon_ingress_is_off,
        metallb_checks.addon_metallb_is_on,
        metallb_checks.metallb_is_ready,
        metallb_checks.pool_is_exact,
        metallb_checks.control_plane_may_announce,
        metallb_checks.control_plane_alone_announces,
        checks.releases_are_as_wanted,
        checks.controllers_are_available,
        checks.controllers_have_their_arguments,
        checks.services_have_their_addresses,
        checks.classes_are_right,
        definitions.definitions_are_there,
        gateways.gateway_classes_are_accepted,
        gateways.gateways_are_programmed,
        gateways.default_certificates_are_set,
        checks.certificates_are_valid,
        traffic.addresses_answer,
        traffic.unknown_names_get_the_default_certificate,
        traffic.each_class_answers_on_its_own_address,
        traffic.each_gateway_answers_on_its_own_address,
        traffic.names_lead_to_their_controllers,
        facts=checks.facts,
    ),
    rollback=chain(
        *map(
            where_a_cluster_is,
            (
                leftovers.refuse_while_classes_are_used,
                leftovers.uninstall_controllers,
                leftovers.remove_what_helm_leaves,
                definitions.delete_definitions,
                remove_namespaces,
                metallb.give_metallb_back,
                turn_addon_ingress_on_again,
            ),
        ),
    ),
)
