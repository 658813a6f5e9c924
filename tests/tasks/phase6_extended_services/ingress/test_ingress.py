"""MetalLB and the ingress controllers: each check's fault, second run, rollback, what is not ours."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tasks.lab.microk8s import addon_list
from tasks.phase6_extended_services import ingress
from tasks.phase6_extended_services.ingress import traffic
from tests.fake_host import Reply
from tests.lab_cluster import LabCluster, Place
from thinkube_nornir.command import Command
from thinkube_nornir.component import Chain
from thinkube_nornir.errors import CheckFailed, Refused, Unreachable
from thinkube_nornir.lab.kube.certificates import Authority
from thinkube_nornir.outcome import Outcome, outcome_of

COMPONENT = ingress.COMPONENT
AUTHORITY = Authority()
SETTINGS = {
    "load_balancer_range": "192.168.191.200-192.168.191.205",
    "knative": True,
    "primary_nginx_class": "nginx",
    "secondary_nginx_class": "nginx-kn",
    "traefik_chart_version": "41.3.0",
}
NAMES = ("example.org", "*.example.org", "*.kn.example.org")
PRIMARY, SECONDARY = "primary-ingress-traefik", "secondary-ingress-traefik"
POOL: Place = ("metallb.io/v1beta1", "IPAddressPool", "default-addresspool", "metallb-system")
ADVERTISEMENT: Place = ("metallb.io/v1beta1", "L2Advertisement", "default-advertise-all-pools", "metallb-system")
DEPLOYMENT: Place = ("apps/v1", "Deployment", PRIMARY, "ingress")
SERVICE: Place = ("v1", "Service", PRIMARY, "ingress")
NODE: Place = ("v1", "Node", "tkc.example.org", "")
SECRET: Place = ("v1", "Secret", "ingress-tls-secret", "ingress")
SPEAKER: Place = ("apps/v1", "DaemonSet", "speaker", "metallb-system")
DEFAULT = "ingressclass.kubernetes.io/is-default-class"

Break = Callable[[LabCluster], AbstractContextManager[Any]]


def tls(*names: str, authority: Authority = AUTHORITY) -> dict[str, str]:
    certificate, key = authority.server(names)
    parts = {"tls.crt": certificate, "tls.key": key, "ca.crt": authority.pem}
    return {name: base64.b64encode(part).decode() for name, part in parts.items()}


def ready(folder: Path, **settings: Any) -> LabCluster:
    """As phase 5 and cert_manager leave it."""
    made = LabCluster(folder, **{**SETTINGS, **settings})
    metadata = {"name": "example-org-tls", "namespace": "default"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls"}
    made.add(secret | {"data": tls(*NAMES)})
    return made


@pytest.fixture(autouse=True)
def _no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not answer at once never will here."""
    monkeypatch.setattr(traffic, "DEADLINE", 0.0)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LabCluster]:
    made = ready(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabCluster]:
    """Set up once: each test mends what it broke."""
    made = ready(tmp_path_factory.mktemp("ingress"))
    made.run(COMPONENT)
    yield made
    made.close()


def obj(place: Place, change: dict[str, Any] | None) -> Break:
    return lambda cluster: cluster.broken(place, change)


def arguments(change: Callable[[list[str]], list[str]]) -> Break:
    """Of the primary controller."""

    @contextmanager
    def broken(cluster: LabCluster) -> Iterator[None]:
        found = cluster.get(*DEPLOYMENT)
        assert found is not None
        containers = found["spec"]["template"]["spec"]["containers"]
        container = containers[0] | {"args": change(list(containers[0]["args"]))}
        with cluster.broken(DEPLOYMENT, {"spec": {"template": {"spec": {"containers": [container]}}}}):
            yield

    return broken


def image(place: Place, name: str) -> Break:
    """From a registry that nobody knows."""
    container = {"name": name, "image": "registry.invalid/x:1"}
    return obj(place, {"spec": {"template": {"spec": {"containers": [container]}}}})


EXCLUDED = {"metadata": {"labels": {"node.kubernetes.io/exclude-from-external-load-balancers": ""}}}


def addon(name: str, *, on: bool) -> Break:
    @contextmanager
    def broken(cluster: LabCluster) -> Iterator[None]:
        real = addon_list.enabled
        with patch.object(addon_list, "enabled", lambda node: real(node) | {name} if on else real(node) - {name}):
            yield

    return broken


