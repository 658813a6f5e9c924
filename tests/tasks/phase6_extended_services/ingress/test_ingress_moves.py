"""Ingress where something was before: ingress-nginx of ours, Gateway API; and the options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from nornir.core.task import Result, Task

from tasks.lab import internet
from tasks.phase6_extended_services.ingress import traffic_checks as traffic
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tests.lab_cluster import LabCluster
from tests.tasks.phase6_extended_services.ingress.test_ingress import (
    BACKEND,
    COMPONENT,
    RIGHT,
    _no_time,
    lookups,
    published,
    ready,
)
from thinkube_nornir.component import Chain
from thinkube_nornir.errors import CheckFailed, CommandFailed, Refused
from thinkube_nornir.helm import Release, install_or_upgrade
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.outcome import Outcome, outcome_of

__all__ = ["_no_time"]  # a fixture for all of these tests
NGINX = "https://kubernetes.github.io/ingress-nginx"
SERVICE = ("v1", "Service")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LabCluster]:
    made = ready(tmp_path)
    yield made
    made.close()


def previous_release(role: str, namespace: str, class_name: str, address: str) -> Release:
    """As the former release of this project had it."""
    controller = {
        "electionID": f"{role}-ingress-ingress-nginx-leader",
        "ingressClassResource": {
            "name": class_name,
            "enabled": True,
            "default": role == "primary",
            "controllerValue": f"k8s.io/{role}-ingress-nginx",
        },
        "ingressClass": class_name,
        "service": {"type": "LoadBalancer", "loadBalancerIP": address},
    }
    return Release(f"{role}-ingress", namespace, "ingress-nginx", "4.13.3", NGINX, {"controller": controller})


PREVIOUS = (
    previous_release("primary", "ingress", "nginx", "192.168.191.200"),
    previous_release("secondary", "ingress-kn", "nginx-kn", "192.168.191.201"),
)


def set_up_before(cluster: LabCluster, *, ours: bool = True) -> None:
    """The cluster that a former release left: MetalLB, certificates, two ingress-nginx."""
    names = [step.name for step in COMPONENT.setup.steps]
    first = COMPONENT.setup.steps[: names.index("certificates_are_there") + 1]
    cluster.run(replace(COMPONENT, setup=Chain(first)))
    for release in PREVIOUS:

        def install(task: Task, wanted: Release = release) -> Result:
            return install_or_upgrade(task, DISTRIBUTION.HELM, wanted)

        result = cluster.machines["tkc"].apply(install, context=cluster.context("tkc"))
        assert result.exception is None
    if not ours:
        for change in cluster.change_log.changes():
            if change.key.startswith("helm:"):
                cluster.change_log.undone(change)


def red(results: dict[str, Result]) -> dict[str, str]:
    return {name: str(r.exception) for name, r in results.items() if r.exception}


def addresses(cluster: LabCluster) -> dict[str, str]:
    found = cluster.act(lambda: cluster.api.list(*SERVICE))
    given = {s["metadata"]["name"]: (s.get("status") or {}).get("loadBalancer", {}).get("ingress") for s in found}
    return {name: entries[0]["ip"] for name, entries in given.items() if entries}


def test_a_cluster_with_our_ingress_nginx_is_moved(cluster: LabCluster) -> None:
    """The plan shows it, no address changes, verify holds, an Ingress of class nginx is served as before."""
    set_up_before(cluster)
    cluster.add(published("Ingress", ingressClassName="nginx", defaultBackend=BACKEND))
    assert set(addresses(cluster).values()) == {"192.168.191.200", "192.168.191.201"}
    cluster.forget_history()

    promised = cluster.run(COMPONENT, dry_run=True)
    assert cluster.altering == []
    told = " ".join(str(promised[name].result) for name in promised if "primary" in name)
    assert "uninstall release primary-ingress" in told
    assert "install release primary-ingress: traefik 41.3.0" in told
    done = cluster.run(COMPONENT)

    planned = {name for name, r in promised.items() if outcome_of(r) is Outcome.PLANNED}
    assert planned == {name for name, r in done.items() if outcome_of(r) is Outcome.CHANGED}
    assert addresses(cluster) == {
        "primary-ingress-traefik": "192.168.191.200",
        "secondary-ingress-traefik": "192.168.191.201",
    }
    assert red(cluster.run(COMPONENT, "verify")) == {}
    assert not [name for name in cluster.objects() if "ingress-nginx" in name]
    assert {outcome_of(r) for r in cluster.run(COMPONENT).values()} == {Outcome.UNCHANGED}


def test_a_moved_cluster_is_rolled_back_to_nothing(cluster: LabCluster) -> None:
    """Neither the former controllers nor ours are left."""
    before = cluster.objects()
    set_up_before(cluster)
    cluster.run(COMPONENT)

    cluster.run(COMPONENT, "rollback")

    assert cluster.objects() == before


def test_a_cluster_that_was_never_moved_is_rolled_back(cluster: LabCluster) -> None:
    """Also by a release that knows Traefik only."""
    before = cluster.objects()
    set_up_before(cluster)

    cluster.run(COMPONENT, "rollback")

    assert cluster.objects() == before


@pytest.mark.parametrize("step", ["remove_previous_primary", "install_primary", "remove_previous_secondary"])
def test_a_move_that_was_killed_goes_on(cluster: LabCluster, step: str) -> None:
    """Between the two controllers nobody has the address: it is still free for the second one."""
    set_up_before(cluster)
    names = [s.name for s in COMPONENT.setup.steps]
    cluster.run(replace(COMPONENT, setup=Chain(COMPONENT.setup.steps[: names.index(step) + 1])))

    cluster.run(COMPONENT)

    assert red(cluster.run(COMPONENT, "verify")) == {}


def test_ingress_objects_that_nobody_would_serve_stop_the_move(tmp_path: Path) -> None:
    """Their class must be served by Traefik, too, and they are named before anything is removed."""
    cluster = ready(tmp_path, primary_nginx_class="other")
    try:
        set_up_before(cluster)
        cluster.add(published("Ingress", ingressClassName="nginx", defaultBackend=BACKEND))

        with pytest.raises(Refused, match="served by nobody") as caught:
            cluster.run(COMPONENT)

        assert "Ingress default/shop is of class nginx" in caught.value.why
        assert "primary_nginx_class" in caught.value.fix
        assert "primary-ingress-ingress-nginx-controller" in addresses(cluster)
    finally:
        cluster.close()


def test_a_release_of_others_with_our_name_is_left_alone(cluster: LabCluster) -> None:
    """It is not ours to uninstall."""
    set_up_before(cluster, ours=False)

    with pytest.raises(Refused, match="is not managed") as caught:
        cluster.run(COMPONENT)

    assert "ingress-nginx-4.13.3" in caught.value.why
    assert "primary-ingress-ingress-nginx-controller" in addresses(cluster)


def test_knative_is_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it there is one controller; switched off later, its controller goes, and its address is free."""
    cluster = ready(tmp_path)
    try:
        cluster.run(COMPONENT)
        for machine in cluster.machines.values():
            machine.settings = {**machine.settings, "knative": False}
        monkeypatch.setattr(traffic, "lookups_when", lookups({k: v for k, v in RIGHT.items() if ".kn." not in k}))

        cluster.run(COMPONENT)

        assert addresses(cluster) == {"primary-ingress-traefik": "192.168.191.200"}
        assert red(cluster.run(COMPONENT, "verify")) == {}
        assert {outcome_of(r) for r in cluster.run(COMPONENT).values()} == {Outcome.UNCHANGED}
    finally:
        cluster.close()


def test_a_pool_in_the_lan_needs_no_overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers and a router: the address is asked for from a host of the LAN."""
    cluster = ready(tmp_path, load_balancer_range="192.168.1.240-192.168.1.245", knative=False, zerotier_cidr=None)
    try:
        right = {"example.org": "192.168.1.240", "thinkube-probe.example.org": "192.168.1.240"}
        monkeypatch.setattr(traffic, "lookups_when", lookups(right))

        cluster.run(COMPONENT)

        assert addresses(cluster) == {"primary-ingress-traefik": "192.168.1.240"}
        assert red(cluster.run(COMPONENT, "verify")) == {}
    finally:
        cluster.close()


def test_an_address_of_the_lan_that_somebody_has_is_found_first(tmp_path: Path) -> None:
    """Before anything changes; our own service at the address is no stranger, and the overlay is ZeroTier's matter."""
    cluster = ready(tmp_path, load_balancer_range="192.168.1.240-192.168.1.245", knative=False)
    try:
        cluster.lab.state["other_machines"] = ["192.168.1.240"]
        error = cluster.run(COMPONENT, "preconditions")["addresses_are_nobodys"].exception
        assert isinstance(error, CheckFailed)
        assert "192.168.1.240 answers tkc's ping, and no service has it" in error.why
        assert "DHCP" in error.fix

        cluster.lab.state["other_machines"] = []
        assert red(cluster.run(COMPONENT, "preconditions")) == {}
        cluster.run(COMPONENT)
        cluster.lab.state["other_machines"] = ["192.168.1.240"]
        assert red(cluster.run(COMPONENT, "preconditions")) == {}
    finally:
        cluster.close()


