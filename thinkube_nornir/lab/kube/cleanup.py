"""What goes when something else goes: dependents of owners, contents of namespaces, objects of CRDs, used claims.

Source: kubernetes/kubernetes@02830ed24bc1 pkg/controller/garbagecollector/garbagecollector.go (attemptToDeleteItem)
Source: kubernetes/kubernetes@00bdb3fade2e pkg/controller/namespace/deletion/namespaced_resources_deleter.go
Source: kubernetes/kubernetes@003e86297d18 pkg/controller/volume/pvcprotection/pvc_protection_controller.go
Source: kubernetes/apiextensions-apiserver@v0.35.0 pkg/controller/finalizer/crd_finalizer.go
Unproven: the order in which a namespace's kinds go (newer releases remove its pods first), and how a volume that
    is bound keeps its finalizer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial

from thinkube_nornir.lab.kube.admission import CLAIM_PROTECTION, CRD_CLEANUP, VOLUME_PROTECTION
from thinkube_nornir.lab.kube.cluster import Cluster
from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.deletion import FINALIZERS, FOREGROUND, ORPHAN, Deletion
from thinkube_nornir.lab.kube.objects import (
    Key,
    Object,
    clone,
    dig,
    finalizers_of,
    key_of,
    name_of,
    namespace_of,
    terminating,
    uid_of,
    with_condition,
)
from thinkube_nornir.lab.kube.resources import custom_resources
from thinkube_nornir.lab.kube.store import Event


class Garbage:
    """The garbage collector: follows ownerReferences of objects of every kind."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        cluster.store.subscribe(self._report)

    def _report(self, event: Event) -> None:
        finalizers = finalizers_of(event.object)
        owner = event.object
        if event.type == "DELETED":
            self._cluster.queue.add((self, "gone", event.revision), partial(self._owner_gone, owner))
        elif terminating(owner) and FOREGROUND in finalizers:
            self._cluster.queue.add((self, uid_of(owner)), partial(self._foreground, owner))
        elif terminating(owner) and ORPHAN in finalizers:
            self._cluster.queue.add((self, uid_of(owner)), partial(self._orphan, owner))

    def _dependents(self, owner: Object) -> list[Object]:
        found = (obj for _, obj in self._cluster.store.everything())
        uid = uid_of(owner)
        return [clone(o) for o in found if any(r["uid"] == uid for r in o["metadata"].get("ownerReferences") or [])]

    def _owner_gone(self, owner: Object) -> None:
        for dependent in self._dependents(owner):
            self._attempt(dependent)
        for reference in owner["metadata"].get("ownerReferences") or []:
            self._look_again(reference, owner)

    def _look_again(self, reference: Object, gone: Object) -> None:
        """An owner that is deleted in the foreground may have waited for this dependent."""
        get = self._cluster.get
        namespaces = (namespace_of(gone), "")
        found = [get(reference["apiVersion"], reference["kind"], reference["name"], space) for space in namespaces]
        for owner in found:
            if owner is not None and terminating(owner) and FOREGROUND in finalizers_of(owner):
                self._foreground(owner)

    def _foreground(self, owner: Object) -> None:
        """The owner waits for the dependents that say so, and those for theirs: all the way down to the pods."""
        for dependent in self._dependents(owner):
            self._attempt(dependent)
        if not any(_blocks(dependent, owner) for dependent in self._dependents(owner)):
            self._cluster.drop_finalizer(owner, FOREGROUND)

    def _attempt(self, dependent: Object) -> None:
        """Delete what nobody owns any more; where another owner is there, only the reference goes."""
        if terminating(dependent):
            return
        references = dependent["metadata"]["ownerReferences"]
        owners = {reference["uid"]: self._owner(dependent, reference) for reference in references}
        waiting = {uid for uid, o in owners.items() if o and terminating(o) and FOREGROUND in finalizers_of(o)}
        solid = [r for r in references if owners[r["uid"]] is not None and r["uid"] not in waiting]
        if solid:
            dependent["metadata"]["ownerReferences"] = solid
            self._cluster.update(dependent)
        elif waiting and self._dependents(dependent):
            self._cluster.remove(dependent, how=Deletion("Foreground"))
        else:
            kept = [name for name, finalizer in FINALIZERS.items() if finalizer in finalizers_of(dependent)]
            self._cluster.remove(dependent, how=Deletion([*kept, "Background"][0]))

    def _owner(self, dependent: Object, reference: Object) -> Object | None:
        """The object of a reference; None where there is none, or another one of its name."""
        place = reference["apiVersion"], reference["kind"], reference["name"]
        for namespace in dict.fromkeys((namespace_of(dependent), "")):
            found = self._cluster.get(*place, namespace)
            if found is not None and uid_of(found) == reference["uid"]:
                return found
        return None

    def _orphan(self, owner: Object) -> None:
        for dependent in self._dependents(owner):
            self._disown(dependent, owner)
        self._cluster.drop_finalizer(owner, ORPHAN)

    def _disown(self, dependent: Object, owner: Object) -> None:
        references = dependent["metadata"]["ownerReferences"]
        dependent["metadata"]["ownerReferences"] = [r for r in references if r["uid"] != uid_of(owner)]
        self._cluster.update(dependent)


