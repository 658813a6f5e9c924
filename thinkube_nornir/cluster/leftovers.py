"""Probes that a killed run left in the cluster: who made one, and whether it may be removed.

The first probe of every later run, also of a verify run, removes them, and so does the first change of an object, as a
rollback makes no probes. That is no breach of `is_read_only`: a verify run may make and remove probes, nothing else.
One whose process is alive stays; one of another controller, whose processes nobody here can see, until its deadline
has passed by the server's clock.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from thinkube_nornir.cluster.deadline import deadline_for_cleanup
from thinkube_nornir.cluster.handle import Cluster, Clusters
from thinkube_nornir.cluster.messages import Call, Object, refusal
from thinkube_nornir.cluster.ownership import MANAGER
from thinkube_nornir.context import context
from thinkube_nornir.errors import ThinkubeError

log = logging.getLogger(__name__)

LABELS = {"app.kubernetes.io/managed-by": MANAGER, "app.kubernetes.io/component": "probe"}
MAKER = f"{MANAGER}/made-by"
"""Label of the process that made a probe: `<where it lives>.<its number>.<when it began>`."""

_SELECTOR = ",".join(f"{name}={value}" for name, value in LABELS.items())
_CLEANUP = 15.0  # seconds for deleting a probe when the step itself has no time left
_LONG_AGO = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
_SPARE = 60.0  # seconds after its end in which a probe's own maker may still read its log, or the cluster remove it


def labels() -> dict[str, str]:
    """Of a probe that this process makes."""
    return LABELS | ({MAKER: _maker(os.getpid())} if _place() else {})


def remove(kube: Cluster, probe: Object) -> None:
    """Delete a probe pod, or a Job with all that belongs to it; also when the step is cancelled or out of time.

    A failure is logged, and must not hide the step's own.
    """
    at, kind = probe["metadata"], (probe["apiVersion"], probe["kind"])
    options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": at["uid"]}}
    options |= {"gracePeriodSeconds": 0} if probe["kind"] == "Pod" else {"propagationPolicy": "Background"}
    path = kube.must_serve(*kind).path(at["namespace"], at["name"])
    call = Call("DELETE", path, body=options, doing=f"deleting a probe's {probe['kind']}")
    try:
        answer = kube.client.request(call, deadline_for_cleanup(_CLEANUP))
        if not answer.good and answer.status not in (404, 409):  # gone, or another one of that name
            raise refusal(answer, call.doing, kube.host)
    except ThinkubeError as error:
        log.warning("%s; it ends by itself, and the next probe removes it: %s", error.what, error.why)


def sweep(kube: Cluster, newest: Object | None = None) -> None:
    """Remove what is left of earlier runs, once in a run; that this fails is none of the caller's business.

    Args:
        newest: a probe that was just made, as its time is the server's. Without one, only what ended processes of this
            machine made is removed.
    """
    opened = cast(Clusters, context(kube.task).clusters[kube.host])
    if opened.swept:
        return
    opened.swept = newest is not None
    now = _stamp(newest) if newest else _LONG_AGO
    try:
        for kind in (("v1", "Pod"), ("batch/v1", "Job")):
            for obj in kube.list(*kind, label_selector=_SELECTOR):
                if not obj["metadata"].get("ownerReferences") and is_left(obj, now):
                    remove(kube, obj)
    except ThinkubeError as error:
        log.info("what earlier runs may have left could not be looked for: %s: %s", error.what, error.why)


def is_left(obj: Object, now: datetime) -> bool:
    """Whether nobody will come back for the probe: its process has ended, or its deadline has passed."""
    maker = str((obj["metadata"].get("labels") or {}).get(MAKER, ""))
    place, _, rest = maker.partition(".")
    number = rest.partition(".")[0]
    if place and place == _place() and number.isdigit():
        return maker != _maker(int(number))
    lifetime = timedelta(seconds=int(obj["spec"].get("activeDeadlineSeconds", 0)) + _SPARE)
    return _stamp(obj) + lifetime < now


def _stamp(obj: Object) -> datetime:
    return datetime.fromisoformat(obj["metadata"]["creationTimestamp"])


def _maker(process: int) -> str:
    """Without the third part for a process that is not there: numbers are used again, and beginnings are not."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return f"{_place()}.{process}"
    return f"{_place()}.{process}.{fields[19]}"


@functools.cache
def _place() -> str:
    """The processes that can be seen from here: those of this boot of this machine, in this container.

    Empty where that cannot be said.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        return hashlib.sha256(f"{boot}{Path('/proc/self/ns/pid').readlink()}".encode()).hexdigest()[:12]
    except OSError:
        return ""
