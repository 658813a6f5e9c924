"""Create, update, patch and apply: what a request makes of an object before it is stored.

Source: kubernetes/apiserver@v0.35.0 pkg/registry/generic/registry/store.go
Source: kubernetes/apiserver@v0.35.0 pkg/admission/plugin/namespace/lifecycle/admission.go
Source: kubernetes/apiextensions-apiserver@v0.35.0 pkg/registry/customresource/strategy.go (AllowUnconditionalUpdate)
Source: kubernetes/apiextensions-apiserver@v0.35.0 pkg/registry/customresourcedefinition/strategy.go
Unproven: which kinds count generations, and which others than custom resources and CRDs are replaced only by a request
    that names the version it replaces.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from thinkube_nornir.lab.kube import addresses, admission, defaults, patch, quotas, status, validation, webhooks
from thinkube_nornir.lab.kube.apply import server_side_apply
from thinkube_nornir.lab.kube.custom import schema_of
from thinkube_nornir.lab.kube.decoding import unreadable
from thinkube_nornir.lab.kube.managed import Manager, track_update
from thinkube_nornir.lab.kube.objects import (
    Key,
    Object,
    clone,
    finalizers_of,
    key_of,
    name_of,
    namespace_of,
    now,
    random_suffix,
    terminating,
)
from thinkube_nornir.lab.kube.resources import Registry, Resource
from thinkube_nornir.lab.kube.schema import mistakes, prune
from thinkube_nornir.lab.kube.status import ApiError
from thinkube_nornir.lab.kube.store import Store

_NO_GENERATION = {"Namespace", "Node", "PersistentVolume", "PersistentVolumeClaim", "Pod", "Service"}
_CRD = "CustomResourceDefinition"
_STATUS_AT_CREATION = {"Node"}
_SYSTEM_FIELDS = (
    *("uid", "creationTimestamp", "generation", "resourceVersion"),
    *("deletionTimestamp", "deletionGracePeriodSeconds"),
)
_STALE = "the object has been modified; please apply your changes to the latest version and try again"


@dataclass(frozen=True)
class Options:
    """What a request says beside its object."""

    manager: str = "lab"
    subresource: str = ""
    dry_run: bool = False
    force: bool = False
    validation: str = "Warn"
    """`Strict` refuses unknown fields, `Warn` drops them with a warning, `Ignore` without."""
    warnings: list[str] = field(default_factory=list)
    user: str = ""
    answers: webhooks.Answers | None = None
    """Of the webhooks that were asked about this request; None for a controller's, which asks none."""


