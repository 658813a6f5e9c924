"""NVIDIA's GPU operator: its chart's values, and the objects that the chart itself brings.

Source: NVIDIA/gpu-operator@v25.3.4 deployments/gpu-operator/values.yaml
Source: NVIDIA/gpu-operator@v25.10.1 deployments/gpu-operator/values.yaml
Source: NVIDIA/gpu-operator@v25.10.1 deployments/gpu-operator/templates/clusterpolicy.yaml
Source: NVIDIA/gpu-operator@v25.10.1 deployments/gpu-operator/templates/operator.yaml
Source: NVIDIA/gpu-operator@v25.10.1 deployments/gpu-operator/templates/upgrade_crd.yaml
Source: NVIDIA/gpu-operator@v25.10.1 deployments/gpu-operator/charts/node-feature-discovery/templates/worker.yaml
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.lab.charts.chart import Chart, Rendering
from tasks.lab.definitions import definition
from tasks.lab.gpu_operator import controllers
from thinkube_nornir.lab.kube import Object

REPOSITORY = "https://helm.ngc.nvidia.com/nvidia"
VERSIONS = {version: version for version in ("v25.10.1", "v26.3.3", "v25.3.4", "v25.3.2", "v24.9.2")}
_NEW: Mapping[str, Any] = {
    "cdi": {"enabled": True},
    "validator": {"repository": "nvcr.io/nvidia", "image": "gpu-operator"},
    "driver": {"version": "580.105.08"},
    "toolkit": {"version": "v1.18.1"},
    "devicePlugin": {"version": "v0.18.1"},
    "dcgmExporter": {"version": "4.4.2-4.7.0-distroless"},
    "gfd": {"version": "v0.18.1"},
    "migManager": {"version": "v0.13.1"},
    "nfd": "v0.18.2",
}
_OLD: Mapping[str, Any] = {
    "cdi": {"enabled": False, "default": False},
    "validator": {"repository": "nvcr.io/nvidia/cloud-native", "image": "gpu-operator-validator"},
    "driver": {"version": "580.82.07"},
    "toolkit": {"version": "v1.17.8-ubuntu20.04"},
    "devicePlugin": {"version": "v0.17.4"},
    "dcgmExporter": {"version": "4.3.1-4.4.0-ubuntu22.04"},
    "gfd": {"version": "v0.17.4"},
    "migManager": {"version": "v0.12.3-ubuntu20.04"},
    "nfd": "v0.17.3",
}
_RELEASES: Mapping[str, Mapping[str, Any]] = {
    "v26.3.3": {
        **_NEW,
        "driver": {"version": "580.126.20"},
        "toolkit": {"version": "v1.19.1"},
        "devicePlugin": {"version": "v0.19.3"},
        "dcgmExporter": {"version": "4.5.3-4.8.2-distroless"},
        "gfd": {"version": "v0.19.3"},
        "migManager": {"version": "v0.14.2"},
        "nfd": "v0.18.3",
    },
    "v25.10.1": _NEW,
    "v25.3.4": _OLD,
    "v25.3.2": {**_OLD, "driver": {"version": "570.148.08"}},
    "v24.9.2": {**_OLD, "driver": {"version": "550.144.03"}, "toolkit": {"version": "v1.17.4-ubuntu20.04"}},
}
DEFAULTS: Object = {
    "nfd": {"enabled": True, "nodefeaturerules": False},
    "psa": {"enabled": False},
    "cdi": {},
    "sandboxWorkloads": {"enabled": False, "defaultWorkload": "container"},
    "hostPaths": {"rootFS": "/", "driverInstallDir": "/run/nvidia/driver"},
    "daemonsets": {"labels": {}, "annotations": {}, "priorityClassName": "system-node-critical"},
    "validator": {"env": [], "plugin": {"env": []}},
    "operator": {"runtimeClass": "nvidia", "use_ocp_driver_toolkit": False, "cleanupCRD": False, "upgradeCRD": True},
    "mig": {"strategy": "single"},
    "driver": {
        "enabled": True,
        "repository": "nvcr.io/nvidia",
        "image": "driver",
        "usePrecompiled": False,
        "env": [],
        "licensingConfig": {"nlsEnabled": True},
    },
    "toolkit": {
        "enabled": True,
        "repository": "nvcr.io/nvidia/k8s",
        "image": "container-toolkit",
        "env": [],
        "installDir": "/usr/local/nvidia",
    },
    "devicePlugin": {
        "enabled": True,
        "repository": "nvcr.io/nvidia",
        "image": "k8s-device-plugin",
        "env": [],
        "config": {"create": False, "name": "", "default": "", "data": {}},
    },
    "dcgm": {"enabled": False},
    "dcgmExporter": {"enabled": True, "repository": "nvcr.io/nvidia/k8s", "image": "dcgm-exporter", "env": []},
    "gfd": {"enabled": True, "repository": "nvcr.io/nvidia", "image": "k8s-device-plugin", "env": []},
    "migManager": {
        "enabled": True,
        "repository": "nvcr.io/nvidia/cloud-native",
        "image": "k8s-mig-manager",
        "env": [],
        "config": {"default": "all-disabled", "name": ""},
    },
    "nodeStatusExporter": {"enabled": False},
}
_NOT_OF_THE_POLICY = ("nfd",)
_CRDS = (
    ("nvidia.com", "ClusterPolicy", "clusterpolicies", "v1", False),
    ("nvidia.com", "NVIDIADriver", "nvidiadrivers", "v1alpha1", False),
    ("nfd.k8s-sigs.io", "NodeFeature", "nodefeatures", "v1alpha1", True),
    ("nfd.k8s-sigs.io", "NodeFeatureGroup", "nodefeaturegroups", "v1alpha1", True),
    ("nfd.k8s-sigs.io", "NodeFeatureRule", "nodefeaturerules", "v1alpha1", False),
)
_NFD_IMAGE = "registry.k8s.io/nfd/node-feature-discovery"
_LABELS = "app.kubernetes.io/"
_STAYS = {"nvidia.com/gpu-driver-upgrade-drain.skip": "true"}


def render(chart: Rendering) -> list[Object]:
    return [*_operator(chart), *(_nfd(chart) if chart.values["nfd"]["enabled"] else []), _policy(chart)]


def _operator(chart: Rendering) -> list[Object]:
    labels = _labels("gpu-operator", chart.release) | {f"{_LABELS}component": "gpu-operator"}
    selector = {"app": "gpu-operator", f"{_LABELS}component": "gpu-operator"}
    image = f"nvcr.io/nvidia/gpu-operator:{chart.app_version}"
    account = _bare("v1", "ServiceAccount", "gpu-operator", labels)
    rights = _rights("gpu-operator", ("ClusterRole", "Role"), labels, "gpu-operator", chart.namespace)
    main = _pod("gpu-operator", image, "gpu-operator")
    return [account, *rights, _workload("Deployment", "gpu-operator", main, labels | _STAYS, selector)]


def _nfd(chart: Rendering) -> list[Object]:
    name, account = f"{chart.release}-node-feature-discovery", "node-feature-discovery"
    labels, image = _labels(account, chart.release), f"{_NFD_IMAGE}:{_RELEASES[chart.version]['nfd']}"
    selector = {key: labels[key] for key in (f"{_LABELS}instance", f"{_LABELS}name")}
    made = [_bare("v1", "ServiceAccount", account, labels)]
    made += [_bare("v1", "ConfigMap", f"{name}-{part}-conf", labels) for part in ("master", "worker")]
    for suffix, kind in (("", "ClusterRole"), ("-gc", "ClusterRole"), ("-worker", "Role")):
        made += _rights(f"{name}{suffix}", (kind,), labels, account, chart.namespace)
    for part, kind in (("worker", "DaemonSet"), ("master", "Deployment"), ("gc", "Deployment")):
        role = {"role": part}
        pod = _pod(part, image, account)
        made.append(_workload(kind, f"{name}-{part}", pod, labels | role, selector | role))
    return made


def _policy(chart: Rendering) -> Object:
    release = _RELEASES[chart.version]
    spec = {name: value for name, value in chart.values.items() if name not in _NOT_OF_THE_POLICY}
    spec = {name: {**release.get(name, {}), **value} for name, value in spec.items()}
    spec["operator"] = {"runtimeClass": chart.values["operator"]["runtimeClass"]}
    spec["validator"] = {"version": chart.app_version} | spec["validator"]
    spec["devicePlugin"]["config"] = {
        name: value for name, value in chart.values["devicePlugin"]["config"].items() if name in ("name", "default")
    }
    if release["cdi"]["enabled"]:
        spec["driver"]["licensingConfig"] = {"secretName": ""} | chart.values["driver"]["licensingConfig"]
    labels = _labels("gpu-operator", chart.release) | {f"{_LABELS}component": "gpu-operator"}
    return _bare("nvidia.com/v1", "ClusterPolicy", "cluster-policy", labels) | {"spec": spec}


def _labels(name: str, release: str) -> dict[str, str]:
    return {f"{_LABELS}name": name, f"{_LABELS}instance": release}


def _bare(version: str, kind: str, name: str, labels: Mapping[str, str]) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": dict(labels)}}


def _rights(name: str, kinds: tuple[str, ...], labels: Mapping[str, str], account: str, namespace: str) -> list[Object]:
    group = "rbac.authorization.k8s.io"
    subjects = [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]
    made = []
    for kind in kinds:
        role = {"apiGroup": group, "kind": kind, "name": name}
        made.append(_bare(f"{group}/v1", kind, name, labels) | {"rules": []})
        made.append(_bare(f"{group}/v1", f"{kind}Binding", name, labels) | {"roleRef": role, "subjects": subjects})
    return made


def _pod(name: str, image: str, account: str) -> Object:
    return {"serviceAccountName": account, "containers": [{"name": name, "image": image}]}


def _workload(kind: str, name: str, pod: Object, labels: Mapping[str, str], selector: Mapping[str, str]) -> Object:
    spec: dict[str, Any] = {
        "selector": {"matchLabels": dict(selector)},
        "template": {"metadata": {"labels": {**labels, **selector}}, "spec": pod},
    }
    return _bare("apps/v1", kind, name, labels) | {"spec": spec}


def definitions(release: str) -> list[Object]:
    """The chart's folders crds/. The annotation stands for what differs between releases."""
    made = []
    for group, kind, plural, version, namespaced in _CRDS:
        crd = definition(group, kind, plural, version, namespaced=namespaced)
        crd["metadata"]["annotations"] = {"controller-gen.kubebuilder.io/version": release}
        made.append(crd)
    return made


CHART = Chart(
    "gpu-operator",
    REPOSITORY,
    VERSIONS,
    DEFAULTS,
    render,
    controllers,
    definitions,
    renews_definitions=True,
    has_schema=False,
)
