"""What checks, waits and rollbacks ask the API for exists in upstream's manifests, or is made by what we deploy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.product_objects import Recording
from tests.upstream.catalogue import Catalogue, Question, questions, upstreams_objects
from tests.upstream_data import Object

pytestmark = [pytest.mark.lab, pytest.mark.slow]

_DAEMON_SETS = {
    "gpu-feature-discovery": "gpu-feature-discovery",
    "nvidia-container-toolkit-daemonset": "state-container-toolkit",
    "nvidia-device-plugin-daemonset": "state-device-plugin",
    "nvidia-driver-daemonset": "state-driver",
    "nvidia-operator-validator": "state-operator-validation",
}
_DEFINITIONS = ("nodefeaturegroups", "nodefeaturerules", "nodefeatures")
_NFD = "NVIDIA/gpu-operator@v25.10.1 deployments/gpu-operator/charts/node-feature-discovery/crds/nfd-api-crds.yaml"
_TLS_STORE = "traefik/traefik-helm-chart@v41.3.0 traefik/templates/tlsstore.yaml, by the value tlsStore"
_GATEWAY_API = "kubernetes-sigs/gateway-api@v1.5.1 config/crd/standard"

MADE: dict[tuple[str, str, str], str] = {
    ("services", "default", "kubernetes"): "of every cluster",
    ("runtimeclasses.node.k8s.io", "", "nvidia"): "NVIDIA/gpu-operator@v25.10.1 assets/pre-requisites",
    **{
        ("daemonsets.apps", "gpu-operator", name): f"NVIDIA/gpu-operator@v25.10.1 assets/{state}/0500_daemonset.yaml"
        for name, state in _DAEMON_SETS.items()
    },
    **{("customresourcedefinitions.apiextensions.k8s.io", "", f"{n}.nfd.k8s-sigs.io"): _NFD for n in _DEFINITIONS},
    ("leases.coordination.k8s.io", "kube-system", "cert-manager-controller"): (
        "cert-manager/cert-manager@v1.20.3 cmd/controller/app/controller.go"
    ),
    ("leases.coordination.k8s.io", "kube-system", "cert-manager-cainjector-leader-election"): (
        "cert-manager/cert-manager@v1.20.3 cmd/cainjector/app/controller.go"
    ),
    ("secrets", "cert-manager", "cert-manager-webhook-ca"): (
        "cert-manager/cert-manager@v1.20.3 deploy/charts/cert-manager (--dynamic-serving-ca-secret-name)"
    ),
    **{("tlsstores.traefik.io", namespace, "default"): _TLS_STORE for namespace in ("ingress", "ingress-kn")},
    **{
        (f"{plural}.admissionregistration.k8s.io", "", "safe-upgrades.gateway.networking.k8s.io"): _GATEWAY_API
        for plural in ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    },
}
"""Objects that controllers and hooks make, and where that was read. A DaemonSet's pods have its name as label `app`."""

ABSENT = {
    "deployments.apps in gpu-operator-resources": "where operators of other installations were put: it must have none",
}


def test_all_that_is_asked_for_exists_upstream(recording: Recording) -> None:
    """Kind, namespace, name and labels, also those of rollback: each finds something on a real cluster."""
    catalogue = Catalogue([*upstreams_objects(recording.releases), *written(recording), *namespaces()])
    values = {text for release in recording.releases for text in texts(release.values)}
    asked = {q for q in questions(recording) if not (catalogue.answers(q) or made(q, catalogue) or q.name in values)}

    assert sorted(set(map(str, asked)) - ABSENT.keys()) == []


def written(recording: Recording) -> Iterator[Object]:
    """What we send, and the secrets that cert-manager writes for it."""
    for obj in (write.answer for write in recording.writes if write.answer is not None):
        yield obj
        if obj["kind"] == "Certificate":
            yield secret(obj["spec"]["secretName"], obj["metadata"]["namespace"])
        if obj["kind"] == "ClusterIssuer" and "acme" in obj["spec"]:
            yield secret(obj["spec"]["acme"]["privateKeySecretRef"]["name"], "cert-manager")


def secret(name: str, namespace: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}


def namespaces() -> Iterator[Object]:
    for name in ("default", "kube-system"):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def made(asked: Question, catalogue: Catalogue) -> bool:
    """By controllers: nodes by kubelets, endpoints of a Service, and what stands in the table."""
    if asked.plural == "nodes" or (asked.plural, asked.namespace, asked.name) in MADE:
        return True
    if asked.plural == "endpoints":
        return catalogue.answers(Question("services", asked.namespace, asked.name))
    app = asked.labels.removeprefix("app=")
    return asked.plural == "pods" and ("daemonsets.apps", asked.namespace, app) in MADE


def texts(value: object) -> Iterator[str]:
    """What stands in a release's values: names that we give ourselves."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
