"""How objects of a cluster are broken: scripts for the control plane, each for all objects of a resource at once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tests.promises.lab_project import LabProject
from thinkube_nornir.cluster.objects import reference
from thinkube_nornir.resources import HelmRelease, Manifest

Object = dict[str, Any]
CONTROL_PLANE = "tkc"
REPOSITORIES = {"cert-manager": "https://charts.jetstack.io"}
_TAKE_OTHERS_ALONG = ("Namespace", "CustomResourceDefinition")
_WORKLOADS = ("Deployment", "StatefulSet")


@dataclass(frozen=True)
class Way:
    script: str
    names: tuple[str, ...] = ()
    """Of the objects that it breaks, as errors have them."""


def objects_of(project: LabProject, resource: Manifest | HelmRelease) -> list[Object]:
    """What stands in the cluster of it: by the records of a manifest, by helm's marks of a release."""
    there: dict[str, Object] = project.snapshot()["objects"][CONTROL_PLANE]
    if isinstance(resource, Manifest):
        with closing(sqlite3.connect(project.folder / ".thinkube" / "journal.sqlite")) as journal:
            rows = journal.execute("SELECT key, before FROM changes WHERE state = 'done' ORDER BY id").fetchall()
        keys = [key.removeprefix("object:") for key, before in rows if json.loads(before).get("part") == resource.name]
        return [there[key] for key in keys]
    notes = [(obj["metadata"].get("annotations") or {}).get("meta.helm.sh/release-name") for obj in there.values()]
    return [obj for obj, release in zip(there.values(), notes, strict=True) if release == resource.release]


def ways(project: LabProject, resource: Manifest | HelmRelease) -> list[Way]:
    objects = objects_of(project, resource)
    deleted = [obj for obj in objects if obj["kind"] not in _TAKE_OTHERS_ALONG]
    changed = [(obj, change) for obj in objects if (change := _change(obj))]
    stopped = [(obj, {"spec": {"replicas": 0}}) for obj in objects if obj["kind"] in _WORKLOADS]
    found = [
        _way((obj, f"lab-api delete {_place(obj)}") for obj in deleted),
        _way((obj, _patched(obj, change)) for obj, change in changed),
        _way((obj, _patched(obj, change)) for obj, change in stopped),
    ]
    return [way for way in found if way.names] + (
        _ways_of_release(resource) if isinstance(resource, HelmRelease) else []
    )


def _ways_of_release(resource: HelmRelease) -> list[Way]:
    helm, place = "/snap/bin/microk8s.helm3", f"--namespace {resource.namespace}"
    chart = f"{resource.chart} --repo {REPOSITORIES[resource.chart]}"
    upgraded = f"{helm} upgrade {resource.release} {chart} {place} --values - <<'end'\n{{}}\nend"
    return [Way(f"{helm} uninstall {resource.release} {place} --wait"), Way(upgraded)]


def _way(broken: Iterable[tuple[Object, str]]) -> Way:
    pairs = list(broken)
    return Way("\n".join(["set -e", *(script for _, script in pairs)]), tuple(str(reference(obj)) for obj, _ in pairs))


def _place(obj: Object) -> str:
    ref = reference(obj)
    return f'{ref.api_version} {ref.kind} "{ref.namespace}" {ref.name}'


def _patched(obj: Object, change: Object) -> str:
    return f"lab-api patch {_place(obj)} <<'end'\n{json.dumps(change)}\nend"


_CHANGES: dict[str, Object] = {
    "Namespace": {},  # nothing of it is declared but its name
    "Job": {},  # it cannot be changed
    "CronJob": {"spec": {"suspend": True}},
    "Role": {"rules": []},
    "RoleBinding": {"subjects": []},
    "Certificate": {"spec": {"renewBefore": "700h0m0s"}},
    "CustomResourceDefinition": {"metadata": {"annotations": {"helm.sh/resource-policy": None}}},
}


def _change(obj: Object) -> Object:
    """A field that is declared, with another value; empty for kinds that have none which may change."""
    labels = [name for name in obj["metadata"].get("labels") or {} if "managed-by" not in name]
    match obj:
        case {"kind": kind} if kind in _CHANGES:
            return _CHANGES[kind]
        case {"data": data}:
            return {"data": {next(iter(data)): "b3RoZXI="}}
        case {"kind": "Service", "spec": {"selector": selector}}:
            return {"spec": {"selector": {next(iter(selector)): "nobody"}}}
        case {"spec": {"template": {"spec": {"containers": [first, *others]}}}}:
            containers = [{**first, "image": "registry.invalid/x:1"}, *others]
            return {"spec": {"template": {"spec": {"containers": containers}}}}
        case {"automountServiceAccountToken": automounts}:
            return {"automountServiceAccountToken": not automounts}
    return {"metadata": {"labels": {labels[0]: "other"}}} if labels else {}