@contextmanager
def outside_the_overlay(cluster: LabCluster) -> Iterator[None]:
    """The host that asks has lost its ZeroTier address."""
    host = cluster.lab.fakes["bcn2"]
    before, host.settings = host.settings, {**host.settings, "zerotier_ip": ""}
    yield
    host.settings = before


def ingress_class(name: str, controller: str = "k8s.io/other", *, default: bool = False) -> Break:
    change: dict[str, Any] = {"spec": {"controller": controller}}
    notes = {"metadata": {"annotations": {DEFAULT: "true"}}} if default else {}
    return obj(("networking.k8s.io/v1", "IngressClass", name, ""), change | notes)


CLASS: Place = ("networking.k8s.io/v1", "IngressClass", "traefik", "")
CLASS_KN: Place = ("networking.k8s.io/v1", "IngressClass", "traefik-kn", "")
NGINX: Place = ("networking.k8s.io/v1", "IngressClass", "nginx", "")
GATEWAY: Place = ("gateway.networking.k8s.io/v1", "Gateway", "traefik-gateway", "ingress")
GATEWAY_CLASS: Place = ("gateway.networking.k8s.io/v1", "GatewayClass", "traefik", "")
STORE: Place = ("traefik.io/v1alpha1", "TLSStore", "default", "ingress")
INSTANCE = "app.kubernetes.io/instance"


OPEN = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}


def definition(name: str) -> Place:
    return ("apiextensions.k8s.io/v1", "CustomResourceDefinition", name, "")


def listener(name: str, change: dict[str, Any] | None) -> Break:
    """Of the primary Gateway; None takes it away."""

    @contextmanager
    def broken(cluster: LabCluster) -> Iterator[None]:
        found = cluster.get(*GATEWAY)
        assert found is not None
        kept = [x for x in found["spec"]["listeners"] if x["name"] != name]
        own = next(x for x in found["spec"]["listeners"] if x["name"] == name)
        with cluster.broken(GATEWAY, {"spec": {"listeners": [*kept, *([own | change] if change else [])]}}):
            yield

    return broken


OTHER_ADVERTISEMENT: Place = (*ADVERTISEMENT[:2], "others", "metallb-system")

METALLB, OF_PRIMARY, OF_SECONDARY = (
    f"{name}_is_as_declared"
    for name in ("manifest_addresses_of_metallb", "release_primary_ingress", "release_secondary_ingress")
)
OFF: dict[str, Any] = {"spec": {"replicas": 0}}
NODES: dict[str, Any] = {"spec": {"nodeSelectors": [{"matchLabels": {"kubernetes.io/hostname": "tkw1"}}]}}
CONTROLLER: Place = ("apps/v1", "Deployment", "controller", "metallb-system")

REPAIRED: dict[str, list[Break]] = {
    METALLB: [
        obj(POOL, {"spec": {"addresses": ["192.168.191.200-192.168.191.210"]}}),
        obj(POOL, {"spec": {"addresses": ["192.168.191.200-192.168.191.205", "10.0.0.0/30"]}}),
        obj(POOL, None),
        obj(ADVERTISEMENT, {"spec": {"nodeSelectors": None}}),
        obj(ADVERTISEMENT, NODES),
        obj(ADVERTISEMENT, None),
    ],
    OF_PRIMARY: [
        obj(DEPLOYMENT, OFF),
        arguments(lambda args: [*args, args[1]]),
        arguments(lambda args: [a for a in args if "kubernetesgateway.labelSelector" not in a]),
        obj(SERVICE, {"spec": {"loadBalancerIP": "192.168.191.204"}}),
        obj(SERVICE, None),
        obj(CLASS, {"metadata": {"annotations": {DEFAULT: "false"}}}),
        obj(NGINX, None),
        obj(GATEWAY_CLASS, {"metadata": {"labels": {INSTANCE: "other"}}}),
        obj(GATEWAY_CLASS, None),
        obj(GATEWAY, None),
        obj(GATEWAY, {"spec": {"gatewayClassName": "traefik-kn"}}),
        listener("web", None),
        listener("websecure", {"port": 443}),
        obj(STORE, None),
        obj(STORE, {"spec": {"defaultCertificate": {"secretName": "other"}}}),
    ],
    OF_SECONDARY: [
        obj(("apps/v1", "Deployment", SECONDARY, "ingress-kn"), OFF),
        obj(("apps/v1", "Deployment", SECONDARY, "ingress-kn"), None),
        obj(CLASS_KN, None),
        obj(CLASS_KN, {"metadata": {"annotations": {DEFAULT: "true"}}}),
    ],
}
"""What a set-up repairs."""

