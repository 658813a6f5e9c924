"""The cluster's own record of what was changed in it, so that another controller can roll back too.

One immutable Secret in kube-system for each changed object: that namespace outlives all that we remove, and who may
read its secrets may do anything here anyway. It is made before the change and deleted after it was undone. One that is
there already holds the state before the first change, whoever made that, and is kept.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging

from thinkube_nornir.change_log import Change, Merged, Record, is_of_cluster
from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.handle import Cluster
from thinkube_nornir.cluster.messages import Call, Object, refusal
from thinkube_nornir.cluster.ownership import AS_MANAGER, MANAGER
from thinkube_nornir.context import context
from thinkube_nornir.errors import ThinkubeError

log = logging.getLogger(__name__)

NAMESPACE = "kube-system"
_LABELS = {"app.kubernetes.io/managed-by": MANAGER, "app.kubernetes.io/component": "change-record"}
_SELECTOR = ",".join(f"{name}={value}" for name, value in _LABELS.items())
_TYPE = f"{MANAGER}/change-record"
_RECORD = "record.json.gz"
"""Compressed, as a Secret takes 1 MiB and a CustomResourceDefinition may have more.

Source: kubernetes/kubernetes@v1.36.2 pkg/apis/core/types.go (MaxSecretSize)
"""
_MARK = "in_cluster"
"""Of a record in the journal that the cluster has as well; versions before this one did not give it one."""


def keep(kube: Cluster, record: Record) -> Record:
    """Let the cluster remember the change before it is made; return what it remembers, which may be older.

    Raises:
        ClusterError: it could not be recorded, and must not be made.
    """
    record = Record(record.component, record.key, record.summary, {**record.before, _MARK: True})
    path = kube.must_serve("v1", "Secret").path(NAMESPACE)
    call = Call("POST", path, AS_MANAGER, _manifest(record), doing=f"recording: {record.summary}")
    answer = kube.client.request(call, deadline(kube.task))
    if answer.status == 409:
        there = kube.get("v1", "Secret", _name(record.key), NAMESPACE)
        return record if there is None else read_record(there)
    if not answer.good:
        raise refusal(answer, call.doing, kube.host)
    return record


def drop(kube: Cluster, key: str) -> None:
    """The change was undone."""
    path = kube.must_serve("v1", "Secret").path(NAMESPACE, _name(key))
    call = Call("DELETE", path, doing=f"forgetting {key}")
    answer = kube.client.request(call, deadline(kube.task))
    if not answer.good and answer.status != 404:
        raise refusal(answer, call.doing, kube.host)


def adopt_in_cluster_state(kube: Cluster) -> Merged:
    """Have the change log agree with what the cluster remembers, by whichever controller.

    What a version that kept no record in the cluster wrote into the journal gets one now.
    """
    run = context(kube.task)
    records = [read_record(found) for found in kube.list("v1", "Secret", NAMESPACE, label_selector=_SELECTOR)]
    merged = run.change_log.take_over(kube.host, records, of_cluster=True, keep=_is_old)
    if not run.dry_run:
        for change in run.change_log.changes(host=kube.host):
            if is_of_cluster(change.key) and _is_old(change):
                keep(kube, Record(change.component, change.key, change.summary, change.before))
    return merged


def _is_old(change: Change) -> bool:
    return _MARK not in change.before


def _name(key: str) -> str:
    return f"thinkube-change-{Record.name_of(key)}"


def _manifest(record: Record) -> Object:
    content = base64.b64encode(gzip.compress(record.line, mtime=0)).decode("ascii")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": _TYPE,
        "immutable": True,
        "metadata": {"name": _name(record.key), "namespace": NAMESPACE, "labels": _LABELS},
        "data": {_RECORD: content},
    }


def read_record(secret: Object) -> Record:
    name = secret["metadata"]["name"]
    try:
        return Record(**json.loads(gzip.decompress(base64.b64decode(secret["data"][_RECORD]))))
    except (ValueError, TypeError, LookupError, OSError, EOFError) as error:
        raise ThinkubeError(
            f"the cluster's record in Secret {NAMESPACE}/{name} is damaged",
            why=str(error),
            fix="find out what it stood for, put that right by hand, and delete the Secret",
        ) from error
