"""The chart cert-manager: definitions, three deployments, the webhook; its controllers are in tasks/lab/issuing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.lab.charts.chart import Chart, Rendering
from tasks.lab.issuing.authority import Key
from tasks.lab.issuing.base import Issuing
from tasks.lab.issuing.certificates import Certificates
from tasks.lab.issuing.challenges import Challenges, Orders
from tasks.lab.issuing.issuers import Issuers
from tasks.lab.issuing.requests import Requests
from tasks.lab.microk8s.node import Node
from thinkube_nornir.lab.kube import Object

_KINDS = (
    ("cert-manager.io", "Certificate", "certificates", "Namespaced"),
    ("cert-manager.io", "CertificateRequest", "certificaterequests", "Namespaced"),
    ("cert-manager.io", "Issuer", "issuers", "Namespaced"),
    ("cert-manager.io", "ClusterIssuer", "clusterissuers", "Cluster"),
    ("acme.cert-manager.io", "Order", "orders", "Namespaced"),
    ("acme.cert-manager.io", "Challenge", "challenges", "Namespaced"),
)
_POD: Object = {
    "replicaCount": 1,
    "resources": {},
    "nodeSelector": {},
    "tolerations": [],
    "affinity": {},
    "extraArgs": [],
    "podAnnotations": {},
    "podLabels": {},
}
_DEFAULTS: Object = {
    **_POD,
    "global": {"imagePullSecrets": [], "logLevel": 2, "leaderElection": {"namespace": "kube-system"}},
    "installCRDs": False,
    "crds": {"enabled": False, "keep": True},
    "image": {"repository": "quay.io/jetstack/cert-manager-controller", "tag": ""},
    "clusterResourceNamespace": "",
    "enableCertificateOwnerRef": False,
    "dns01RecursiveNameservers": "",
    "dns01RecursiveNameserversOnly": False,
    "podDnsPolicy": "",
    "podDnsConfig": {},
    "prometheus": {"enabled": True},
    "webhook": {**_POD, "timeoutSeconds": 30, "securePort": 10250, "hostNetwork": False},
    "cainjector": {**_POD, "enabled": True},
    "startupapicheck": {"enabled": True, "timeout": "1m"},
    "http_proxy": None,
    "https_proxy": None,
    "no_proxy": None,
}


def _render(chart: Rendering) -> list[Object]:
    name = chart.release if "cert-manager" in chart.release else f"{chart.release}-cert-manager"
    parts = {name: "controller", f"{name}-cainjector": "cainjector", f"{name}-webhook": "webhook"}
    objects = _definitions(chart)
    for full, part in parts.items():
        objects.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": full}})
        objects.append(_deployment(chart, full, part))
    return [*objects, *_webhook(chart, f"{name}-webhook")]


def _definitions(chart: Rendering) -> list[Object]:
    crds = chart.values["crds"]
    if not (crds["enabled"] or chart.values["installCRDs"]):
        return []
    notes = {"annotations": {"helm.sh/resource-policy": "keep"}} if crds["keep"] else {}
    return [_definition(notes, *kind) for kind in _KINDS]


def _definition(notes: Object, group: str, kind: str, plural: str, scope: str) -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", **notes},
        "spec": {"group": group, "names": names, "scope": scope, "versions": [version]},
    }


def _deployment(chart: Rendering, full: str, part: str) -> Object:
    values = chart.values if part == "controller" else chart.values[part]
    label = {
        "app.kubernetes.io/name": "cert-manager" if part == "controller" else part,
        "app.kubernetes.io/instance": chart.release,
        "app.kubernetes.io/component": part,
    }
    image = f"quay.io/jetstack/cert-manager-{part}:{chart.app_version}"
    container = {"name": f"cert-manager-{part}", "image": image, "args": _arguments(chart, part, values)}
    pod: dict[str, Any] = {"serviceAccountName": full, "containers": [container], "enableServiceLinks": False}
    if part == "controller":
        pod |= {"dnsPolicy": chart.values["podDnsPolicy"]} if chart.values["podDnsPolicy"] else {}
        pod |= {"dnsConfig": chart.values["podDnsConfig"]} if chart.values["podDnsConfig"] else {}
    spec = {
        "replicas": values["replicaCount"],
        "selector": {"matchLabels": label},
        "template": {"metadata": {"labels": label}, "spec": pod},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": full, "labels": label}, "spec": spec}


def _arguments(chart: Rendering, part: str, values: Object) -> list[str]:
    given = [f"--v={chart.values['global']['logLevel']}"]
    if part == "webhook":
        return [*given, f"--secure-port={values['securePort']}", *values["extraArgs"]]
    given.append(f"--leader-election-namespace={chart.values['global']['leaderElection']['namespace']}")
    if part == "controller":
        given.insert(1, "--cluster-resource-namespace=$(POD_NAMESPACE)")
        if chart.values["dns01RecursiveNameserversOnly"]:
            given.append("--dns01-recursive-nameservers-only=true")
        if servers := chart.values["dns01RecursiveNameservers"]:
            given.append(f"--dns01-recursive-nameservers={servers}")
    return [*given, *values["extraArgs"]]


def _webhook(chart: Rendering, name: str) -> list[Object]:
    label = {"app.kubernetes.io/component": "webhook", "app.kubernetes.io/instance": chart.release}
    ports = [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": chart.values["webhook"]["securePort"]}]
    hook = {
        "name": "webhook.cert-manager.io",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"service": {"name": name, "namespace": chart.namespace, "path": "/validate"}},
        "rules": [
            {
                "apiGroups": ["cert-manager.io", "acme.cert-manager.io"],
                "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"],
                "resources": ["*/*"],
            }
        ],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": label, "ports": ports},
        },
        *(
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": kind,
                "metadata": {"name": name},
                "webhooks": [hook],
            }
            for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
        ),
    ]


def _controllers(node: Node) -> Sequence[Issuing]:
    keys: dict[str, Key] = {}
    return [kind(node, keys) for kind in (Issuers, Certificates, Requests, Orders, Challenges)]


CHART = Chart(
    "cert-manager",
    "https://charts.jetstack.io",
    {"v1.18.2": "v1.18.2", "v1.17.2": "v1.17.2", "v1.16.1": "v1.16.1"},
    _DEFAULTS,
    _render,
    _controllers,
)
