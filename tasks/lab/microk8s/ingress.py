"""Addon ingress: MicroK8s' own nginx on every node's ports 80 and 443, with the default class `public`."""

from __future__ import annotations

from tasks.lab.microk8s.node import Node
from thinkube_nornir.lab.kube import Object

NAMESPACE = "ingress"
_CONFIGS = ("nginx-load-balancer-microk8s-conf", "nginx-ingress-tcp-microk8s-conf", "nginx-ingress-udp-microk8s-conf")


def enable(node: Node) -> str:
    for manifest in _manifests():
        node.api.apply(manifest)
    node.addons.add("ingress")
    return "Enabling Ingress\ningressclass.networking.k8s.io/public created\nIngress is enabled\n"


def disable(node: Node) -> str:
    """Its namespace goes with all that others put there."""
    for manifest in reversed(_manifests()):
        at = manifest["metadata"]
        node.api.delete(manifest["apiVersion"], manifest["kind"], at["name"], at.get("namespace", ""))
    node.addons.discard("ingress")
    return "Disabling Ingress\nIngress is disabled\n"


def _manifests() -> list[Object]:
    labels = {"name": "nginx-ingress-microk8s"}
    ports = [{"name": name, "containerPort": port, "hostPort": port} for name, port in (("http", 80), ("https", 443))]
    container = {"name": labels["name"], "image": "registry.k8s.io/ingress-nginx/controller:v1.12.1", "ports": ports}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    default = {"annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        _class("public", default),
        _class("nginx", {}),
        *({"apiVersion": "v1", "kind": "ConfigMap", "metadata": _here(name)} for name in _CONFIGS),
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": _here("nginx-ingress-microk8s-controller"),
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
    ]


def _here(name: str) -> Object:
    return {"name": name, "namespace": NAMESPACE}


def _class(name: str, metadata: Object) -> Object:
    spec = {"controller": "k8s.io/ingress-nginx"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }
