"""Ingress where something was before: ingress-nginx of ours, Gateway API; and the options."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nornir.core.task import Result, Task

from tasks.lab import internet
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tests.lab_cluster import LabCluster
from tests.tasks.phase6_extended_services.ingress.test_ingress import (
    BACKEND,
    COMPONENT,
    _no_time,
    published,
    ready,
)
from thinkube_nornir.errors import CheckFailed, CommandFailed, HoldsForeign, Refused
from thinkube_nornir.helm import Release, install_or_upgrade
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.permission import Permission

__all__ = ["_no_time"]  # a fixture for all of these tests
NGINX = "https://kubernetes.github.io/ingress-nginx"
SERVICE = ("v1", "Service")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LabCluster]:
    made = ready(tmp_path)
    yield made
    made.close()


def red(results: dict[str, Result]) -> dict[str, str]:
    return {name: str(r.exception) for name, r in results.items() if r.exception}


def addresses(cluster: LabCluster) -> dict[str, str]:
    found = cluster.act(lambda: cluster.api.list(*SERVICE))
    given = {s["metadata"]["name"]: (s.get("status") or {}).get("loadBalancer", {}).get("ingress") for s in found}
    return {name: entries[0]["ip"] for name, entries in given.items() if entries}


def test_a_release_of_others_with_our_name_is_left_alone(cluster: LabCluster) -> None:
    """It is not ours to upgrade into another chart; it is named before the first change."""
    values = {"controller": {"service": {"type": "ClusterIP"}}}
    theirs = Release("primary-ingress", "ingress", "ingress-nginx", "4.13.3", NGINX, values)
    cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ingress"}})

    def install(task: Task) -> Result:
        return install_or_upgrade(task, DISTRIBUTION.HELM, theirs)

    assert cluster.machines["tkc"].apply(install, context=cluster.context("tkc")).exception is None
    before = cluster.objects()

    with pytest.raises(Refused, match="has the name of our ingress controller") as caught:
        cluster.run(COMPONENT)

    assert "ingress-nginx-4.13.3" in caught.value.why
    assert cluster.objects() == before


def test_knative_is_an_option(tmp_path: Path) -> None:
    """Switched off later, its controller goes, unless others publish through it, and its address is free."""
    cluster = ready(tmp_path)
    try:
        cluster.run(COMPONENT)
        for machine in cluster.machines.values():
            machine.settings = {**machine.settings, "knative": False}
        cluster.add(published("Ingress", ingressClassName="traefik-kn", defaultBackend=BACKEND))
        with pytest.raises(Refused, match="in use"):
            cluster.run(COMPONENT)
        cluster.act(lambda: cluster.api.delete("networking.k8s.io/v1", "Ingress", "shop", "default"))

        cluster.run(COMPONENT)

        assert addresses(cluster) == {"primary-ingress-traefik": "192.168.191.200"}
        assert red(cluster.run(COMPONENT, "verify")) == {}
        assert {outcome_of(r) for r in cluster.run(COMPONENT).values()} == {Outcome.UNCHANGED}
    finally:
        cluster.close()


def test_a_pool_in_the_lan_needs_no_overlay(tmp_path: Path) -> None:
    """Two servers and a router: the address is asked for from a host of the LAN."""
    cluster = ready(tmp_path, load_balancer_range="192.168.1.240-192.168.1.245", knative=False, zerotier_cidr=None)
    try:
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
    assert "install Gateway API" not in str(results["install_gateway_api"].result)
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
        assert "update middlewares.traefik.io" in str(promised["update_own_definitions"].result)
        cluster.run(COMPONENT)

        assert cluster.get(*middlewares) is not None
        assert red(cluster.run(COMPONENT, "verify")) == {}
        assert {outcome_of(r) for r in cluster.run(COMPONENT).values()} == {Outcome.UNCHANGED}
    finally:
        cluster.close()


def _of_operator(kind: str, name: str = "mine", **more: Any) -> Object:
    version = {"Deployment": "apps/v1", "IPAddressPool": "metallb.io/v1beta1"}.get(kind, "v1")
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **more.pop("metadata", {})}, **more}


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
POD = {"metadata": {"labels": {"app": "mine"}}, "spec": {"containers": [{"name": "a", "image": "busybox"}]}}
OF_OPERATOR = {
    "workload": _of_operator("Deployment", spec={"selector": {"matchLabels": {"app": "mine"}}, "template": POD}),
    "claim": _of_operator("PersistentVolumeClaim", spec=CLAIM),
    "map": _of_operator("ConfigMap", data={"a": "b"}),
    "secret": _of_operator("Secret", data={}),
}


def placed(obj: Object, namespace: str) -> Object:
    return obj | {"metadata": {**obj["metadata"], "namespace": namespace}}


@pytest.mark.parametrize("kind", ["HTTPRoute", "IngressRoute"])
def test_what_disabling_the_addon_would_delete_is_named(cluster: LabCluster, kind: str) -> None:
    """It deletes the definitions, and with them everybody's objects, in a dry run as well."""
    cluster.do(cluster.lab.call("tkc", "microk8s", "enable", "ingress"))
    cluster.add(published(kind, **({"routes": []} if kind == "IngressRoute" else {"rules": []})))

    for dry_run in (True, False):
        with pytest.raises(HoldsForeign, match="addon ingress holds what is not managed") as caught:
            cluster.run(COMPONENT, dry_run=dry_run)
        assert f"{kind} default/shop" in caught.value.why

    assert cluster.get(published(kind)["apiVersion"], kind, "shop", "default") is not None