FAULTS: dict[str, list[Break]] = {
    "addon_ingress_is_off": [addon("ingress", on=True)],
    "addon_metallb_is_on": [addon("metallb", on=False)],
    METALLB: [
        *REPAIRED[METALLB],
        obj(CONTROLLER, OFF),
        image(SPEAKER, "speaker"),
        image(CONTROLLER, "controller"),
        obj(SPEAKER, None),
    ],
    "control_plane_may_announce": [obj(NODE, EXCLUDED)],
    "nobody_else_announces": [
        obj(OTHER_ADVERTISEMENT, {"spec": {}}),
        obj(OTHER_ADVERTISEMENT, {"spec": {"ipAddressPoolSelectors": [{"matchLabels": {}}]}}),
    ],
    OF_PRIMARY: [
        *REPAIRED[OF_PRIMARY],
        obj(("v1", "Secret", "sh.helm.release.v1.primary-ingress.v1", "ingress"), None),
        image(DEPLOYMENT, PRIMARY),
    ],
    OF_SECONDARY: REPAIRED[OF_SECONDARY],
    "services_have_their_addresses": [
        obj(SERVICE, {"spec": {"loadBalancerIP": "192.168.191.204"}}),
        obj(SERVICE, {"spec": {"loadBalancerIP": "192.168.191.201"}}),
        obj(POOL, {"spec": {"addresses": ["192.168.191.202-192.168.191.205"]}}),
        obj(SERVICE, None),
    ],
    "no_other_class_is_the_default": [ingress_class("public"), ingress_class("other", default=True)],
    "definitions_are_there": [
        obj(definition("tlsroutes.gateway.networking.k8s.io"), None),
        obj(definition("middlewares.traefik.io"), None),
        obj(
            definition("grpcroutes.gateway.networking.k8s.io"),
            {"spec": {"versions": [{"name": "v1alpha2", "served": True, "storage": True, "schema": OPEN}]}},
        ),
    ],
    "gateways_are_programmed": [
        obj(GATEWAY, None),
        listener("websecure", {"tls": {"certificateRefs": [{"kind": "Secret", "name": "other"}]}}),
        obj(SECRET, {"data": {"tls.crt": ""}}),
        obj(SERVICE, {"spec": {"loadBalancerIP": "192.168.191.204"}}),
    ],
    "unknown_names_are_not_found": [
        obj(ADVERTISEMENT, None),
        obj(ADVERTISEMENT, {"spec": {"nodeSelectors": [{"matchLabels": {"kubernetes.io/hostname": "nobody"}}]}}),
        obj(SERVICE, None),
        obj(SERVICE, {"spec": {"selector": {"app": "nobody"}}}),
        obj(DEPLOYMENT, None),
        obj(DEPLOYMENT, OFF),
        obj(SECRET, {"data": tls("other.example.org")}),
        obj(SECRET, {"data": {"tls.crt": ""}}),
        obj(SECRET, None),
        outside_the_overlay,
    ],
    "each_way_answers_on_its_own_address": [
        arguments(lambda args: [a.replace("ingressClass=traefik", "ingressClass=x") for a in args]),
        arguments(lambda args: [a for a in args if "kubernetesingress.ingressClass" not in a]),
        arguments(lambda args: [a for a in args if "kubernetesingressnginx" not in a]),
        arguments(lambda args: [a.replace("primary-ingress-nginx", "secondary-ingress-nginx") for a in args]),
        arguments(lambda args: [a for a in args if "labelSelector" not in a]),
        arguments(lambda args: [a for a in args if "kubernetesgateway" not in a]),
        obj(CLASS_KN, None),
        obj(NGINX, None),
        obj(DEPLOYMENT, OFF),
        obj(GATEWAY_CLASS, {"metadata": {"labels": {INSTANCE: "other"}}}),
        listener("web", None),
        listener("websecure", {"allowedRoutes": {"namespaces": {"from": "Same"}}}),
        obj(definition("tlsroutes.gateway.networking.k8s.io"), None),
    ],
}


def test_every_check_has_a_fault() -> None:
    """A check that nobody has seen fail is no check."""
    assert FAULTS.keys() == {step.name for step in COMPONENT.verify.steps}


