"""The chart ingress-nginx, of previous releases of this project: a controller, its service, class and webhook.

Source: kubernetes/ingress-nginx@helm-chart-4.13.9 charts/ingress-nginx (as Helm renders it)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.lab.charts.chart import Chart, Rendering
from tasks.lab.charts.ingress_nginx_controllers import Traces
from tasks.lab.microk8s.node import Node
from thinkube_nornir.lab.kube import Controller, Object

_NAME = "ingress-nginx"
_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
_PORTS = {"http": 80, "https": 443}
_DEFAULTS: Object = {
    "nameOverride": None,
    "fullnameOverride": None,
    "namespaceOverride": "",
    "commonLabels": {},
    "imagePullSecrets": [],
    "portNamePrefix": "",
    "tcp": {},
    "udp": {},
    "dhParam": "",
    "revisionHistoryLimit": 10,
    "rbac": {"create": True, "scope": False},
    "serviceAccount": {"create": True, "name": "", "automountServiceAccountToken": True, "annotations": {}},
    "podSecurityPolicy": {"enabled": False},
    "defaultBackend": {"enabled": False},
    "controller": {
        "name": "controller",
        "enableAnnotationValidations": True,
        "image": {"registry": "registry.k8s.io", "image": "ingress-nginx/controller", "tag": "", "digest": ""},
        "config": {},
        "configAnnotations": {},
        "proxySetHeaders": {},
        "addHeaders": {},
        "dnsPolicy": "ClusterFirst",
        "watchIngressWithoutClass": False,
        "ingressClassByName": False,
        "allowSnippetAnnotations": False,
        "hostNetwork": False,
        "hostPort": {"enabled": False, "ports": dict(_PORTS)},
        "electionID": "",
        "ingressClassResource": {
            "name": "nginx",
            "enabled": True,
            "default": False,
            "controllerValue": "k8s.io/ingress-nginx",
            "aliases": [],
            "annotations": {},
            "parameters": {},
        },
        "ingressClass": "nginx",
        "podLabels": {},
        "podAnnotations": {},
        "publishService": {"enabled": True, "pathOverride": ""},
        "scope": {"enabled": False, "namespace": "", "namespaceSelector": ""},
        "extraArgs": {},
        "extraEnvs": [],
        "kind": "Deployment",
        "annotations": {},
        "labels": {},
        "tolerations": [],
        "affinity": {},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "replicaCount": 1,
        "minAvailable": 1,
        "resources": {},
        "service": {
            "enabled": True,
            "external": {"enabled": True, "labels": {}},
            "annotations": {},
            "labels": {},
            "type": "LoadBalancer",
            "clusterIP": "",
            "externalIPs": [],
            "loadBalancerIP": "",
            "loadBalancerSourceRanges": [],
            "loadBalancerClass": "",
            "externalTrafficPolicy": "",
            "sessionAffinity": "",
            "enableHttp": True,
            "enableHttps": True,
            "ports": dict(_PORTS),
            "targetPorts": {"http": "http", "https": "https"},
            "nodePorts": {"http": "", "https": "", "tcp": {}, "udp": {}},
            "internal": {"enabled": False},
        },
        "admissionWebhooks": {"enabled": True, "failurePolicy": "Fail", "port": 8443},
        "metrics": {"enabled": False},
    },
}


def _render(seen: Rendering) -> list[Object]:
    controller = seen.values["controller"]
    name = fullname(seen)
    return [
        _object("v1", "ServiceAccount", name, _labels(seen)),
        _object("v1", "ConfigMap", f"{name}-controller", _labels(seen)) | {"data": dict(controller["config"])},
        *_access(seen, name),
        _deployment(seen, name),
        *_service(seen, name),
        *_class(seen),
        *_webhook(seen, name),
        *_ports(seen, name),
    ]


def fullname(seen: Rendering) -> str:
    given = seen.values.get("fullnameOverride")
    if given:
        return str(given)
    return seen.release if _NAME in seen.release else f"{seen.release}-{_NAME}"


def _selector(seen: Rendering) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": _NAME,
        "app.kubernetes.io/instance": seen.release,
        "app.kubernetes.io/component": "controller",
    }


def _labels(seen: Rendering, component: str = "controller") -> dict[str, str]:
    found = _selector(seen) | {"app.kubernetes.io/part-of": _NAME, "app.kubernetes.io/component": component}
    return {label: value for label, value in found.items() if value}


def _access(seen: Rendering, name: str) -> list[Object]:
    group = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": seen.namespace}
    rules = [{"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["get", "list", "watch"]}]
    found: list[Object] = []
    for prefix in ("Cluster", ""):
        reference = {"apiGroup": group, "kind": f"{prefix}Role", "name": name}
        labels = _labels(seen, "" if prefix else "controller")
        found.append(_object(f"{group}/v1", f"{prefix}Role", name, labels) | {"rules": rules})
        bound = _object(f"{group}/v1", f"{prefix}RoleBinding", name, labels)
        found.append(bound | {"roleRef": reference, "subjects": [subject]})
    return found


def _deployment(seen: Rendering, name: str) -> Object:
    controller, labels = seen.values["controller"], _labels(seen)
    image = f"{controller['image']['registry']}/{controller['image']['image']}:v{seen.app_version}"
    ports = [{"name": n, "containerPort": p, "protocol": "TCP"} for n, p in _PORTS.items()]
    container = {"name": "controller", "image": image, "args": _arguments(seen, name), "ports": ports}
    pod = {"serviceAccountName": name, "containers": [container], "terminationGracePeriodSeconds": 300}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {
        "replicas": controller["replicaCount"],
        "selector": {"matchLabels": _selector(seen)},
        "template": template,
        "revisionHistoryLimit": seen.values["revisionHistoryLimit"],
    }
    deployment = _object("apps/v1", "Deployment", f"{name}-controller", labels)
    return deployment | {"spec": spec}


def _arguments(seen: Rendering, name: str) -> list[str]:
    controller, here = seen.values["controller"], "$(POD_NAMESPACE)"
    classes, webhooks = controller["ingressClassResource"], controller["admissionWebhooks"]
    found = ["/nginx-ingress-controller"]
    if controller["publishService"]["enabled"] and controller["service"]["enabled"]:
        path = controller["publishService"]["pathOverride"] or f"{here}/{name}-controller"
        found.append(f"--publish-service={path}")
    found.append(f"--election-id={controller['electionID'] or f'{name}-leader'}")
    found.append(f"--controller-class={classes['controllerValue']}")
    if controller["ingressClass"]:
        found.append(f"--ingress-class={controller['ingressClass']}")
    found.append(f"--configmap={here}/{name}-controller")
    found += [f"--{kind}-services-configmap={here}/{name}-{kind}" for kind in ("tcp", "udp") if seen.values[kind]]
    if webhooks["enabled"]:
        found += [
            f"--validating-webhook=:{webhooks['port']}",
            "--validating-webhook-certificate=/usr/local/certificates/cert",
            "--validating-webhook-key=/usr/local/certificates/key",
        ]
    if controller["watchIngressWithoutClass"]:
        found.append("--watch-ingress-without-class=true")
    return found + [f"--{key}" if value == "" else f"--{key}={value}" for key, value in controller["extraArgs"].items()]


def _service(seen: Rendering, name: str) -> list[Object]:
    given = seen.values["controller"]["service"]
    if not given["enabled"]:
        return []
    ports: list[Object] = [
        {"name": n, "port": given["ports"][n], "targetPort": given["targetPorts"][n], "appProtocol": n} for n in _PORTS
    ]
    ports += [{"name": f"{port}-tcp", "port": int(port), "targetPort": f"{port}-tcp"} for port in seen.values["tcp"]]
    spec: Object = {"type": given["type"], "ports": ports, "selector": _selector(seen)}
    for field in ("clusterIP", "loadBalancerIP", "loadBalancerClass", "externalTrafficPolicy", "externalIPs"):
        if given[field]:
            spec[field] = given[field]
    service = _object("v1", "Service", f"{name}-controller", _labels(seen))
    service["metadata"]["annotations"] = dict(given["annotations"])
    return [service | {"spec": spec}]


def _class(seen: Rendering) -> list[Object]:
    given = seen.values["controller"]["ingressClassResource"]
    if not given["enabled"]:
        return []
    found = _object("networking.k8s.io/v1", "IngressClass", given["name"], _labels(seen))
    if given["default"]:
        found["metadata"]["annotations"] = {_DEFAULT: "true"}
    return [found | {"spec": {"controller": given["controllerValue"]}}]


def _webhook(seen: Rendering, name: str) -> list[Object]:
    given = seen.values["controller"]["admissionWebhooks"]
    if not given["enabled"]:
        return []
    service = _object("v1", "Service", f"{name}-controller-admission", _labels(seen))
    ports = [{"name": "https-webhook", "port": 443, "targetPort": "webhook", "appProtocol": "https"}]
    path = "/networking/v1/ingresses"
    client = {"service": {"namespace": seen.namespace, "name": f"{name}-controller-admission", "path": path}}
    rule = {
        "apiGroups": ["networking.k8s.io"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["ingresses"],
    }
    webhook = {
        "name": "validate.nginx.ingress.kubernetes.io",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": given["failurePolicy"],
        "clientConfig": client,
        "rules": [rule],
    }
    version = "admissionregistration.k8s.io/v1"
    configuration = _object(
        version, "ValidatingWebhookConfiguration", f"{name}-admission", _labels(seen, "admission-webhook")
    )
    return [service | {"spec": {"ports": ports, "selector": _selector(seen)}}, configuration | {"webhooks": [webhook]}]


def _ports(seen: Rendering, name: str) -> list[Object]:
    """The maps of TCP and UDP services that the values name."""
    kinds = [kind for kind in ("tcp", "udp") if seen.values[kind]]
    return [
        _object("v1", "ConfigMap", f"{name}-{kind}") | {"data": {str(k): str(v) for k, v in seen.values[kind].items()}}
        for kind in kinds
    ]


def _object(version: str, kind: str, name: str, labels: dict[str, str] | None = None) -> Object:
    metadata: dict[str, Any] = {"name": name} | ({"labels": dict(labels)} if labels else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _controllers(_: Node) -> Sequence[Controller]:
    return (Traces(),)


CHART = Chart(
    _NAME,
    "https://kubernetes.github.io/ingress-nginx",
    {"4.13.3": "1.13.3", "4.13.0": "1.13.0", "4.12.1": "1.12.1", "4.11.5": "1.11.5"},
    _DEFAULTS,
    _render,
    _controllers,
)
