"""Addon ingress: until 1.34 nginx, from 1.35 Traefik, on each node's ports 80 and 443, with the default class `public`.

Source: canonical/microk8s-core-addons@1.34 addons/ingress/ingress.yaml
Source: canonical/microk8s-core-addons@1.34 addons/ingress/disable
Source: canonical/microk8s-core-addons@1.35 addons/ingress/enable
Source: canonical/microk8s-core-addons@1.35 addons/ingress/disable
Source: canonical/microk8s-core-addons@1.35 addons/ingress/values.yaml
"""

from __future__ import annotations

from tasks.lab import gateway_api
from tasks.lab.charts.traefik_values import definitions
from tasks.lab.helm import objects, store
from tasks.lab.microk8s.node import Node
from thinkube_nornir.lab.kube import Object

NAMESPACE = "ingress"
_TRAEFIK = (1, 35)
_GATEWAY_API = "v1.4.0"
_CONFIGS = ("nginx-load-balancer-microk8s-conf", "nginx-ingress-tcp-microk8s-conf", "nginx-ingress-udp-microk8s-conf")
_DEFAULT = {"annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}
_PORTS = (("web", 8000, 80), ("websecure", 8443, 443))
_VALUE = "traefik.io/ingress-controller"


async def enable(node: Node) -> str:
    if node.minor >= _TRAEFIK:
        return await _enable_traefik(node)
    for manifest in _nginx():
        node.api.apply(manifest)
    return "Enabling Ingress\ningressclass.networking.k8s.io/public created\nIngress is enabled\n"


def disable(node: Node) -> str:
    """Its namespace goes with all that others put there."""
    if node.minor >= _TRAEFIK:
        return _disable_traefik(node)
    for manifest in reversed(_nginx()):
        at = manifest["metadata"]
        node.api.delete(manifest["apiVersion"], manifest["kind"], at["name"], at.get("namespace", ""))
    return "Disabling Ingress\nIngress is disabled\n"


async def _enable_traefik(node: Node) -> str:
    """Install Traefik by Helm, as release traefik, and then apply the definitions of Gateway API."""
    await objects.define(node.api, [*definitions(), *gateway_api.manifest(_GATEWAY_API)])
    node.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    made = objects.owned(_traefik(), "traefik", NAMESPACE, node.api)
    await objects.apply(node.api, made, [])
    identity = ("traefik", "37.4.0", "v3.6.2", "Install complete")
    store.save(node.api, store.Revision("traefik", NAMESPACE, 1, "deployed", *identity, {}, made))
    return (
        "Adding Traefik Helm repository\nInstalling Traefik ingress controller\nTraefik ingress controller is enabled\n"
    )


def _disable_traefik(node: Node) -> str:
    """Remove it and every definition of Traefik and Gateway API, and so all objects of these kinds, whoever made them.

    Classes called nginx go, too.
    """
    api = node.api
    for name in ("nginx", "public"):
        api.delete("networking.k8s.io/v1", "IngressClass", name)
    revision = store.last(api, "traefik", NAMESPACE)
    if revision is not None:
        objects.remove(api, revision.manifest)
        store.forget(api, "traefik", NAMESPACE)
    crd = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    published = [o["metadata"]["name"] for o in gateway_api.manifest(_GATEWAY_API)]
    for name in [o["metadata"]["name"] for o in api.list(*crd)]:
        if name in published or "traefik.io" in name:
            api.delete(*crd, name)
    api.delete("v1", "Namespace", NAMESPACE)
    return "Disabling Traefik ingress controller\nUninstalling Traefik...\nIngress is disabled\n"


def _traefik() -> list[Object]:
    labels = {"app.kubernetes.io/name": "traefik", "app.kubernetes.io/instance": "traefik-ingress"}
    ports = [{"name": name, "containerPort": inner, "hostPort": outer} for name, inner, outer in _PORTS]
    arguments = [f"--entryPoints.{name}.address=:{inner}/tcp" for name, inner, _ in _PORTS]
    arguments += ["--providers.kubernetescrd", "--providers.kubernetesingress", "--providers.kubernetesgateway"]
    container = {"name": "traefik", "image": "docker.io/traefik:v3.6.2", "args": arguments, "ports": ports}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    exposed = [{"name": name, "port": outer, "targetPort": name} for name, _, outer in _PORTS]
    listener = {"name": "web", "port": 8000, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    route = {"match": "Host(`dashboard.localhost`)", "kind": "Rule"}
    gateway = "gateway.networking.k8s.io/v1"
    return [
        _of("apps/v1", "DaemonSet", "traefik", labels)
        | {"spec": {"selector": {"matchLabels": labels}, "template": template}},
        _of("v1", "Service", "traefik", labels)
        | {"spec": {"type": "LoadBalancer", "selector": labels, "ports": exposed}},
        *(_class(name, {}, _VALUE) for name in ("traefik", "nginx")),
        _class("public", _DEFAULT, _VALUE),
        _of(gateway, "GatewayClass", "traefik", labels) | {"spec": {"controllerName": "traefik.io/gateway-controller"}},
        _of(gateway, "Gateway", "traefik-gateway", labels)
        | {"spec": {"gatewayClassName": "traefik", "listeners": [listener]}},
        _of("traefik.io/v1alpha1", "IngressRoute", "traefik-dashboard", labels)
        | {"spec": {"entryPoints": ["web"], "routes": [route]}},
    ]


def _of(version: str, kind: str, name: str, labels: dict[str, str]) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}}


def _nginx() -> list[Object]:
    labels = {"name": "nginx-ingress-microk8s"}
    ports = [{"name": name, "containerPort": port, "hostPort": port} for name, port in (("http", 80), ("https", 443))]
    container = {"name": labels["name"], "image": "registry.k8s.io/ingress-nginx/controller:v1.12.1", "ports": ports}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        _class("public", _DEFAULT),
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


def _class(name: str, metadata: Object, controller: str = "k8s.io/ingress-nginx") -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name, **metadata},
        "spec": {"controller": controller},
    }