@pytest.mark.parametrize(
    ("check", "fault"), [pytest.param(c, f, id=f"{c}-{i}") for c, fs in FAULTS.items() for i, f in enumerate(fs)]
)
def test_check_fails_on_its_fault(shared: LabCluster, check: str, fault: Break) -> None:
    """Each check fails on the state it exists to catch, says what was seen and what to do, and holds before."""
    assert shared.check(COMPONENT, check).exception is None

    with fault(shared):
        error = shared.check(COMPONENT, check).exception

    assert isinstance(error, CheckFailed)
    assert error.why
    assert error.fix


def test_verify_holds_after_set_up_and_leaves_nothing(shared: LabCluster) -> None:
    """Green; a read-only run sends nothing that alters, and the probe server is gone with all that led to it."""
    before = shared.objects()
    shared.forget_history()

    results = shared.run(COMPONENT, "verify", read_only=True)

    assert {name: str(r.exception) for name, r in results.items() if r.exception} == {}
    assert shared.altering == []
    assert shared.objects().keys() == before.keys()


def test_second_run_changes_nothing(shared: LabCluster) -> None:
    """Set-up on a healthy system is silent."""
    before = shared.objects()

    results = shared.run(COMPONENT)

    assert {name: outcome_of(r) for name, r in results.items() if outcome_of(r) is not Outcome.UNCHANGED} == {}
    assert shared.objects() == before


@pytest.mark.parametrize("chain", ["setup", "rollback"])
def test_dry_run_writes_nothing(shared: LabCluster, chain: str) -> None:
    """A plan promises, on an installed system, too."""
    before = shared.objects()
    shared.forget_history()

    shared.run(COMPONENT, chain, dry_run=True)

    assert shared.altering == []
    assert shared.objects() == before


def test_a_plan_on_a_fresh_cluster_promises_what_set_up_then_does(cluster: LabCluster) -> None:
    """No promise that set-up does not keep, and none forgotten, but for what cannot be known before."""
    before = cluster.objects()

    promised = cluster.run(COMPONENT, dry_run=True)
    assert cluster.altering == []
    assert cluster.objects() == before
    done = cluster.run(COMPONENT)

    planned = {name for name, r in promised.items() if outcome_of(r) is Outcome.PLANNED}
    assert planned == {name for name, r in done.items() if outcome_of(r) is Outcome.CHANGED}


def test_set_up_then_rollback_leaves_the_cluster_as_it_was(cluster: LabCluster) -> None:
    """Objects, addons and records are as before; a second rollback has nothing to do."""
    before = cluster.objects()

    cluster.run(COMPONENT)
    cluster.run(COMPONENT, "rollback")

    assert cluster.objects() == before
    assert "metallb" not in addon_list.enabled(cluster.lab.hosts["tkc"].state["machine"].node)
    again = cluster.run(COMPONENT, "rollback")
    assert {outcome_of(r) for r in again.values()} == {Outcome.UNCHANGED}


def test_rollback_without_its_cluster_forgets_what_was_in_it(cluster: LabCluster) -> None:
    """Somebody removed MicroK8s: nothing can be taken back, and nothing stays recorded as ours."""
    cluster.run(COMPONENT)
    cluster.do(cluster.lab.call("tkc", "snap", "remove", "--purge", "microk8s"))

    cluster.run(COMPONENT, "rollback")

    assert [change.key for change in cluster.change_log.changes()] == []


def test_rollback_on_a_bare_host_is_silent(cluster: LabCluster) -> None:
    """Nothing of ours: nothing is asked of the cluster's load balancer, and nothing changes."""
    before = cluster.objects()

    results = cluster.run(COMPONENT, "rollback")

    assert {outcome_of(r) for r in results.values()} == {Outcome.UNCHANGED}
    assert cluster.objects() == before


@pytest.mark.slow
@pytest.mark.parametrize("step", [s.name for s in COMPONENT.setup.steps])
def test_killed_after_any_step_set_up_goes_on_and_rollback_restores(cluster: LabCluster, step: str) -> None:
    """A half-finished set-up is finished by the next run, and taken back as a whole."""
    before = cluster.objects()
    names = [s.name for s in COMPONENT.setup.steps]
    done = COMPONENT.setup.steps[: names.index(step) + 1]

    cluster.run(replace(COMPONENT, setup=Chain(done)))
    if len(done) % 2:
        cluster.run(COMPONENT)
        assert {n: str(r.exception) for n, r in cluster.run(COMPONENT, "verify").items() if r.exception} == {}
    cluster.run(COMPONENT, "rollback")

    assert cluster.objects() == before