def old_gateway_api() -> Object:
    names = {"kind": "Gateway", "plural": "gateways", "singular": "gateway", "listKind": "GatewayList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [{"name": "v1beta1", "served": True, "storage": True, "schema": schema}]
    spec = {"group": "gateway.networking.k8s.io", "scope": "Namespaced", "names": names, "versions": versions}
    metadata = {"name": "gateways.gateway.networking.k8s.io"}
    version = "apiextensions.k8s.io/v1"
    return {"apiVersion": version, "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}


def test_gateway_api_of_others_is_not_replaced(cluster: LabCluster) -> None:
    """One that Traefik cannot use is named, with the command that brings it up to date."""
    cluster.add(old_gateway_api())

    with pytest.raises(Refused, match="a release that Traefik cannot use") as caught:
        cluster.run(COMPONENT)

    assert "gateways.gateway.networking.k8s.io is served as v1beta1, not as v1" in caught.value.why
    assert "kubectl apply --server-side" in caught.value.fix


def test_gateway_api_that_is_there_is_used_and_stays(cluster: LabCluster) -> None:
    """Whoever brought it has it still after our rollback."""
    cluster.do(cluster.lab.call("tkc", "microk8s", "kubectl", "apply", "-f", MANIFEST))
    before = cluster.objects()

    results = cluster.run(COMPONENT)
    assert "install Gateway API" not in str(results["bring_definitions"].result)
    cluster.run(COMPONENT, "rollback")

    assert cluster.objects() == before


MANIFEST = "https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.5.1/standard-install.yaml"


def test_gateway_api_that_cannot_be_downloaded_is_told(tmp_path: Path) -> None:
    """With the setting that names another place."""
    cluster = ready(tmp_path, gateway_api_manifest="https://github.com/no-such.yaml")
    try:
        with pytest.raises(CommandFailed) as caught:
            cluster.run(COMPONENT)

        assert "404 Not Found" in caught.value.why
        assert "gateway_api_manifest" in caught.value.fix
    finally:
        cluster.close()


def test_a_download_that_the_network_refuses_is_tried_again(
    cluster: LabCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once unreachable is not unreachable."""
    answers = iter([False])
    monkeypatch.setattr(internet, "is_reached", lambda _, name: name != "github.com" or next(answers, True))

    cluster.run(COMPONENT)

    sent = [command for machine in cluster.machines.values() for command in machine.sent]
    assert len([command for command in sent if MANIFEST in command]) == 2


def test_another_release_of_traefik_brings_its_definitions(tmp_path: Path) -> None:
    """Helm leaves them as the first release brought them; what a newer Traefik watches would be missing."""
    cluster = ready(tmp_path, traefik_chart_version="41.2.0")
    middlewares = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "middlewares.traefik.io", "")
    try:
        cluster.run(COMPONENT)
        cluster.act(lambda: cluster.api.delete(*middlewares))
        for machine in cluster.machines.values():
            machine.settings = {**machine.settings, "traefik_chart_version": "41.3.0"}

        promised = cluster.run(COMPONENT, dry_run=True)
        assert "definitions to those of chart 41.3.0" in str(promised["update_own_definitions"].result)
        cluster.run(COMPONENT)

        assert cluster.get(*middlewares) is not None
        assert red(cluster.run(COMPONENT, "verify")) == {}
        assert {outcome_of(r) for r in cluster.run(COMPONENT).values()} == {Outcome.UNCHANGED}
    finally:
        cluster.close()


@pytest.mark.parametrize("kind", ["HTTPRoute", "IngressRoute"])
def test_what_disabling_the_addon_would_delete_is_named(cluster: LabCluster, kind: str) -> None:
    """It deletes the definitions, and with them everybody's objects."""
    cluster.do(cluster.lab.call("tkc", "microk8s", "enable", "ingress"))
    cluster.add(published(kind, **({"routes": []} if kind == "IngressRoute" else {"rules": []})))

    with pytest.raises(Refused, match="would delete what others made") as caught:
        cluster.run(COMPONENT)

    assert f"{kind} default/shop" in caught.value.why
    assert cluster.get(published(kind)["apiVersion"], kind, "shop", "default") is not None
