"""What is foreign and would go with a managed node: objects of the cluster, and files of its volumes."""

from __future__ import annotations

from collections.abc import Mapping

from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import is_control_plane, kube
from tasks.shared.microk8s.distribution import SNAP_KEY, STOPPING_KEY, is_installed
from tasks.shared.microk8s.facts import STOPPED
from thinkube_nornir.cluster import Cluster, Object, foreign_cluster_wide, foreign_in_cluster
from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.context import context, is_managed
from thinkube_nornir.errors import ClusterError
from thinkube_nornir.foreign import Foreign, refuse_foreign
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.remote import read

VOLUMES = "/var/snap/microk8s/common/default-storage"
_OWN = ("default", "kube-system", "kube-public", "kube-node-lease")
_NAMES = {
    *("calico-config", "calico-kube-controllers", "calico-node", "coredns", "hostpath-provisioner", "kube-dns"),
    *("extension-apiserver-authentication", "kube-apiserver-legacy-service-account-token-tracking", "kubernetes"),
}
"""Of what MicroK8s, its first addons and Kubernetes itself make there, and no controller owns.

Source: canonical/microk8s@1.35 upgrade-scripts/000-switch-to-calico/resources/calico.yaml
Source: canonical/microk8s-core-addons@1.35 addons/dns/coredns.yaml
Source: canonical/microk8s-core-addons@1.35 addons/hostpath-storage/storage.yaml
"""
_ACCOUNTS = ("ServiceAccount", "Role", "RoleBinding")
"""One of each controller, and rights of theirs: by the dozen, and worth nothing without what uses them."""
_CERTIFICATE = "cert-manager.io/certificate-name"
_OF_ADDONS = {"metallb-system": "addon:metallb"}
"""Namespaces that an addon brings; it is taken away before, by whom it was turned on."""


def _parse(done: Completed) -> tuple[str, ...]:
    return tuple(f"{VOLUMES}/{name}" for name in done.text.splitlines())


FILES = Fact("files of volumes", ("ls", "-A", "--", VOLUMES), _parse, root=True, accept=(0, 2))


def refuse_foreign_things(task: Task) -> Result:
    """Before anything of a managed node is removed; a rollback that was killed after this goes on."""
    if not is_managed(task, SNAP_KEY) or not is_installed(task):
        return unchanged(task, "no managed MicroK8s")
    if is_managed(task, STOPPING_KEY) and read(task, STOPPED):
        return unchanged(task, "it was stopped to be removed")
    try:
        volumes = {path: claim for obj in kube(task).list("v1", "PersistentVolume") for path, claim in _claim(obj)}
        objects = _objects(task) if is_control_plane(task) else []
    except ClusterError as error:
        if is_managed(task, STOPPING_KEY):  # killed while it stopped, or while snapd did: the answer was known before
            return unchanged(task, "it was being stopped to be removed")
        volumes, objects = {}, []
        if is_control_plane(task):
            objects = [Foreign(f"objects of {task.host.name}", (f"whatever is there: {error.what}",))]
    refuse_foreign(task, f"MicroK8s on {task.host.name}", [*objects, *_files(task, volumes)])
    return unchanged(task, "nothing foreign is in it")


def _objects(task: Task) -> list[Foreign]:
    api = kube(task)
    inside = foreign_in_cluster(api, namespaces=_OWN, belongs=lambda obj: _is_of_the_cluster(api, obj))
    return [*inside, *foreign_cluster_wide(api, ("v1", "PersistentVolume"))]


def _is_of_the_cluster(api: Cluster, obj: Object) -> bool:
    """What stands in managed namespaces is judged by those who take these away, before this; what a Certificate has
    made for it, by the Certificate."""
    if _CERTIFICATE in (obj["metadata"].get("annotations") or {}):
        return True
    name, space = obj["metadata"]["name"], obj["metadata"].get("namespace") or ""
    if space in _OWN:
        return obj["kind"] in _ACCOUNTS or name in _NAMES
    space = name if obj["kind"] == "Namespace" else space
    keys = (f"object:v1/Namespace/{space}", _OF_ADDONS.get(space, ""))
    return any(context(api.task).change_log.managed(api.host, key) for key in keys if key)


def _claim(volume: Object) -> list[tuple[str, str]]:
    """Path and owner of a volume that somebody claimed."""
    spec = volume.get("spec") or {}
    path, claim = (spec.get("hostPath") or spec.get("local") or {}).get("path"), spec.get("claimRef")
    return [(path, f"PersistentVolumeClaim {claim['namespace']}/{claim['name']}")] if path and claim else []


def _files(task: Task, volumes: Mapping[str, str]) -> list[Foreign]:
    """Those of a claim are named by it: among the objects, where the cluster goes."""
    named = {path: f"{task.host.name}:{path}" for path in read(task, FILES)}
    if is_control_plane(task):
        return [Foreign(name) for path, name in named.items() if path not in volumes]
    return [Foreign(volumes[path], (name,)) if path in volumes else Foreign(name) for path, name in named.items()]
