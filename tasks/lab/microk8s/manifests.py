"""The kube-system objects that MicroK8s and its addons apply."""

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


def coredns_version(minor: tuple[int, int]) -> str:
    """What the addon of this Kubernetes version ships."""
    if minor <= (1, 32):
        return "1.10.1"
    return "1.12.1" if minor <= (1, 34) else "1.13.1"


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
    return [
        _object("v1", "ServiceAccount", "coredns", label),
        {**_object("v1", "ConfigMap", "coredns", label), "data": {"Corefile": COREFILE % forward}},
        _workload("Deployment", "coredns", label, pod),
        {
            **_object("v1", "Service", "kube-dns", label),
            "spec": {"selector": label, "clusterIP": DNS_ADDRESS, "ports": ports},
        },
    ]


def calico() -> list[Object]:
    agent = {"k8s-app": "calico-node"}
    env = [{"name": "IP_AUTODETECTION_METHOD", "value": "first-found"}]
    container = {"name": "calico-node", "image": "docker.io/calico/node:v3.28.1", "env": env}
    controller = {
        "containers": [{"name": "calico-kube-controllers", "image": "docker.io/calico/kube-controllers:v3.28.1"}]
    }
    pod = {"containers": [container], "hostNetwork": True, "tolerations": [{"operator": "Exists"}]}
    return [
        _workload("DaemonSet", "calico-node", agent, pod),
        _workload("Deployment", "calico-kube-controllers", {"k8s-app": "calico-kube-controllers"}, controller),
    ]


def hostpath() -> list[Object]:
    label = {"k8s-app": "hostpath-provisioner"}
    container = {
        "name": "hostpath-provisioner",
        "image": "cdkbot/hostpath-provisioner:1.5.0",
        "env": [{"name": "PV_DIR", "value": f"{COMMON}/default-storage"}],
    }
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return [
        _object("v1", "ServiceAccount", "microk8s-hostpath"),
        _workload("Deployment", "hostpath-provisioner", label, {"containers": [container]}),
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


def _workload(kind: str, name: str, label: dict[str, str], pod: dict[str, Any]) -> Object:
    template = {"metadata": {"labels": dict(label)}, "spec": pod}
    spec: dict[str, Any] = {"selector": {"matchLabels": dict(label)}, "template": template}
    if kind == "Deployment":
        spec |= {
            "replicas": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "10%", "maxUnavailable": 0}},
        }
    return {**_object("apps/v1", kind, name, label), "spec": spec}
