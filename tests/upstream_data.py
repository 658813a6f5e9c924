"""Upstream's own data files, which the drift tests compare product and lab with; THINKUBE_UPSTREAM names their folder.

Without the variable a test that asks for a file is skipped. With it, a file that is not there is a failure: the
inventory names a version that no data covers, and the message says what to add.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.upstream_schemas import GroupVersionKind, Schema, custom_resources, served_kinds

Object = dict[str, Any]
VARIABLE = "THINKUBE_UPSTREAM"
_TRACKS = ("microk8s", "microk8s-addons")
_CHARTS = {  # where a chart stands below its version
    "cert-manager": ("cert-manager", "deploy/charts/cert-manager"),
    "gpu-operator": ("gpu-operator", "deployments/gpu-operator"),
    "ingress-nginx": ("ingress-nginx", "charts/ingress-nginx"),
    "traefik": ("traefik", "traefik"),
    "metallb": ("metallb", "charts/metallb"),
}
_PLACEHOLDERS = {  # as the addons' enable scripts fill them
    "{{addresses}}": "addresses: [10.64.140.43-10.64.140.49]",
    "{{allow_escalation}}": "false",
    "$ALLOWESCALATION": "false",
    "$CLUSTERDOMAIN": "cluster.local",
    "$NAMESERVERS": "/etc/resolv.conf",
    "$RECLAIM_POLICY": "Delete",
}
_VERSION_PREFIX = {"ingress-nginx": "helm-chart-", "traefik": "v"}


def folder() -> Path:
    """The folder of upstream's data; skips the test when there is none."""
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"{VARIABLE} is not set: it names the folder of upstream's data (docs/testing.md)")
    return Path(named)


def upstream(*paths: str) -> Path:
    """The first of these files; fails the test and lists them when none of several is there, or the one is not.

    Args:
        paths: below the folder, as `cert-manager/v1.20.3/deploy/crds`; several where releases name a file differently.
    """
    found = [folder() / path for path in paths if (folder() / path).exists()]
    if not found:
        pytest.fail("upstream's data does not cover this; add to the folder that is named by " + missing(paths))
    return found[0]


def missing(paths: tuple[str, ...]) -> str:
    return f"{VARIABLE} ({folder()}):\n" + "\n".join(f"  {path}" for path in paths)


def text(*paths: str) -> str:
    return upstream(*paths).read_text()


def documents(*paths: str) -> list[Object]:
    """The objects of a YAML file, or of all YAML files of a folder."""
    return list(_documents(upstream(*paths)))


@functools.cache
def _documents(path: Path) -> tuple[Object, ...]:
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    return tuple(found for file in files for found in yaml_documents(file.read_text()))


def yaml_documents(content: str) -> list[Object]:
    """The C loader is used where there is one: a CRD can have 300 kB."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [found for found in yaml.load_all(content, Loader=loader) if found]


def chart_folder(chart: str, version: str) -> str:
    """Releases are named with and without a `v`."""
    above, below = _CHARTS[chart]
    prefix = _VERSION_PREFIX.get(chart, "")
    return f"{above}/{prefix}{version.removeprefix(prefix)}/{below}"


def chart_values(chart: str, version: str) -> Object:
    """The chart's default values."""
    return documents(f"{chart_folder(chart, version)}/values.yaml")[0]


def chart_schema(chart: str, version: str) -> Schema | None:
    """The JSON schema of the chart's values; None when it has none, and a wrong key is silently ignored."""
    upstream(chart_folder(chart, version))
    path = folder() / chart_folder(chart, version) / "values.schema.json"
    return json.loads(path.read_text()) if path.exists() else None


def rendered(name: str) -> list[Object]:
    """What the real chart makes with its default values: `cert-manager-v1.20.3`."""
    return documents(f"rendered/{name}.yaml")


def addon(track: str, path: str) -> list[Object]:
    """The objects of a manifest of MicroK8s' addons, its placeholders filled: `addon("1.35", "dns/coredns.yaml")`."""
    content = text(f"microk8s-addons/{track}/addons/{path}")
    for placeholder, value in _PLACEHOLDERS.items():
        content = content.replace(placeholder, value)
    return yaml_documents(content)


def microk8s(track: str, path: str) -> str:
    """A file of MicroK8s' sources: `microk8s("1.35", "microk8s-resources/default-args/kubelet")`."""
    return text(f"microk8s/{track}/{path}")


def tracks() -> list[str]:
    """The MicroK8s releases that the data covers, oldest first."""
    found = [{path.name for path in upstream(name).iterdir()} for name in _TRACKS]
    return sorted(set.intersection(*found), key=lambda track: tuple(map(int, track.split("."))))


def crds(*paths: str) -> Mapping[GroupVersionKind, Schema]:
    """The strict schemas of the custom resources that the CRDs of a file or folder define."""
    return custom_resources(documents(*paths), builtin_definitions())


def builtin_schemas() -> Mapping[GroupVersionKind, Schema]:
    """The strict schemas of Kubernetes' own kinds, as a real API server publishes them."""
    return served_kinds(builtin_definitions())


def builtin_definitions() -> Mapping[str, Schema]:
    return _definitions(upstream("kubernetes/openapi/v3"))


@functools.cache
def _definitions(path: Path) -> Mapping[str, Schema]:
    found: dict[str, Schema] = {}
    for file in sorted(path.rglob("*.json")):
        found |= json.loads(file.read_text())["components"]["schemas"]
    return found