class Writer:
    """All writes to a store, whether they come by HTTP or from a controller. Objects it returns must not be changed."""

    def __init__(self, registry: Registry, store: Store) -> None:
        self.registry = registry
        self.store = store

    def read(self, resource: Resource, key: Key) -> Object:
        found = self.store.get(resource.id, key)
        if found is None:
            raise status.not_found(resource.plural, resource.group, key[1])
        return found

    def create(self, resource: Resource, namespace: str, body: Object, options: Options) -> Object:
        obj = self._accept(resource, body, namespace, options)
        metadata = obj["metadata"]
        if metadata.get("resourceVersion"):
            raise ApiError(400, "resourceVersion should not be set on objects to be created")
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + random_suffix()
        if there := self.store.get(resource.id, key_of(obj)):
            raise status.already_exists(resource.plural, resource.group, name_of(obj), going=terminating(there))
        return self._create(resource, obj, options)

    def update(self, resource: Resource, key: Key, body: Object, options: Options) -> Object:
        live = self.read(resource, key)
        obj = self._accept(resource, body, key[0], options)
        if name_of(obj) != key[1]:
            raise ApiError(
                400, f"the name of the object ({name_of(obj)}) does not match the name on the URL ({key[1]})"
            )
        if not obj["metadata"].get("resourceVersion") and (resource.custom or resource.kind == _CRD):
            cause = status.Cause("metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
            raise status.invalid(resource.plural, resource.group, key[1], [cause])
        return self._replace(resource, live, obj, options)

    def patch(self, resource: Resource, key: Key, kind: str, change: Any, options: Options) -> Object:
        """`kind` is `json`, `merge` or `strategic`."""
        live = self.read(resource, key)
        if kind == "json":
            changed = patch.json_patch(live, change)
        elif kind == "merge":
            changed = patch.merge_patch(live, change)
        elif resource.custom:
            raise ApiError(
                415,
                "the body of the request was in an unknown format - accepted media types include: "
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )
        else:
            changed = patch.strategic_merge(schema_of(resource), live, change)
        return self._replace(resource, live, self._accept(resource, changed, key[0], options), options)

    def apply(self, resource: Resource, key: Key, body: Object, options: Options) -> Object:
        """Server-side apply; creates what is not there."""
        live = self.store.get(resource.id, key)
        intent = clone(body)
        self._place(resource, intent, key[0])
        if name_of(intent) not in ("", key[1]):
            raise ApiError(400, f"name in URL ({key[1]}) does not match name in apply body ({name_of(intent)})")
        intent["metadata"]["name"] = key[1]
        if intent["metadata"].pop("managedFields", None):
            raise ApiError(400, "metadata.managedFields must be nil")
        if live is None and options.subresource:
            raise status.not_found(resource.plural, resource.group, key[1])
        if live is not None:
            _check_version(resource, live, intent)
        _keep_to_subresource(resource, intent, options)
        who = Manager(options.manager, "Apply", options.subresource, resource.api_version)
        merged = server_side_apply(schema_of(resource), live, intent, who, force=options.force)
        if live is None:
            return self._create(resource, merged, options, tracked=True)
        return self._replace(resource, live, merged, options, tracked=True)

    def _create(self, resource: Resource, obj: Object, options: Options, *, tracked: bool = False) -> Object:
        self._check_namespace(resource, obj)
        if resource.has_status and resource.kind not in _STATUS_AT_CREATION:
            obj.pop("status", None)
        obj["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
        obj["metadata"].pop("deletionTimestamp", None)
        return self._finish(resource, None, obj, options, tracked=tracked)

    def _replace(
        self, resource: Resource, live: Object, obj: Object, options: Options, *, tracked: bool = False
    ) -> Object:
        _check_version(resource, live, obj)
        if options.subresource == "status":
            kept = obj["metadata"].get("managedFields")
            obj = clone(live) | {"status": clone(obj.get("status") or {})}
            if tracked:
                obj["metadata"]["managedFields"] = kept
        elif resource.has_status:
            obj.pop("status", None)
            obj |= {"status": clone(live["status"])} if "status" in live else {}
        _keep_system_fields(obj, live)
        return self._finish(resource, live, obj, options, tracked=tracked)

    def _finish(
        self, resource: Resource, live: Object | None, obj: Object, options: Options, *, tracked: bool
    ) -> Object:
        """Defaults, validation, ownership, allocation; then store, unless nothing changed or this is a dry run."""
        obj["apiVersion"], obj["kind"] = _stored_version(resource), resource.kind
        defaults.complete(resource, obj)
        if not tracked:
            operation = Manager(options.manager, "Update", options.subresource, resource.api_version)
            track_update(schema_of(resource), live, obj, operation)
        if resource.kind == "Service" and not resource.group:
            addresses.allocate(obj, live, self.store.list("services"))
        admission.admit(self.store, obj, live)
        if options.answers is not None:
            asked = webhooks.Request(resource, obj, live, options.subresource, options.user, options.dry_run)
            obj = webhooks.mutate(self.store, asked, options.answers, options.warnings)
            defaults.complete(resource, obj)
        validation.check(resource, obj, live)
        if options.answers is not None:
            webhooks.validate(self.store, replace(asked, obj=obj), options.answers, options.warnings)
        if live is None and resource.namespaced:
            quotas.admit(self.store, resource.plural, resource.group, obj)
        if live is not None and _same(live, obj):
            return live
        _count_generation(resource, live, obj)
        if options.dry_run:
            return obj
        stored = self.store.put(resource, obj)
        return self.store.remove(resource, key_of(obj)) if live and _ended(stored) else stored

    def _accept(self, resource: Resource, body: Object, namespace: str, options: Options) -> Object:
        """A copy of a request's object, of the right kind, in the right place, with known fields of right types."""
        obj = clone(body)
        self._place(resource, obj, namespace)
        schema = schema_of(resource)
        found = list(mistakes(schema, obj))
        wrong = next((mistake for mistake in found if not mistake.unknown), None)
        if wrong and (not resource.custom or wrong.path.startswith("metadata")):
            why = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
            raise ApiError(400, f"{why}: {wrong.path}: {wrong.what}")
        if not resource.custom and (why := unreadable(obj)):
            what = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
            raise ApiError(400, f"{what}: {why}")
        unknown = [f'unknown field "{mistake.path}"' for mistake in found if mistake.unknown]
        if unknown and options.validation == "Strict":
            raise ApiError(400, f"strict decoding error: {', '.join(unknown)}")
        if options.validation == "Warn":
            options.warnings.extend(unknown)
        pruned: Object = prune(schema, obj)
        return pruned

    def _place(self, resource: Resource, obj: Object, namespace: str) -> None:
        if not isinstance(obj.get("metadata", {}), dict):
            raise ApiError(400, "metadata: expected map")
        given = (obj.setdefault("apiVersion", resource.api_version), obj.setdefault("kind", resource.kind))
        if given[1] != resource.kind or given[0] not in (resource.api_version, _stored_version(resource)):
            raise ApiError(
                400, f"the object ({given[0]}, {given[1]}) does not match {resource.api_version}, {resource.kind}"
            )
        metadata = obj.setdefault("metadata", {})
        if not resource.namespaced:
            metadata.pop("namespace", None)
        elif metadata.setdefault("namespace", namespace) != namespace:
            raise ApiError(400, "the namespace of the provided object does not match the namespace sent on the request")

    def _check_namespace(self, resource: Resource, obj: Object) -> None:
        if not resource.namespaced:
            return
        namespace = namespace_of(obj)
        found = self.store.get("namespaces", ("", namespace))
        if found is None:
            raise status.not_found("namespaces", "", namespace)
        if terminating(found):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            reported = f"namespace {namespace} is being terminated"
            causes = [status.Cause("metadata.namespace", reported, "NamespaceTerminating")]
            raise status.forbidden(resource.plural, resource.group, name_of(obj), why, causes)


def _stored_version(resource: Resource) -> str:
    return f"{resource.group}/{resource.storage_version}" if resource.storage_version else resource.api_version


def _check_version(resource: Resource, live: Object, obj: Object) -> None:
    for name, why in (("resourceVersion", _STALE), ("uid", "Precondition failed: UID in precondition differs")):
        given = obj["metadata"].get(name)
        if given and given != live["metadata"][name]:
            raise status.conflict(resource.plural, resource.group, name_of(live), why)


def _keep_to_subresource(resource: Resource, intent: Object, options: Options) -> None:
    """An apply touches the status by its subresource only, and by that nothing else."""
    if options.subresource == "status":
        for name in set(intent) - {"apiVersion", "kind", "metadata", "status"}:
            del intent[name]
        intent["metadata"] = {k: v for k, v in intent["metadata"].items() if k in ("name", "namespace")}
    elif resource.has_status:
        intent.pop("status", None)


def _keep_system_fields(obj: Object, live: Object) -> None:
    for name in _SYSTEM_FIELDS:
        if name in live["metadata"]:
            obj["metadata"][name] = live["metadata"][name]
        else:
            obj["metadata"].pop(name, None)


def _same(live: Object, obj: Object) -> bool:
    return _without_managers(live) == _without_managers(obj) and _owners(live) == _owners(obj)


def _without_managers(obj: Object) -> Object:
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields" and v not in ({}, [], None)}
    return obj | {"metadata": metadata}


def _owners(obj: Object) -> list[Object]:
    return [{k: v for k, v in entry.items() if k != "time"} for entry in obj["metadata"].get("managedFields") or []]


def _count_generation(resource: Resource, live: Object | None, obj: Object) -> None:
    if not (resource.custom or "spec" in obj) or resource.kind in _NO_GENERATION:
        return
    if live is None:
        obj["metadata"]["generation"] = 1
    elif _body(live) != _body(obj):
        obj["metadata"]["generation"] = live["metadata"].get("generation", 1) + 1


def _body(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if name not in ("metadata", "status", "apiVersion")}


def _ended(obj: Object) -> bool:
    """Whether the last finalizer of an object that was deleted before is gone now."""
    waiting = finalizers_of(obj) or (obj["kind"] == "Namespace" and obj["spec"].get("finalizers"))
    return terminating(obj) and not waiting and not obj["metadata"].get("deletionGracePeriodSeconds")
