"""The kube-system objects that MicroK8s and its addons apply.

Left out: rights, which the lab's API server asks nobody for, and Calico's CRDs and configuration.

Source: canonical/microk8s-core-addons@1.32 addons/dns/coredns.yaml
Source: canonical/microk8s-core-addons@1.33 addons/dns/coredns.yaml
Source: canonical/microk8s-core-addons@1.34 addons/dns/coredns.yaml
Source: canonical/microk8s-core-addons@1.35 addons/dns/coredns.yaml
Source: canonical/microk8s-core-addons@1.35 addons/hostpath-storage/storage.yaml
Source: canonical/microk8s@1.35 upgrade-scripts/000-switch-to-calico/resources/calico.yaml
"""

from __future__ import annotations

from typing import Any

from tasks.lab.microk8s.node import COMMON, DNS_ADDRESS
from thinkube_nornir.lab.kube import Object

SYSTEM = "kube-system"
COREFILE = """.:53 {
    errors
    health {
      lameduck 5s
    }
    ready
    log . {
      class error
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
    }
    prometheus :9153
    forward . %s
    cache 30
    loop
    reload
    loadbalance
}
"""


_COREDNS = {(1, 33): "1.12.1", (1, 34): "1.12.3", (1, 35): "1.13.1"}
_ADDON_MANAGER = "addonmanager.kubernetes.io/mode"
_RECONCILED = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", _ADDON_MANAGER: "Reconcile"}


def coredns_version(minor: tuple[int, int]) -> str:
    """What the addon of this Kubernetes version ships."""
    return _COREDNS.get(minor, "1.10.1" if minor < (1, 33) else _COREDNS[1, 35])


def dns(forward: str, minor: tuple[int, int]) -> list[Object]:
    label = {"k8s-app": "kube-dns"}
    ports = [
        {"name": n, "port": p, "protocol": t}
        for n, p, t in (("dns", 53, "UDP"), ("dns-tcp", 53, "TCP"), ("metrics", 9153, "TCP"))
    ]
    container = {
        "name": "coredns",
        "image": f"coredns/coredns:{coredns_version(minor)}",
        "args": ["-conf", "/etc/coredns/Corefile"],
    }
    volume = {
        "name": "config-volume",
        "configMap": {"name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}]},
    }
    pod = {"serviceAccountName": "coredns", "containers": [container], "dnsPolicy": "Default", "volumes": [volume]}
    named = {**_RECONCILED, "kubernetes.io/name": "CoreDNS"}
    return [
        _object("v1", "ServiceAccount", "coredns", _RECONCILED),
        {
            **_object("v1", "ConfigMap", "coredns", label | {_ADDON_MANAGER: "EnsureExists"}),
            "data": {"Corefile": COREFILE % forward},
        },
        _workload("Deployment", "coredns", label, pod, labels=named),
        {
            **_object("v1", "Service", "kube-dns", named),
            "spec": {"selector": label, "clusterIP": DNS_ADDRESS, "ports": ports},
        },
    ]


def calico(minor: tuple[int, int]) -> list[Object]:
    agent = {"k8s-app": "calico-node"}
    env = [{"name": "IP_AUTODETECTION_METHOD", "value": "first-found"}]
    version = "v3.28.1" if minor < (1, 33) else "v3.29.3"
    container = {"name": "calico-node", "image": f"docker.io/calico/node:{version}", "env": env}
    pod = {"containers": [container], "hostNetwork": True, "tolerations": [{"operator": "Exists"}]}
    name = "calico-kube-controllers"
    controller = {"containers": [{"name": name, "image": f"docker.io/calico/kube-controllers:{version}"}]}
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": {"k8s-app": name}}}
    return [
        _workload("DaemonSet", "calico-node", agent, pod | {"serviceAccountName": "calico-node"}),
        *(_object("v1", "ServiceAccount", account) for account in ("calico-node", name)),
        _workload("Deployment", name, {"k8s-app": name}, controller | {"serviceAccountName": name}),
        {**_object("policy/v1", "PodDisruptionBudget", name, {"k8s-app": name}), "spec": budget},
    ]


def hostpath(minor: tuple[int, int]) -> list[Object]:
    label = {"k8s-app": "hostpath-provisioner"}
    container = {
        "name": "hostpath-provisioner",
        "image": f"cdkbot/hostpath-provisioner:{'1.5.0' if minor < (1, 34) else '1.6.0'}",
        "env": [{"name": "PV_DIR", "value": f"{COMMON}/default-storage"}],
    }
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    account = "microk8s-hostpath"
    pod = {"containers": [container], "serviceAccountName": account}
    return [
        _object("v1", "ServiceAccount", account),
        _workload("Deployment", "hostpath-provisioner", label, pod),
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "microk8s-hostpath", "annotations": default},
            "provisioner": "microk8s.io/hostpath",
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
    ]


def kubernetes_service() -> Object:
    ports = [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 16443}]
    metadata = {
        "name": "kubernetes",
        "namespace": "default",
        "labels": {"component": "apiserver", "provider": "kubernetes"},
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"clusterIP": "10.152.183.1", "ports": ports},
    }


def _object(version: str, kind: str, name: str, labels: dict[str, str] | None = None) -> Object:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": SYSTEM, "labels": dict(labels or {})},
    }


def _workload(
    kind: str, name: str, label: dict[str, str], pod: dict[str, Any], *, labels: dict[str, str] | None = None
) -> Object:
    template = {"metadata": {"labels": dict(label)}, "spec": pod}
    spec: dict[str, Any] = {"selector": {"matchLabels": dict(label)}, "template": template}
    if kind == "Deployment":
        spec |= {
            "replicas": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "10%", "maxUnavailable": 0}},
        }
    return {**_object("apps/v1", kind, name, labels or label), "spec": spec}