@pytest.mark.parametrize("channel", ["1.32/stable", "1.35/stable"])
def test_what_lies_in_the_addons_namespace_is_named_and_goes_by_name_alone(tmp_path: Path, channel: str) -> None:
    """The addon takes its namespace along; what the addon itself and cert_manager have put there is no obstacle."""
    cluster = ready(tmp_path, microk8s_channel=channel)
    try:
        cluster.do(cluster.lab.call("tkc", "microk8s", "enable", "ingress"))
        for obj in OF_OPERATOR.values():
            cluster.add(placed(obj, "ingress"))

        with pytest.raises(HoldsForeign) as caught:
            cluster.run(COMPONENT)

        names = caught.value.why.splitlines()
        assert set(names) == {f"{obj['kind']} ingress/mine" for obj in OF_OPERATOR.values()}
        assert cluster.altering == []
        results = cluster.run(COMPONENT, permission=Permission(tuple(names)))
        assert outcome_of(results["disable_addon_ingress"]) is Outcome.CHANGED
    finally:
        cluster.close()


@pytest.mark.parametrize("what", [*OF_OPERATOR, "pool"])
def test_metallb_stays_while_others_have_something_in_it(cluster: LabCluster, what: str) -> None:
    """It would take their workloads and pools along; it is said, foreseen in a dry run, and goes when they are gone."""
    pool = _of_operator("IPAddressPool", spec={"addresses": ["10.0.0.1-10.0.0.2"]})
    obj = placed(OF_OPERATOR.get(what, pool), "metallb-system")
    cluster.run(COMPONENT)
    cluster.add(obj)

    for dry_run in (True, False):
        results = cluster.run(COMPONENT, "rollback", dry_run=dry_run)
        assert f"{obj['kind']} metallb-system/mine would go with it" in str(results["disable_metallb"].result)
    assert cluster.get(obj["apiVersion"], obj["kind"], "mine", "metallb-system") is not None
    cluster.act(lambda: cluster.api.delete(obj["apiVersion"], obj["kind"], "mine", "metallb-system"))
    assert outcome_of(cluster.run(COMPONENT, "rollback")["disable_metallb"]) is Outcome.CHANGED