@pytest.fixture
def older(tmp_path: Path) -> Iterator[LabCluster]:
    """MicroK8s 1.32, whose addon ingress is nginx."""
    made = ready(tmp_path, microk8s_channel="1.32/stable")
    yield made
    made.close()


@pytest.mark.parametrize("release", ["older", "cluster"])
def test_microk8s_own_ingress_is_put_aside_and_comes_back(release: str, request: pytest.FixtureRequest) -> None:
    """nginx, or from 1.35 Traefik: it takes its namespace along, with the certificate in it, which is brought again."""
    cluster: LabCluster = request.getfixturevalue(release)
    cluster.do(cluster.lab.call("tkc", "microk8s", "enable", "ingress"))
    before = cluster.objects()

    cluster.run(COMPONENT)
    assert {n: str(r.exception) for n, r in cluster.run(COMPONENT, "verify").items() if r.exception} == {}
    cluster.run(COMPONENT, "rollback")

    assert cluster.objects().keys() - {"v1/Secret/ingress/ingress-tls-secret"} == before.keys()
    assert "ingress" in addon_list.enabled(cluster.lab.hosts["tkc"].state["machine"].node)


def test_a_load_balancer_that_was_there_keeps_its_own_pool_after_rollback(cluster: LabCluster) -> None:
    """It is not enabled anew; its pool becomes ours and is put back."""
    cluster.do(cluster.lab.call("tkc", "microk8s", "enable", "metallb:192.168.191.210-192.168.191.220"))
    before = cluster.objects()

    results = cluster.run(COMPONENT)
    assert outcome_of(results["enable_metallb"]) is Outcome.UNCHANGED
    assert outcome_of(results["manifest_addresses_of_metallb"]) is Outcome.CHANGED
    cluster.run(COMPONENT, "rollback")

    assert cluster.objects() == before
    assert "metallb" in addon_list.enabled(cluster.lab.hosts["tkc"].state["machine"].node)


def load_balanced(name: str, **spec: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], **spec},
    }


def test_services_of_others_keep_their_addresses(cluster: LabCluster) -> None:
    """A pool that would take an address away is refused, with the service's name."""
    cluster.do(cluster.lab.call("tkc", "microk8s", "enable", "metallb:192.168.191.210-192.168.191.220"))
    cluster.add(load_balanced("web"))

    with pytest.raises(Refused, match="no place for") as caught:
        cluster.run(COMPONENT)

    assert "default/web has 192.168.191.210" in caught.value.why


def test_an_address_that_is_taken_is_told_before_helm_waits(cluster: LabCluster) -> None:
    """Helm would wait ten minutes, and end without saying why."""
    cluster.do(cluster.lab.call("tkc", "microk8s", "enable", "metallb:192.168.191.200-192.168.191.205"))
    cluster.add(load_balanced("web", loadBalancerIP="192.168.191.201"))

    with pytest.raises(Refused, match="no place for") as caught:
        cluster.run(COMPONENT)

    assert "default/web has 192.168.191.201" in caught.value.why
    assert not any("helm" in command and "upgrade" in command for command in cluster.altering)


def test_metallb_stays_while_a_service_of_others_needs_it(cluster: LabCluster) -> None:
    """The controllers go, MetalLB is left and says for whom; it goes with the next rollback."""
    cluster.run(COMPONENT)
    cluster.add(load_balanced("web"))

    results = cluster.run(COMPONENT, "rollback")

    assert "Service default/web has its address from it" in str(results["disable_metallb"].result)
    assert "metallb" in addon_list.enabled(cluster.lab.hosts["tkc"].state["machine"].node)
    cluster.act(lambda: cluster.api.delete("v1", "Service", "web", "default"))
    cluster.run(COMPONENT, "rollback")
    assert "metallb" not in addon_list.enabled(cluster.lab.hosts["tkc"].state["machine"].node)


def published(kind: str, **spec: Any) -> dict[str, Any]:
    version = "networking.k8s.io/v1" if kind == "Ingress" else "traefik.io/v1alpha1"
    version = "gateway.networking.k8s.io/v1" if kind in ("HTTPRoute", "Gateway") else version
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "shop", "namespace": "default"}, "spec": spec}


BACKEND = {"service": {"name": "shop", "port": {"number": 80}}}
PARENT = {"name": "traefik-gateway", "namespace": "ingress-kn"}
PUBLISHED = {
    "class": published("Ingress", ingressClassName="traefik-kn", defaultBackend=BACKEND),
    "class of nginx": published("Ingress", ingressClassName="nginx", defaultBackend=BACKEND),
    "no class": published("Ingress", defaultBackend=BACKEND),
    "route": published("HTTPRoute", parentRefs=[PARENT]),
    "gateway": published("Gateway", gatewayClassName="traefik-kn", listeners=[]),
    "own kind": published("IngressRoute", routes=[]),
}


