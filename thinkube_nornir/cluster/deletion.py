"""Deleting objects, and waiting until they are gone."""

from __future__ import annotations

from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.handle import Cluster
from thinkube_nornir.cluster.messages import Call, Object, refusal
from thinkube_nornir.cluster.objects import Reference
from thinkube_nornir.cluster.waits import wait


def erase(kube: Cluster, ref: Reference, live: Object, timeout: float) -> None:
    uid = live["metadata"]["uid"]
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": uid},
    }
    path = kube.must_serve(ref.api_version, ref.kind).path(ref.namespace, ref.name)
    call = Call("DELETE", path, body=options, doing=f"deleting {ref}")
    answer = kube.client.request(call, deadline(kube.task))
    if answer.status in (404, 409):  # gone, or another one of that name by now
        return
    if not answer.good:
        raise refusal(answer, call.doing, kube.host)
    gone(kube, ref, live, timeout)


def is_going(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def gone(kube: Cluster, ref: Reference, obj: Object, timeout: float) -> Object | None:
    """Wait until this very object is gone; what is there by that name then, if anything."""
    uid = obj["metadata"]["uid"]
    return wait(
        kube,
        *(ref.api_version, ref.kind, ref.name, ref.namespace),
        condition=lambda now: now is None or now["metadata"]["uid"] != uid,
        what=f"{ref} to be gone",
        timeout=timeout,
        show=_what_holds,
    )


def _what_holds(obj: Object | None) -> str:
    metadata, status = (obj or {}).get("metadata", {}), (obj or {}).get("status") or {}
    finalizers = list(metadata.get("finalizers") or []) + list((obj or {}).get("spec", {}).get("finalizers") or [])
    reasons = [
        f"{c.get('type')}: {c.get('message')}" for c in status.get("conditions") or [] if c.get("status") == "True"
    ]
    return "\n".join([f"finalizers still there: {', '.join(finalizers) or 'none'}", *reasons])
