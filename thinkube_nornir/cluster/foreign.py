"""What is in a namespace or a cluster, and not managed: what foreign.py is given before such a whole is removed.

All kinds that the API serves are asked for, custom ones too. Left out is what comes back or goes by itself: events,
leases, and what a controller made for another object. What a Helm release brought goes by the release's name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TypeVar

from thinkube_nornir.change_log import release_key
from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.handle import Cluster, Kind, Objects
from thinkube_nornir.cluster.managed import known_as_managed
from thinkube_nornir.cluster.messages import Call, Object
from thinkube_nornir.cluster.objects import Reference
from thinkube_nornir.cluster.ownership import is_owned_by_us
from thinkube_nornir.context import context
from thinkube_nornir.errors import ClusterError
from thinkube_nornir.foreign import Foreign

T = TypeVar("T")
Belongs = Callable[[Object], bool]
"""What the caller knows to belong to it without a record of it: what an addon brings, or its controller makes."""

_NO_THINGS = {"Event", "Lease", "Endpoints"}
"""Kinds of what is made anew, or goes with the Service that it belongs to."""
_MEASURED = "metrics.k8s.io"
"""The end of the groups whose objects are stored nowhere; their own server may be away."""
_IN_EACH_NAMESPACE = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
"""Source: kubernetes/kubernetes@v1.36.2 pkg/controller/serviceaccount/serviceaccounts_controller.go
Source: kubernetes/kubernetes@v1.36.2 pkg/controller/certificates/rootcacertpublisher/publisher.go"""
_RELEASE, _RELEASES_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
"""Source: helm/helm@v3.19.2 pkg/action/validate.go"""


def _none(_: Object) -> bool:
    return False


def foreign_in_namespace(kube: Cluster, namespace: str, *, belongs: Belongs = _none) -> list[Foreign]:
    """What in a namespace is not managed; nothing when there is no such namespace."""
    found = [obj for kind in _kinds(kube) if _holds_things(kind) for obj in _listed(kube, kind, namespace)]
    return _named([obj for obj in found if _is_foreign(kube, obj, belongs)])


def foreign_in_cluster(kube: Cluster, *, namespaces: Collection[str] = (), belongs: Belongs = _none) -> list[Foreign]:
    """What in all namespaces is not managed. A namespace that is not managed is named as one, with what it holds.

    Args:
        namespaces: those of the cluster itself, `kube-system`: not managed, and looked into like a managed one.
    """
    found = [obj for kind in _kinds(kube) if _holds_things(kind) for obj in _listed(kube, kind)]
    found = [obj for obj in found if _is_foreign(kube, obj, belongs)]
    whole = [
        name
        for obj in kube.list("v1", "Namespace")
        if (name := obj["metadata"]["name"]) not in namespaces and _is_foreign(kube, obj, belongs)
    ]
    inside = _named([obj for obj in found if obj["metadata"]["namespace"] not in whole])
    return [*(_namespace(name, found) for name in whole), *inside]


def foreign_cluster_wide(kube: Cluster, *kinds: tuple[str, str], belongs: Belongs = _none) -> list[Foreign]:
    """What of these kinds, which have no namespace, is not managed; of volumes those that no claim had made for it."""
    found = [obj for kind in kinds for obj in kube.list(*kind)]
    return _named([obj for obj in found if not _of_a_claim(obj) and _is_foreign(kube, obj, belongs)])


def _kinds(kube: Cluster) -> list[Kind]:
    """Those that can be listed and deleted, in the version that the API prefers."""
    groups = kube.client.ask(Call("GET", "/apis", doing="listing the API's groups"), deadline(kube.task))["groups"]
    stored = [group for group in groups if not group["name"].endswith(_MEASURED)]
    versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in stored)]
    found = []
    for version in versions:
        path = Kind(version, "", "", namespaced=False).path().rstrip("/")
        call = Call("GET", path, doing=f"looking up the kinds of {version}")
        answer: Object = _unless_gone(partial(kube.client.ask, call, deadline(kube.task)), {})
        found += [
            Kind(version, served["kind"], served["name"], served["namespaced"])
            for served in answer.get("resources") or []
            if "/" not in served["name"] and {"list", "delete"} <= set(served.get("verbs") or ())
        ]
    return found


def _holds_things(kind: Kind) -> bool:
    return kind.namespaced and kind.kind not in _NO_THINGS


def _listed(kube: Cluster, kind: Kind, namespace: str = "") -> Objects:
    return _unless_gone(lambda: kube.listing(kind, namespace, {}, deadline(kube.task))[0], [])


def _unless_gone(answer: Callable[[], T], otherwise: T) -> T:
    """Kinds, and whole groups, may go while all are asked for: another step may take their definitions away."""
    try:
        return answer()
    except ClusterError as error:
        if error.status == 404:
            return otherwise
        raise


def _is_foreign(kube: Cluster, obj: Object, belongs: Belongs) -> bool:
    at = obj["metadata"]
    if at.get("ownerReferences") or (obj["kind"], at["name"]) in _IN_EACH_NAMESPACE or belongs(obj):
        return False
    if release := _release_of(obj):
        return context(kube.task).change_log.managed(kube.host, release_key(*release)) is None
    known = known_as_managed(kube, _reference(obj))
    return known.before["object"] is not None if known else not is_owned_by_us(obj)


def _release_of(obj: Object) -> tuple[str, str] | None:
    """Namespace and name of the Helm release that brought the object, or that it is helm's record of."""
    at = obj["metadata"]
    notes, labels = at.get("annotations") or {}, at.get("labels") or {}
    if _RELEASE in notes:
        return str(notes.get(_RELEASES_NAMESPACE, at.get("namespace", ""))), str(notes[_RELEASE])
    if labels.get("owner") == "helm" and labels.get("name"):
        return at.get("namespace", ""), str(labels["name"])
    return None


def _of_a_claim(obj: Object) -> bool:
    """A volume that a provisioner made; it goes with the PersistentVolumeClaim."""
    return obj["kind"] == "PersistentVolume" and "pv.kubernetes.io/provisioned-by" in (
        obj["metadata"].get("annotations") or {}
    )


def _named(objects: Iterable[Object]) -> list[Foreign]:
    """Releases with what they brought, and the objects of none."""
    releases: dict[tuple[str, str], list[str]] = {}
    alone = []
    for obj in objects:
        name = str(_reference(obj))
        if release := _release_of(obj):
            holds = releases.setdefault(release, [])
            holds += [] if (obj["metadata"].get("labels") or {}).get("owner") == "helm" else [name]
        else:
            alone.append(Foreign(name))
    return [*(Foreign(f"release {space}/{name}", tuple(h)) for (space, name), h in releases.items()), *alone]


def _namespace(name: str, objects: Iterable[Object]) -> Foreign:
    inside = [obj for obj in objects if obj["metadata"].get("namespace") == name]
    return Foreign(f"Namespace {name}", tuple(f"{obj['kind']} {obj['metadata']['name']}" for obj in inside))


def _reference(obj: Object) -> Reference:
    at = obj["metadata"]
    return Reference(obj["apiVersion"], obj["kind"], at["name"], at.get("namespace", ""))