@pytest.mark.parametrize("way", PUBLISHED)
def test_rollback_is_refused_while_others_publish_through_our_controllers(cluster: LabCluster, way: str) -> None:
    """What they published would be gone; nothing is touched."""
    cluster.run(COMPONENT)
    cluster.add(PUBLISHED[way])
    before = cluster.objects()

    with pytest.raises(Refused, match="in use") as caught:
        cluster.run(COMPONENT, "rollback")

    assert "default/shop" in caught.value.why
    assert cluster.objects() == before


def test_what_is_published_through_others_is_no_reason_to_stay(cluster: LabCluster) -> None:
    """Another Gateway, another class: they do not need us; their definitions stay, and are named."""
    cluster.run(COMPONENT)
    cluster.add(published("HTTPRoute", parentRefs=[{"name": "others", "namespace": "mesh"}]))
    cluster.add(published("Ingress", ingressClassName="others", defaultBackend=BACKEND))

    results = cluster.run(COMPONENT, "rollback")

    assert "httproutes.gateway.networking.k8s.io was left" in str(results["delete_definitions"].result)
    assert "default/shop" in str(results["delete_definitions"].result)
    left = {name.rpartition("/")[2] for name in cluster.objects() if "CustomResourceDefinition" in name}
    assert {name for name in left if "traefik" in name or "gateway" in name} == {"httproutes.gateway.networking.k8s.io"}


@pytest.mark.parametrize(
    ("check", "fault"), [pytest.param(c, f, id=f"{c}-{i}") for c, fs in REPAIRED.items() for i, f in enumerate(fs)]
)
def test_what_was_changed_by_hand_is_repaired(shared: LabCluster, check: str, fault: Break) -> None:
    """`run the set-up` is no empty promise: a plan shows the repair, and set-up makes that one alone."""
    step = check.removesuffix("_is_as_declared")
    with fault(shared):
        promised = shared.run(COMPONENT, dry_run=True)
        results = shared.run(COMPONENT)

        assert {name for name, r in promised.items() if outcome_of(r) is Outcome.PLANNED} == {step}
        assert {name for name, r in results.items() if outcome_of(r) is Outcome.CHANGED} == {step}
        assert shared.check(COMPONENT, check).exception is None


def test_metallb_that_was_scaled_down_is_scaled_up(shared: LabCluster) -> None:
    """Before its webhook is needed, and nothing beside it changes."""
    with shared.broken(CONTROLLER, OFF):
        results = shared.run(COMPONENT)

        assert {name for name, r in results.items() if outcome_of(r) is Outcome.CHANGED} == {"await_metallb"}
        assert shared.check(COMPONENT, METALLB).exception is None


def test_a_label_that_metallb_does_not_know_is_no_fault(older: LabCluster) -> None:
    """MetalLB 0.13.3, of MicroK8s 1.32, announces from a node that has it."""
    older.run(COMPONENT)
    with older.broken(NODE, EXCLUDED):
        assert older.check(COMPONENT, "control_plane_may_announce").exception is None
        assert older.check(COMPONENT, "unknown_names_are_not_found").exception is None


def test_requests_come_from_a_member_that_is_no_node(shared: LabCluster) -> None:
    """From nodes kube-proxy takes a short cut, which hides that nobody answers ARP."""
    shared.forget_history()

    shared.check(COMPONENT, "unknown_names_are_not_found")

    asked = [name for name, m in shared.machines.items() if any("curl" in command for command in m.sent)]
    assert asked == ["bcn2"]


def test_a_member_that_is_away_is_passed_over(shared: LabCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """One dead host does not make the check fail; all of them do, with each one's reason."""
    gone = Unreachable("no route to host")

    def away(command: Command) -> Reply:
        raise gone

    monkeypatch.setattr(shared.machines["bcn2"], "_answer", away)
    assert shared.check(COMPONENT, "unknown_names_are_not_found").exception is None

    monkeypatch.setattr(shared.machines["dns1"], "_answer", away)
    error = shared.check(COMPONENT, "unknown_names_are_not_found").exception
    assert isinstance(error, CheckFailed)
    assert "bcn2" in error.why
    assert "dns1" in error.why
