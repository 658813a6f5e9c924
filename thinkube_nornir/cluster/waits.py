"""Waiting for the cluster: watches on conditions, never sleeps, with what was seen last when the time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from thinkube_nornir.cluster.deadline import Deadline, deadline
from thinkube_nornir.cluster.diagnosis import troubles
from thinkube_nornir.cluster.handle import Cluster, Kind, selectors, spoken
from thinkube_nornir.cluster.messages import Call, Object
from thinkube_nornir.errors import ClusterError, ClusterUnreachable, DeadlinePassed
from thinkube_nornir.secret import redact

_WATCH = 3.0  # seconds of one watch request: how long a cancelled run or a silently dropped link may go unnoticed
_PAUSE = 0.25  # seconds between attempts when there is nothing to watch: no CRD yet, or no connection
_BAD = ("ReplicaFailure", "Failed", "FailureTarget", "Stalled")  # conditions whose reason counts when they are true
_GONE = 410  # the API forgot the resourceVersion, list again


def wait(
    kube: Cluster,
    api_version: str,
    kind: str,
    name: str,
    namespace: str = "",
    *,
    condition: Callable[[Object | None], bool],
    what: str,
    timeout: float,
    show: Callable[[Object | None], str] | None = None,
) -> Object | None:
    """Watch one object until the condition holds; return it as it then was.

    Args:
        condition: gets the object, or None when it is not there. What it raises ends the wait.
        what: completes "waited 60 s for ...": "Node tkw1 to be Ready".
        show: the evidence in the object when time is over; None for its phase, conditions and counts.

    Raises:
        DeadlinePassed: it never held; says what was seen last.
        Cancelled: the operator ended the run.
    """
    objects = wait_all(
        kube,
        *(api_version, kind, namespace),
        field_selector=f"metadata.name={name}",
        condition=lambda found: condition(found[0] if found else None),
        what=what,
        timeout=timeout,
        show=lambda found: (show or seen)(found[0] if found else None),
    )
    return objects[0] if objects else None


def wait_all(
    kube: Cluster,
    api_version: str,
    kind: str,
    namespace: str = "",
    *,
    condition: Callable[[list[Object]], bool],
    what: str,
    timeout: float,
    label_selector: str = "",
    field_selector: str = "",
    show: Callable[[list[Object]], str] | None = None,
) -> list[Object]:
    """Like `wait`, for all objects that the selectors choose; the condition gets them sorted by namespace and name."""
    limit = deadline(kube.task, timeout)
    found: list[Object] = []
    trouble = answered = ""
    for state in _states(kube, api_version, kind, namespace, selectors(label_selector, field_selector), limit):
        if isinstance(state, ClusterError):
            trouble = f"\nthe API failed in the meantime: {state.what}: {state.why}"
            if answered and not state.answered:
                trouble += f"\nits last answer before that: {answered}"
            answered = state.answered or answered
            continue
        found, trouble, answered = state, "", ""
        if condition(found):
            return found
    raise DeadlinePassed(
        redact(f"waited {timeout:g} s for {what} (cluster of {kube.host})"),
        why=redact(f"last seen: {(show or _seen_all)(found)}{trouble}"),
        fix=f"see what holds it up in the cluster of {kube.host}, then run again",
    )


def _states(
    kube: Cluster, api_version: str, kind: str, namespace: str, query: dict[str, str], limit: Deadline
) -> Iterator[list[Object] | ClusterError]:
    """The objects now and after each change, until the deadline; errors that may pass are yielded, not raised."""
    while limit.left > 0:
        limit.pause(0)
        try:
            served = kube.kind(api_version, kind, limit)
            if served is None:
                yield []
            else:
                yield from _followed(kube, served, namespace, query, limit)
        except ClusterUnreachable:
            raise
        except ClusterError as error:
            if error.status == 404:  # its CRD was removed since it was looked up, and may come back
                kube.forget(api_version, kind)
                yield []
            elif _may_pass(error):
                yield error
            else:
                raise
        limit.pause(_PAUSE)


def _followed(
    kube: Cluster, kind: Kind, namespace: str, query: dict[str, str], limit: Deadline
) -> Iterator[list[Object]]:
    """List, then watch from there, until the deadline or until the server no longer knows that moment (410)."""
    objects, version = kube.listing(kind, namespace, query, limit)
    known = {_place(obj): obj for obj in objects}
    yield _sorted(known)
    while limit.left > 0:
        limit.pause(0)
        seconds, began = max(1, round(min(_WATCH, limit.left))), time.monotonic()
        watch = {
            "watch": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
            "allowWatchBookmarks": "true",
        }
        call = Call("GET", kind.path(namespace), query | watch, doing=f"watching {kind.kind}")
        for event in kube.client.stream(call, min(seconds, max(limit.left, 0.1))):
            obj: Any = event["object"]
            if event["type"] == "ERROR":
                raise ClusterError(f"{call.doing} failed", status=obj.get("code"), why=str(obj.get("message")))
            version = obj["metadata"]["resourceVersion"]
            if event["type"] == "BOOKMARK":
                continue
            if event["type"] == "DELETED":
                known.pop(_place(obj), None)
            else:
                known[_place(obj)] = obj
            yield _sorted(known)
        if time.monotonic() - began < seconds / 2:
            limit.pause(_PAUSE)  # a server that is about to stop ends every watch at once


def _may_pass(error: ClusterError) -> bool:
    return error.status is None or error.status in (_GONE, 429) or error.status >= 500


def _place(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _sorted(known: dict[tuple[str, str], Object]) -> list[Object]:
    return [known[place] for place in sorted(known)]


def _seen_all(objects: list[Object]) -> str:
    said = [f"{spoken(obj.get('kind', 'object'), _place(obj)[1], _place(obj)[0])}: {seen(obj)}" for obj in objects]
    return "\n".join(said) or "there is none"


def seen(obj: Object | None) -> str:
    """An object's state in a few words: phase, conditions with their reasons, counts.

    >>> seen({"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Starting"}], "replicas": 1}})
    'Ready=False (Starting), replicas=1'
    """
    if obj is None:
        return "it does not exist"
    status = obj.get("status") or {}
    conditions = [f"{c.get('type')}={c.get('status')}{_reason(c)}" for c in status.get("conditions") or []]
    plain = [f"{name}={value}" for name, value in status.items() if isinstance(value, (str, int, bool))]
    deleting = ["it is being deleted"] if obj.get("metadata", {}).get("deletionTimestamp") else []
    state = ", ".join(deleting + conditions + plain) or "it exists, without a status"
    return "; ".join([state, *(troubles(obj) if "containerStatuses" in status else ())])


def _reason(condition: Object) -> str:
    """Of what is not so, or should not be so."""
    said = ": ".join(part for part in (condition.get("reason"), condition.get("message")) if part)
    return f" ({said})" if said and (condition.get("status") != "True" or condition.get("type") in _BAD) else ""


def condition_true(obj: Object | None, type: str) -> bool:  # noqa: A002  # the API's word
    """Whether the object has a condition of this type, and it is `True`: not `Unknown`, and not in another's text."""
    conditions = ((obj or {}).get("status") or {}).get("conditions") or []
    return any(c.get("type") == type and c.get("status") == "True" for c in conditions)


def node_ready(kube: Cluster, name: str, *, timeout: float = 300.0) -> Object | None:
    """Wait until the node of exactly this name is Ready."""
    return wait(
        kube,
        *("v1", "Node", name),
        condition=lambda node: condition_true(node, "Ready"),
        what=f"Node {name} to be Ready",
        timeout=timeout,
    )
