"""NVIDIA's GPU operator: its chart's values, and the objects that the chart itself brings."""

from __future__ import annotations

from typing import Any

from tasks.lab.charts.chart import Chart, Rendering
from tasks.lab.gpu_operator import controllers
from thinkube_nornir.lab.kube import Object

REPOSITORY = "https://helm.ngc.nvidia.com/nvidia"
VERSIONS = {"v25.3.4": "v25.3.4", "v25.3.2": "v25.3.2", "v24.9.2": "v24.9.2"}
DEFAULTS: Object = {
    "platform": {"openshift": False},
    "nfd": {"enabled": True, "nodefeaturerules": False},
    "psa": {"enabled": False},
    "cdi": {"enabled": False, "default": False},
    "sandboxWorkloads": {"enabled": False, "defaultWorkload": "container"},
    "hostPaths": {"rootFS": "/", "driverInstallDir": "/run/nvidia/driver"},
    "daemonsets": {"labels": {}, "annotations": {}, "priorityClassName": "system-node-critical"},
    "validator": {"version": "", "env": [], "plugin": {"env": []}},
    "operator": {
        "defaultRuntime": "docker",
        "runtimeClass": "nvidia",
        "use_ocp_driver_toolkit": False,
        "cleanupCRD": False,
        "upgradeCRD": True,
    },
    "mig": {"strategy": "single"},
    "driver": {"enabled": True, "version": "570.172.08", "usePrecompiled": False, "env": []},
    "toolkit": {"enabled": True, "version": "v1.17.8-ubuntu20.04", "env": [], "installDir": "/usr/local/nvidia"},
    "devicePlugin": {
        "enabled": True,
        "version": "v0.17.4",
        "env": [],
        "config": {"create": False, "name": "", "default": "", "data": {}},
    },
    "dcgm": {"enabled": False},
    "dcgmExporter": {"enabled": True, "env": []},
    "gfd": {"enabled": True, "env": []},
    "migManager": {"enabled": True, "env": []},
    "nodeStatusExporter": {"enabled": False},
    "gdrcopy": {"enabled": False},
    "gds": {"enabled": False},
    "node-feature-discovery": {},
}
_CRDS = (
    ("clusterpolicies", "ClusterPolicy", "nvidia.com", "v1", "Cluster"),
    ("nvidiadrivers", "NVIDIADriver", "nvidia.com", "v1alpha1", "Cluster"),
    ("nodefeatures", "NodeFeature", "nfd.k8s-sigs.io", "v1alpha1", "Namespaced"),
    ("nodefeaturegroups", "NodeFeatureGroup", "nfd.k8s-sigs.io", "v1alpha1", "Namespaced"),
    ("nodefeaturerules", "NodeFeatureRule", "nfd.k8s-sigs.io", "v1alpha1", "Cluster"),
)
_NFD_IMAGE = "registry.k8s.io/nfd/node-feature-discovery:v0.17.3"


def render(chart: Rendering) -> list[Object]:
    nfd = _nfd(chart) if chart.values["nfd"]["enabled"] else []
    operator = _workload("Deployment", "gpu-operator", f"nvcr.io/nvidia/gpu-operator:{chart.app_version}")
    return [*map(_definition, _CRDS), _account("gpu-operator"), operator, *nfd, _policy(chart)]


def _nfd(chart: Rendering) -> list[Object]:
    name = f"{chart.release}-node-feature-discovery"
    master, gc = (_workload("Deployment", f"{name}-{part}", _NFD_IMAGE) for part in ("master", "gc"))
    return [_account("node-feature-discovery"), master, gc, _workload("DaemonSet", f"{name}-worker", _NFD_IMAGE)]


def _policy(chart: Rendering) -> Object:
    left_out = ("platform", "nfd", "node-feature-discovery")
    spec = {name: value for name, value in chart.values.items() if name not in left_out}
    metadata = {"name": "cluster-policy", "labels": {"app.kubernetes.io/component": "gpu-operator"}}
    return {"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "metadata": metadata, "spec": spec}


def _account(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def _workload(kind: str, name: str, image: str) -> Object:
    labels = {"app": name}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}},
    }
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}


def _definition(crd: tuple[str, str, str, str, str]) -> Object:
    """From the chart's folder crds/, which helm installs once and never removes."""
    plural, kind, group, version, scope = crd
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    served = {"name": version, "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {"group": group, "scope": scope, "names": names, "versions": [served]},
    }


CHART = Chart("gpu-operator", REPOSITORY, VERSIONS, DEFAULTS, render, controllers)
