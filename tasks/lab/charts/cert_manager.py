"""The chart cert-manager: definitions, three deployments, the webhook; its controllers are in tasks/lab/issuing.

Source: cert-manager/cert-manager@v1.20.3 deploy/charts/cert-manager (as Helm renders it)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.lab.charts.chart import Chart, Rendering
from tasks.lab.issuing.authority import Key
from tasks.lab.issuing.base import Issuing
from tasks.lab.issuing.certificates import Certificates
from tasks.lab.issuing.challenges import Challenges
from tasks.lab.issuing.issuers import Issuers
from tasks.lab.issuing.orders import Orders
from tasks.lab.issuing.requests import Requests
from tasks.lab.issuing.schemas import SCHEMAS
from tasks.lab.microk8s.node import Node
from tasks.lab.schemas import ANYTHING
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
        objects.append(_object("v1", "ServiceAccount", full, _labels(chart, part)))
        objects.append(_deployment(chart, full, part))
        objects.append(_service(chart, full, part))
    return [*objects, *_webhook(chart, f"{name}-webhook")]


def _selector(chart: Rendering, part: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "cert-manager" if part == "controller" else part,
        "app.kubernetes.io/instance": chart.release,
        "app.kubernetes.io/component": part,
    }


def _labels(chart: Rendering, part: str) -> dict[str, str]:
    selector = _selector(chart, part)
    return {"app": selector["app.kubernetes.io/name"]} | selector


def _definitions(chart: Rendering) -> list[Object]:
    crds = chart.values["crds"]
    if not (crds["enabled"] or chart.values["installCRDs"]):
        return []
    notes = {"annotations": {"helm.sh/resource-policy": "keep"}} if crds["keep"] else {}
    return [_definition(notes, *kind) for kind in _KINDS]


def _definition(notes: Object, group: str, kind: str, plural: str, scope: str) -> Object:
    schema = {"openAPIV3Schema": SCHEMAS.get(kind, ANYTHING)}
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
    labels = _labels(chart, part)
    image = f"quay.io/jetstack/cert-manager-{part}:{chart.app_version}"
    container = {"name": f"cert-manager-{part}", "image": image, "args": _arguments(chart, part, values)}
    pod: dict[str, Any] = {"serviceAccountName": full, "containers": [container], "enableServiceLinks": False}
    if part == "controller":
        pod |= {"dnsPolicy": chart.values["podDnsPolicy"]} if chart.values["podDnsPolicy"] else {}
        pod |= {"dnsConfig": chart.values["podDnsConfig"]} if chart.values["podDnsConfig"] else {}
    spec = {
        "replicas": values["replicaCount"],
        "selector": {"matchLabels": _selector(chart, part)},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return _object("apps/v1", "Deployment", full, labels) | {"spec": spec}


def _service(chart: Rendering, full: str, part: str) -> Object:
    metrics = {"port": 9402, "protocol": "TCP", "targetPort": "http-metrics"}
    ports = {
        "controller": [{"name": "tcp-prometheus-servicemonitor", **metrics}],
        "cainjector": [{"name": "http-metrics", "port": 9402, "protocol": "TCP"}],
        "webhook": [
            {"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"},
            {"name": "metrics", **metrics},
        ],
    }[part]
    spec = {"type": "ClusterIP", "selector": _selector(chart, part), "ports": ports}
    return _object("v1", "Service", full, _labels(chart, part)) | {"spec": spec}


def _object(version: str, kind: str, name: str, labels: dict[str, str]) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": dict(labels)}}


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
    """They are asked before a request is made, and before anything of theirs is made or changed."""
    version, found = "admissionregistration.k8s.io/v1", []
    for kind, path, groups, operations, resources in (
        ("MutatingWebhookConfiguration", "/mutate", ["cert-manager.io"], ["CREATE"], ["certificaterequests"]),
        (
            "ValidatingWebhookConfiguration",
            "/validate",
            ["cert-manager.io", "acme.cert-manager.io"],
            ["CREATE", "UPDATE"],
            ["*/*"],
        ),
    ):
        rule = {"apiGroups": groups, "apiVersions": ["v1"], "operations": operations, "resources": resources}
        hook = {
            "name": "webhook.cert-manager.io",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"service": {"name": name, "namespace": chart.namespace, "path": path}},
            "rules": [rule],
        }
        if path == "/validate":
            spared = {"key": "cert-manager.io/disable-validation", "operator": "NotIn", "values": ["true"]}
            hook["namespaceSelector"] = {"matchExpressions": [spared]}
        found.append(_object(version, kind, name, _labels(chart, "webhook")) | {"webhooks": [hook]})
    return found


def _controllers(node: Node) -> Sequence[Issuing]:
    keys: dict[str, Key] = {}
    return [kind(node, keys) for kind in (Issuers, Certificates, Requests, Orders, Challenges)]


CHART = Chart(
    "cert-manager",
    "https://charts.jetstack.io",
    {v: v for v in ("v1.20.3", "v1.18.6", "v1.17.4", "v1.16.5", "v1.16.1")},
    _DEFAULTS,
    _render,
    _controllers,
    hooks=15.0,  # startupapicheck: an image, a pod, and the webhook's answer
)
