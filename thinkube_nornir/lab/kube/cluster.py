"""A cluster without its HTTP side: what controllers, and those who keep the lab, do with objects.

Source: kubernetes/apiextensions-apiserver@v0.35.0 pkg/controller/establish/establishing_controller.go
Source: kubernetes/apiextensions-apiserver@v0.35.0 pkg/controller/status/naming_controller.go
Unproven: how soon after its creation a kind is served; here that is at once.
"""

from __future__ import annotations

import builtins
from typing import Any

from thinkube_nornir.lab.kube import deletion
from thinkube_nornir.lab.kube.controllers import Controller, Dispatcher, Queue
from thinkube_nornir.lab.kube.deletion import Deletion
from thinkube_nornir.lab.kube.objects import (
    Object,
    clone,
    condition,
    dig,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    now,
    with_condition,
)
from thinkube_nornir.lab.kube.resources import Registry, Resource
from thinkube_nornir.lab.kube.selectors import selects
from thinkube_nornir.lab.kube.status import ApiError
from thinkube_nornir.lab.kube.store import Event, Store
from thinkube_nornir.lab.kube.writes import Options, Writer

_CRD = "customresourcedefinitions.apiextensions.k8s.io"
_SERVER_SIDE = {"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"}


class Cluster:
    """Objects go in and come out as copies. A kind that is not served (yet) has no objects."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.store = Store()
        self.writer = Writer(self.registry, self.store)
        self.queue = Queue()
        self._dispatcher = Dispatcher(self, self.queue)
        self.store.subscribe(self._serve_custom)

    def add_controller(self, controller: Controller) -> None:
        """Let `controller` reconcile what is there, and every change from now on."""
        self._dispatcher.add(controller)

    def look_again(self, controller: Controller) -> None:
        """Let it reconcile every object, as after a start."""
        self._dispatcher.enqueue_all(controller)

    def pause_controllers(self) -> None:
        """As when nobody holds the lease: no pods for a Deployment, no node for a pod, no endpoints for a Service."""
        self._dispatcher.pause()

    def resume_controllers(self) -> None:
        """The next leader does what was left undone."""
        self._dispatcher.resume()

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        resource = self._resource(api_version, kind)
        found = self.store.get(resource.id, (namespace, name)) if resource else None
        return clone(found) if found else None

    def list(
        self, api_version: str, kind: str, namespace: str = "", *, selector: Object | None = None
    ) -> builtins.list[Object]:
        """By namespace and name; an empty namespace means all. `selector` is a LabelSelector."""
        resource = self._resource(api_version, kind)
        found = self.store.list(resource.id, namespace) if resource else []
        return [clone(obj) for obj in found if selector is None or selects(selector, labels_of(obj))]

    def create(self, obj: Object, *, manager: str = "kube-controller-manager") -> Object:
        resource = self.registry.by_kind(obj["apiVersion"], obj["kind"])
        return clone(self.writer.create(resource, namespace_of(obj), obj, Options(manager)))

    def update(self, obj: Object, *, manager: str = "kube-controller-manager") -> Object:
        """Replace all but the status. Raises ApiError 409 when `obj` is not the latest state."""
        resource = self.registry.by_kind(obj["apiVersion"], obj["kind"])
        return clone(self.writer.update(resource, key_of(obj), obj, Options(manager)))

    def apply(self, obj: Object, *, manager: str = "kubectl") -> Object:
        """Create or replace, as an addon's `kubectl apply` would: fields that only others set stay.

        `obj` may come from `get`; its status is not looked at (see set_status).
        """
        resource = self.registry.by_kind(obj["apiVersion"], obj["kind"])
        namespace = namespace_of(obj) or ("default" if resource.namespaced else "")
        metadata = {name: value for name, value in obj["metadata"].items() if name not in _SERVER_SIDE}
        intent = obj | {"metadata": metadata}
        return clone(self.writer.apply(resource, (namespace, name_of(obj)), intent, Options(manager, force=True)))

    def set_status(self, obj: Object, *, manager: str = "kube-controller-manager", **fields: Any) -> Object:
        """Set these fields of the status and keep the others; None takes a field out."""
        resource = self.registry.by_kind(obj["apiVersion"], obj["kind"])
        options = Options(manager, subresource="status" if resource.has_status else "")
        return clone(self.writer.patch(resource, key_of(obj), "merge", {"status": fields}, options))

    def set_condition(
        self, obj: Object, kind: str, status: bool | str, reason: str = "", message: str = "", **more: Any
    ) -> Object:
        present = self.get(obj["apiVersion"], obj["kind"], name_of(obj), namespace_of(obj)) or obj
        old = dig(present, "status", "conditions", default=[])
        return self.set_status(obj, conditions=with_condition(old, kind, status, reason, message, **more))

    def delete(
        self, api_version: str, kind: str, name: str, namespace: str = "", *, how: Deletion | None = None
    ) -> bool:
        """Delete by name; False when it is not there."""
        resource = self._resource(api_version, kind)
        if resource is None or self.store.get(resource.id, (namespace, name)) is None:
            return False
        deletion.delete(self.writer, resource, (namespace, name), how or Deletion())
        return True

    def remove(self, obj: Object, *, how: Deletion | None = None) -> bool:
        return self.delete(obj["apiVersion"], obj["kind"], name_of(obj), namespace_of(obj), how=how)

    def add_finalizer(self, obj: Object, finalizer: str) -> None:
        resource = self.registry.by_kind(obj["apiVersion"], obj["kind"])
        change = {"metadata": {"finalizers": [*(obj["metadata"].get("finalizers") or []), finalizer]}}
        self.writer.patch(resource, key_of(obj), "merge", change, Options("kube-controller-manager"))

    def drop_finalizer(self, obj: Object, finalizer: str) -> None:
        kept = [name for name in obj["metadata"].get("finalizers") or [] if name != finalizer]
        resource = self.registry.by_kind(obj["apiVersion"], obj["kind"])
        change = {"metadata": {"finalizers": kept or None}}
        self.writer.patch(resource, key_of(obj), "merge", change, Options("kube-controller-manager"))

    def event(self, about: Object, reason: str, message: str, *, warning: bool = False) -> None:
        """Record an Event, once for each object, reason and message; the repeats are counted."""
        for old in self.list("v1", "Event", namespace_of(about) or "default"):
            same = (dig(old, "involvedObject", "uid"), old.get("reason"), old.get("message"))
            if same == (about["metadata"]["uid"], reason, message):
                self.update(old | {"count": old["count"] + 1, "lastTimestamp": now()})
                return
        self.create(_event(about, reason, message, "Warning" if warning else "Normal"))

    def _resource(self, api_version: str, kind: str) -> Resource | None:
        try:
            return self.registry.by_kind(api_version, kind)
        except ApiError:
            return None

    def _serve_custom(self, event: Event) -> None:
        """Serve what a CRD defines from the moment it is stored."""
        if event.resource_id != _CRD:
            return
        if event.type == "DELETED":
            self.registry.forget(event.object)
            return
        self.registry.serve(event.object)
        if condition(event.object, "Established") is None:
            self._establish(clone(event.object))

    def _establish(self, definition: Object) -> None:
        spec = definition["spec"]
        stored = [version["name"] for version in spec["versions"] if version.get("storage")]
        accepted = with_condition([], "NamesAccepted", True, "NoConflicts", "no conflicts found")
        conditions = with_condition(
            accepted, "Established", True, "InitialNamesAccepted", "the initial names have been accepted"
        )
        self.set_status(definition, acceptedNames=spec["names"], storedVersions=stored, conditions=conditions)


def _event(about: Object, reason: str, message: str, kind: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{name_of(about)}.", "namespace": namespace_of(about) or "default"},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": name_of(about),
            "namespace": namespace_of(about),
            "uid": about["metadata"]["uid"],
        },
        "reason": reason,
        "message": message,
        "type": kind,
        "count": 1,
        "firstTimestamp": now(),
        "lastTimestamp": now(),
    }
