"""Replicas: what somebody scaled to none is rolled out at once, and serves nobody."""

from __future__ import annotations

from nornir.core.task import Result

from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.handle import Cluster, spoken
from thinkube_nornir.cluster.messages import Call, Object, refusal
from thinkube_nornir.cluster.ownership import MANAGER
from thinkube_nornir.context import context
from thinkube_nornir.outcome import changed
from thinkube_nornir.remote.exchange import must_not_be_read_only


def is_scaled_to_none(obj: Object | None) -> bool:
    """Of a Deployment or StatefulSet; a DaemonSet has as many pods as nodes want one."""
    return obj is not None and (obj.get("spec") or {}).get("replicas", 1) == 0


def scale_up(kube: Cluster, kind: str, name: str, namespace: str) -> Result:
    """Give it one replica again, in the name of a manager of its own: the object does not become managed by that."""
    summary = f"scale {spoken(kind, name, namespace)} up from 0 replicas"
    must_not_be_read_only(kube.task, summary)
    if context(kube.task).dry_run:
        return changed(kube.task, summary, planned=True)
    path = kube.must_serve("apps/v1", kind).path(namespace, name)
    query, change = {"fieldManager": f"{MANAGER}-scale"}, {"spec": {"replicas": 1}}
    call = Call("PATCH", path, query, change, "application/merge-patch+json", summary)
    answer = kube.client.request(call, deadline(kube.task))
    if not answer.good:
        raise refusal(answer, call.doing, kube.host)
    return changed(kube.task, summary)
