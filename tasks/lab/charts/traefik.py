"""The chart traefik: the controller, its service, classes, Gateway and default certificate; tasks/lab/traefik serves.

Source: traefik/traefik-helm-chart@v41.3.0 traefik/templates/_helpers.tpl
Source: traefik/traefik-helm-chart@v41.3.0 traefik/templates/_podtemplate.tpl
Source: traefik/traefik-helm-chart@v41.3.0 traefik/templates/gateway.yaml
Source: traefik/traefik-helm-chart@v41.3.0 traefik/templates/service.yaml
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.lab.charts.chart import Chart, Rendering, merged
from tasks.lab.charts.traefik_values import DEFAULTS, definitions
from tasks.lab.microk8s.node import Node
from tasks.lab.tool import ToolError
from tasks.lab.traefik import status
from thinkube_nornir.lab.kube import Controller, Object

_NAME = "traefik"
_LONGEST = 63
_GATEWAY_LISTENERS: Object = {"web": {"port": 8000, "protocol": "HTTP"}}


def _render(seen: Rendering) -> list[Object]:
    name = fullname(seen)
    return [
        _object(seen, "v1", "ServiceAccount", name),
        *_access(seen, name),
        *_workload(seen, name),
        *_service(seen, name),
        *_ingress_class(seen, name),
        *_gateway(seen),
        *(
            _object(seen, "traefik.io/v1alpha1", "TLSStore", store) | {"spec": spec}
            for store, spec in seen.values["tlsStore"].items()
        ),
        *seen.values["extraObjects"],
    ]


def fullname(seen: Rendering) -> str:
    given, name = seen.values["fullnameOverride"], seen.values["nameOverride"] or _NAME
    full = given or (seen.release if name in seen.release else f"{seen.release}-{name}")
    return str(full)[:_LONGEST].rstrip("-")


def selector(seen: Rendering) -> dict[str, str]:
    instance = seen.values["instanceLabelOverride"] or f"{seen.release}-{seen.namespace}"
    name = seen.values["nameOverride"] or _NAME
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": instance[:_LONGEST].rstrip("-")}


def _labels(seen: Rendering) -> dict[str, str]:
    return selector(seen) | {"helm.sh/chart": f"{_NAME}-{seen.version}", "app.kubernetes.io/managed-by": "Helm"}


def _object(seen: Rendering, version: str, kind: str, name: str) -> Object:
    metadata: Object = {"name": name, "labels": _labels(seen) | seen.values["commonLabels"]}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _access(seen: Rendering, name: str) -> list[Object]:
    group, full = "rbac.authorization.k8s.io", f"{name}-{seen.namespace}"[:_LONGEST].rstrip("-")
    rules = [{"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["get", "list", "watch"]}]
    subject = {"kind": "ServiceAccount", "name": name, "namespace": seen.namespace}
    return [
        _object(seen, f"{group}/v1", "ClusterRole", full) | {"rules": rules},
        _object(seen, f"{group}/v1", "ClusterRoleBinding", full)
        | {"roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": full}, "subjects": [subject]},
    ]


def _workload(seen: Rendering, name: str) -> list[Object]:
    given = seen.values["deployment"]
    if not given["enabled"]:
        return []
    ports = [{"name": n, "containerPort": p["port"], "protocol": p["protocol"]} for n, p in _ports(seen).items()]
    image = f"docker.io/traefik:{seen.app_version}"
    container = {"name": name, "image": image, "args": arguments(seen, name), "ports": ports}
    pod = {"serviceAccountName": name, "containers": [container], "terminationGracePeriodSeconds": 60}
    template = {"metadata": {"labels": _labels(seen)}, "spec": pod}
    spec: Object = {"selector": {"matchLabels": selector(seen)}, "template": template}
    if given["kind"] == "Deployment":
        spec |= {"replicas": given["replicas"], "minReadySeconds": 0}
    return [_object(seen, "apps/v1", given["kind"], name) | {"spec": spec}]


def _ports(seen: Rendering) -> dict[str, Any]:
    return dict(sorted((name, port) for name, port in seen.values["ports"].items() if port))


def arguments(seen: Rendering, name: str) -> list[str]:
    """The container's arguments, in the chart's order."""
    ports = _ports(seen)
    found = [f"--entryPoints.{n}.address=:{p['port']}/{p['protocol'].lower()}" for n, p in ports.items()]
    found += ["--api.dashboard=true", "--ping=true"]
    found += ["--metrics.prometheus=true", "--metrics.prometheus.entrypoint=metrics"]
    found += _crd_arguments(seen) + _ingress_arguments(seen, name) + _gateway_arguments(seen, name)
    found += _nginx_arguments(seen, name)
    tls = [n for n, port in ports.items() if (port.get("http") or {}).get("tls", {}).get("enabled")]
    found += [f"--entryPoints.{n}.http.tls=true" for n in tls]
    return [*found, "--log.level=INFO", *seen.values["additionalArguments"]]


def _crd_arguments(seen: Rendering) -> list[str]:
    given, path = seen.values["providers"]["kubernetesCRD"], "--providers.kubernetescrd"
    if not given["enabled"]:
        return []
    names = ("labelSelector", "ingressClass", "defaultTLSResourcesNamespace")
    found = [path, *(f"{path}.{name}={given[name]}" for name in names if given[name])]
    found.append(f"{path}.allowEmptyServices={str(given['allowEmptyServices']).lower()}")
    return found + ([f"{path}.namespaces={','.join(given['namespaces'])}"] if given["namespaces"] else [])


def _ingress_arguments(seen: Rendering, name: str) -> list[str]:
    given, path = seen.values["providers"]["kubernetesIngress"], "--providers.kubernetesingress"
    if not given["enabled"]:
        return []
    found = [path, f"{path}.allowEmptyServices={str(given['allowEmptyServices']).lower()}"]
    published = given["publishedService"]
    if published["enabled"]:
        service = published["pathOverride"] or f"{seen.namespace}/{name}"
        found.append(f"{path}.ingressendpoint.publishedservice={service}")
    found += [f"{path}.{key}={given[key]}" for key in ("labelSelector", "ingressClass") if given.get(key)]
    return found + ([f"{path}.strictPrefixMatching=true"] if given["strictPrefixMatching"] else [])


def _gateway_arguments(seen: Rendering, name: str) -> list[str]:
    given, path = seen.values["providers"]["kubernetesGateway"], "--providers.kubernetesgateway"
    if not given["enabled"]:
        return []
    service = given["statusAddress"]["service"]
    found = [path]
    if service["enabled"]:
        found.append(f"{path}.statusaddress.service.name={service['name'] or name}")
        found.append(f"{path}.statusaddress.service.namespace={service['namespace'] or seen.namespace}")
    return found + ([f"{path}.labelSelector={given['labelSelector']}"] if given["labelSelector"] else [])


def _nginx_arguments(seen: Rendering, name: str) -> list[str]:
    given, path = seen.values["providers"]["kubernetesIngressNGINX"], "--providers.kubernetesingressnginx"
    if not given["enabled"]:
        return []
    found = [path]
    if given["publishService"]["enabled"]:
        service = given["publishService"]["pathOverride"] or f"{seen.namespace}/{name}"
        found.append(f"{path}.publishservice={service}")
    plain = {k: v for k, v in sorted(given.items()) if k not in ("enabled", "publishService", "watchNamespace")}
    shown = {k: str(v).lower() if isinstance(v, bool) else v for k, v in plain.items()}
    return found + [f"{path}.{key}={value}" for key, value in shown.items() if value not in (None, "", [])]


def _service(seen: Rendering, name: str) -> list[Object]:
    given = seen.values["service"]
    if not given["enabled"]:
        return []
    exposed = {n: p for n, p in _ports(seen).items() if p["expose"].get("default")}
    ports = [
        {"name": n, "port": p["exposedPort"], "targetPort": n, "protocol": p["protocol"]} for n, p in exposed.items()
    ]
    service = _object(seen, "v1", "Service", given["nameOverride"] or name)
    notes = {**given["annotations"], **given["annotationsTCP"]}
    if notes:
        service["metadata"]["annotations"] = notes
    spec = {"type": "LoadBalancer", **given["spec"], "selector": selector(seen), "ports": ports}
    return [service | {"spec": spec}]


def _ingress_class(seen: Rendering, name: str) -> list[Object]:
    given = seen.values["ingressClass"]
    if not given["enabled"]:
        return []
    found = _object(seen, "networking.k8s.io/v1", "IngressClass", given["name"] or name)
    default = str(given["isDefaultClass"]).lower()
    found["metadata"]["annotations"] = {"ingressclass.kubernetes.io/is-default-class": default}
    return [found | {"spec": {"controller": "traefik.io/ingress-controller"}}]


def _gateway(seen: Rendering) -> list[Object]:
    if not seen.values["providers"]["kubernetesGateway"]["enabled"]:
        return []
    version, found = "gateway.networking.k8s.io/v1", []
    own, gateway = seen.values["gatewayClass"], seen.values["gateway"]
    class_name = own["name"] or _NAME
    if gateway["enabled"]:
        made = _object(seen, version, "Gateway", gateway["name"] or "traefik-gateway")
        if gateway["namespace"]:
            made["metadata"]["namespace"] = gateway["namespace"]
        listeners = merged(_GATEWAY_LISTENERS, gateway["listeners"])
        specs = [_listener(seen, name, given) for name, given in sorted(listeners.items())]
        found.append(made | {"spec": {"gatewayClassName": class_name, "listeners": specs}})
    if own["enabled"]:
        made = _object(seen, version, "GatewayClass", class_name)
        made["metadata"]["labels"] |= own["labels"]
        found.append(made | {"spec": {"controllerName": "traefik.io/gateway-controller"}})
    return found


def _listener(seen: Rendering, name: str, given: Object) -> Object:
    if given.get("port") not in [port["port"] for port in _ports(seen).values()]:
        message = f"ERROR: port {given.get('port')} is not declared in ports"
        raise ToolError(1, f"Error: execution error at (traefik/templates/gateway.yaml:36:12): {message}\n")
    if given["protocol"] == "HTTPS" and not given.get("certificateRefs"):
        message = "ERROR: certificateRefs needs to be specified using HTTPS"
        raise ToolError(1, f"Error: execution error at (traefik/templates/gateway.yaml:51:12): {message}\n")
    spec: Object = {"name": name, "port": given["port"], "protocol": given["protocol"]}
    spec |= {"hostname": given["hostname"]} if given.get("hostname") else {}
    spec |= {"allowedRoutes": {"namespaces": given["namespacePolicy"]}} if given.get("namespacePolicy") else {}
    tls = {key: given[key] for key in ("mode", "certificateRefs") if given.get(key)}
    return spec | ({"tls": tls} if tls else {})


def _controllers(_: Node) -> Sequence[Controller]:
    return status.controllers()


CHART = Chart(
    _NAME,
    "https://traefik.github.io/charts",
    {"41.3.0": "v3.7.11", "41.2.0": "v3.7.10"},
    DEFAULTS,
    _render,
    _controllers,
    lambda _: definitions(),
)
