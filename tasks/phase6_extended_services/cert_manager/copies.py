"""Copies of the certificate's secret in the namespaces that serve it: made by set-up, renewed in the cluster.

A secret can be mounted in its own namespace only. What follows a renewal is in copier.py.
"""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.cert_manager.issuing import (
    NAMESPACE,
    SOURCE_NAMESPACE,
    certificate_name,
    copied_secrets,
)
from tasks.shared.cluster.control_plane import Object, kube, name_of
from tasks.shared.cluster.tls import TYPE, read_pair
from thinkube_nornir.cluster import Cluster, apply, restore
from thinkube_nornir.context import component_of, context
from thinkube_nornir.outcome import all_of, skipped, unchanged

_CONTENT = (
    ("v1", "Service"),
    ("v1", "PersistentVolumeClaim"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("networking.k8s.io/v1", "Ingress"),
)


def namespace(name: str) -> Object:
    """As every component that uses a namespace must apply it: other fields would be taken away by the next one."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def source(task: Task) -> Object | None:
    return kube(task).get("v1", "Secret", certificate_name(task), SOURCE_NAMESPACE)


def create_namespaces(task: Task) -> Result:
    api = kube(task)
    return all_of(task, *[apply(api, namespace(name)) for name in copied_secrets(task)])


def copy_certificate(task: Task) -> Result:
    api, found = kube(task), source(task)
    if found is None and context(task).dry_run:
        return skipped(task, "there is no certificate to copy yet")
    if found is None:
        return unchanged(task, "there is nothing to copy")
    read_pair(found)  # makes the key known as a secret before it is in a manifest
    return all_of(task, *[apply(api, _copy(found, place, name)) for place, name in copied_secrets(task).items()])


def _copy(found: Object, place: str, name: str) -> Object:
    metadata = {"name": name, "namespace": place}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": TYPE, "data": found["data"]}


def remove_copies(task: Task) -> Result:
    return restored(task, ("Secret",), "-tls-secret")


def remove_namespaces(task: Task) -> Result:
    """Those that we made, unless others use them by now."""
    results = [unchanged(task, "no namespace is ours")]
    for record in reversed(context(task).change_log.changes(host=task.host.name, component=component_of(task))):
        kind, _, name = record.key.removeprefix("object:v1/").partition("/")
        if record.key.startswith("object:v1/") and kind == "Namespace" and name != NAMESPACE:
            results.append(namespace_gone(task, name))
    return with_leftovers(task, results)


def with_leftovers(task: Task, results: list[Result]) -> Result:
    """What stays is told beside what went."""
    told, left = all_of(task, *results), [str(r.result) for r in results if "was left" in str(r.result)]
    if told.changed and left:
        told.result = "; ".join([str(told.result), *left])
    return told


def namespace_gone(task: Task, name: str) -> Result:
    api = kube(task)
    held = [] if context(task).dry_run else content(api, name)
    if held:
        return unchanged(task, f"namespace {name} was left: it holds {', '.join(held)}")
    return restore(api, "v1", "Namespace", name)


def content(api: Cluster, place: str) -> list[str]:
    """What somebody would miss in a namespace."""
    found = [(kind, name_of(obj)) for version, kind in _CONTENT for obj in api.list(version, kind, place)]
    return [f"{kind} {name}" for kind, name in found]


def restored(task: Task, kinds: tuple[str, ...], mark: str) -> Result:
    """Every object of these kinds that this component's records hold, also those of namespaces named no more."""
    results = [unchanged(task, "nothing of it is ours")]
    for record in reversed(context(task).change_log.changes(host=task.host.name, component=component_of(task))):
        version, kind, place, name = _parts(record.key)
        if kind in kinds and mark in name:
            results.append(restore(kube(task), version, kind, name, place))
    return all_of(task, *results)


def _parts(key: str) -> tuple[str, str, str, str]:
    """Of a record's key: `object:rbac.authorization.k8s.io/v1/Role/ingress/certificate-copier`."""
    group_and_more = key.removeprefix("object:").split("/")
    if not key.startswith("object:"):
        return "", "", "", ""
    at = next(i for i, part in enumerate(group_and_more) if part.startswith("v") and part[1:2].isdigit())
    version, rest = "/".join(group_and_more[: at + 1]), group_and_more[at + 1 :]
    place, name = (rest[1], rest[2]) if len(rest) == 3 else ("", rest[1])
    return version, rest[0], place, name
