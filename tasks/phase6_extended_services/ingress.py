"""Ingress: addresses for HTTP(S) in the overlay, and two nginx controllers behind them.

setup     turns MicroK8s' own ingress off and MetalLB on, pins its announcements, installs both controllers
verify    looks at every object, then asks from a member of the overlay as people do, for each class
rollback  refuses while others' Ingress objects use our classes; else takes back what we installed

One controller serves all names, the other those of Knative; class, controller value and election keep them apart.
"""

from __future__ import annotations

from typing import Any

from nornir.core.task import Result, Task

from tasks.control_plane import CONTROL_PLANE, Object, kube, where_a_cluster_is
from tasks.kubernetes_distribution import DISTRIBUTION
from tasks.microk8s_facts import STATUS
from tasks.node_facts import HOSTNAME
from tasks.phase6_extended_services import _copies
from tasks.phase6_extended_services import _ingress_checks as checks
from tasks.phase6_extended_services import _leftovers as leftovers
from tasks.phase6_extended_services import _mending as mending
from tasks.phase6_extended_services import _metallb as metallb
from tasks.phase6_extended_services import _metallb_checks as metallb_checks
from tasks.phase6_extended_services._certificates import faults_of, secret_of
from tasks.phase6_extended_services._controllers import Controller, controllers, release_of
from thinkube_nornir.cluster import apply, wait
from thinkube_nornir.command import Fact
from thinkube_nornir.component import Component, chain
from thinkube_nornir.context import context
from thinkube_nornir.errors import CheckFailed, DeadlinePassed, Refused
from thinkube_nornir.helm import install_or_upgrade, releases
from thinkube_nornir.outcome import all_of, skipped, unchanged

_ADDRESS = 120.0  # seconds


def turn_addon_ingress_off(task: Task) -> Result:
    return DISTRIBUTION.addon_off(task, checks.ADDON)


def bring_certificates(task: Task) -> Result:
    """They are there, unless MicroK8s' own ingress took its namespace along, with all that was in it."""
    return all_of(task, _copies.create_namespaces(task), _copies.copy_certificate(task))


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


def write_tcp_services(task: Task) -> Result:
    """Empty: later components fill it."""
    api = kube(task)
    places = [{"name": c.tcp_services, "namespace": c.namespace} for c in controllers(task) if c.tcp_services]
    return all_of(task, *[apply(api, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": at}) for at in places])


def addresses_are_free(task: Task) -> Result:
    """Helm would wait for an address that another service has, and end without saying why.

    Raises:
        Refused: another service has it.
    """
    ours = {f"{c.namespace}/{c.workload}": c.address for c in controllers(task)}
    found = [(metallb.place(s), a) for s in metallb.load_balancer_services(kube(task)) for a in metallb.addresses_of(s)]
    taken = [f"Service {name} has {a}" for name, a in found if a in ours.values() and ours.get(name) != a]
    if taken:
        raise Refused(
            "an ingress controller's address is taken",
            why="\n".join(taken),
            fix="give that service another address (spec.loadBalancerIP), then run again",
        )
    return unchanged(task, f"{' and '.join(ours.values())} are ours to take")


def install_primary(task: Task) -> Result:
    return install_or_upgrade(task, DISTRIBUTION.HELM, release_of(task, controllers(task)[0]))


def install_secondary(task: Task) -> Result:
    others = controllers(task)[1:]
    if not others:
        return unchanged(task, "Knative is off: one controller serves all names")
    return install_or_upgrade(task, DISTRIBUTION.HELM, release_of(task, others[0]))


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
    title="MetalLB and ingress controllers",
    number=20,
    group=CONTROL_PLANE,
    needs=("phase5.coredns", "phase6.cert_manager"),
    settings=(
        "domain_name",
        "load_balancer_range",
        "primary_ingress_class",
        "secondary_ingress_class",
        "ingress_nginx_chart_version",
        "acme_issuer",
    ),
    setup=chain(
        turn_addon_ingress_off,
        metallb.turn_metallb_on,
        metallb.await_metallb,
        metallb.set_pool,
        metallb.announce_from_control_plane,
        bring_certificates,
        certificates_are_there,
        write_tcp_services,
        addresses_are_free,
        install_primary,
        install_secondary,
        mending.mend_controllers,
        await_addresses,
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
        checks.certificates_are_valid,
        checks.health_endpoints_answer,
        checks.unknown_names_get_the_default_certificate,
        checks.each_class_answers_on_its_own_address,
        checks.names_lead_to_their_controllers,
        facts=checks.facts,
    ),
    rollback=chain(
        *map(
            where_a_cluster_is,
            (
                leftovers.refuse_while_classes_are_used,
                leftovers.uninstall_controllers,
                leftovers.remove_what_helm_leaves,
                leftovers.remove_tcp_services,
                _copies.remove_namespaces,
                metallb.give_metallb_back,
                turn_addon_ingress_on_again,
            ),
        ),
    ),
)