class Namespaces(Controller):
    """Gives each namespace what it always has, and empties one that is deleted."""

    elected = True
    kind = ("v1", "Namespace")

    def __init__(self) -> None:
        self._listening = False

    def reconcile(self, obj: Object) -> None:
        if terminating(obj):
            self._listen()
            self._empty(obj)
            return
        for kind, name in (("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")):
            if self.cluster.get("v1", kind, name, name_of(obj)) is None:
                self.cluster.create(
                    {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": name_of(obj)}}
                )

    def _listen(self) -> None:
        """From the first deletion on, look again at a namespace whenever one of its objects goes."""
        if not self._listening:
            self._listening = True
            self.cluster.store.subscribe(self._report)

    def _report(self, event: Event) -> None:
        name = namespace_of(event.object)
        namespace = self.cluster.store.get("namespaces", ("", name)) if event.type == "DELETED" and name else None
        if namespace is not None and terminating(namespace):
            self.cluster.queue.add((self, "empty", name), partial(self._look_again, name))

    def _look_again(self, name: str) -> None:
        if found := self.cluster.get("v1", "Namespace", name):
            self._empty(found)

    def _empty(self, namespace: Object) -> None:
        for obj in self._content(namespace):
            if not terminating(obj):
                self.cluster.remove(obj)
        left = self._content(namespace)
        if left:
            self._report_what_is_left(namespace, left)
        elif namespace["spec"].get("finalizers"):
            fresh = self.cluster.get("v1", "Namespace", name_of(namespace)) or namespace
            fresh["spec"]["finalizers"] = [f for f in fresh["spec"]["finalizers"] if f != "kubernetes"]
            self.cluster.update(fresh)

    def _content(self, namespace: Object) -> list[Object]:
        everything = self.cluster.store.everything()
        return [clone(obj) for _, obj in everything if namespace_of(obj) == name_of(namespace)]

    def _report_what_is_left(self, namespace: Object, left: list[Object]) -> None:
        counted = Counter(self._plural(obj) for obj in left)
        names = ", ".join(f"{name} has {count} resource instances" for name, count in sorted(counted.items()))
        conditions = with_condition(
            dig(namespace, "status", "conditions", default=[]),
            "NamespaceContentRemaining",
            True,
            "SomeResourcesRemain",
            f"Some resources are remaining: {names}",
        )
        finalizers = Counter(name for obj in left for name in finalizers_of(obj))
        if finalizers:
            held = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(finalizers.items()))
            reported = f"Some content in the namespace has finalizers remaining: {held}"
            conditions = with_condition(
                conditions, "NamespaceFinalizersRemaining", True, "SomeFinalizersRemain", reported
            )
        self.cluster.set_status(namespace, conditions=conditions)

    def _plural(self, obj: Object) -> str:
        """As the real one says it: `deployments.apps`, and `pods.` for a kind of no group."""
        resource = self.cluster.registry.by_kind(obj["apiVersion"], obj["kind"])
        return f"{resource.plural}.{resource.group}"


class Definitions(Controller):
    """Removes all objects of a CRD before the CRD goes."""

    kind = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")

    def __init__(self) -> None:
        self._listening = False

    def reconcile(self, obj: Object) -> None:
        if not terminating(obj):
            return
        if not self._listening:
            self._listening = True
            self.cluster.store.subscribe(self._report)
        reported = ("InstanceDeletionInProgress", "CustomResource deletion is in progress")
        obj = self.cluster.set_condition(obj, "Terminating", True, *reported)
        resource = next(custom_resources(obj))
        for instance in self.cluster.store.list(resource.id):
            if not terminating(instance):
                self.cluster.remove(clone(instance))
        if not self.cluster.store.list(resource.id):
            self.cluster.drop_finalizer(obj, CRD_CLEANUP)

    def _report(self, event: Event) -> None:
        definition = self.cluster.store.get("customresourcedefinitions.apiextensions.k8s.io", ("", event.resource_id))
        if event.type == "DELETED" and definition is not None and terminating(definition):
            self.cluster.queue.add((self, event.resource_id), partial(self.reconcile, clone(definition)))


class ClaimsAndVolumes(Controller):
    """Keeps a deleted claim while pods use it, and a deleted volume while it is bound."""

    elected = True
    kind = ("v1", "PersistentVolumeClaim")
    watches = (("v1", "Pod"), ("v1", "PersistentVolume"))

    def concerned(self, changed: Object) -> Iterable[Key]:
        if changed["kind"] == "PersistentVolume":
            self._release(changed)
            return []
        claims = self.cluster.store.list("persistentvolumeclaims", namespace_of(changed))
        return [key_of(claim) for claim in claims if terminating(claim)]

    def reconcile(self, obj: Object) -> None:
        if terminating(obj) and CLAIM_PROTECTION in finalizers_of(obj) and not self._used(obj):
            self.cluster.drop_finalizer(obj, CLAIM_PROTECTION)

    def _used(self, claim: Object) -> bool:
        pods = self.cluster.store.list("pods", namespace_of(claim))
        return any(_uses(pod, name_of(claim)) and pod["spec"].get("nodeName") for pod in pods)

    def _release(self, volume: Object) -> None:
        if terminating(volume) and VOLUME_PROTECTION in finalizers_of(volume):
            self.cluster.queue.add((self, uid_of(volume)), partial(self._unprotect, volume))

    def _unprotect(self, volume: Object) -> None:
        reference = dig(volume, "spec", "claimRef", default={})
        claim = self.cluster.get(
            "v1", "PersistentVolumeClaim", reference.get("name", ""), reference.get("namespace", "")
        )
        if claim is None:
            self.cluster.drop_finalizer(volume, VOLUME_PROTECTION)


def _blocks(dependent: Object, owner: Object) -> bool:
    references = dependent["metadata"].get("ownerReferences") or []
    return any(r["uid"] == uid_of(owner) and r.get("blockOwnerDeletion") for r in references)


def _uses(pod: Object, claim: str) -> bool:
    volumes = pod["spec"].get("volumes") or []
    return any(dig(volume, "persistentVolumeClaim", "claimName") == claim for volume in volumes)
