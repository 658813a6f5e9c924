"""Probes that a killed run left in the cluster: who made one, and whether it may be removed.

The first probe of every later run, also of a verify run, removes them. That is no breach of `is_read_only`: a verify
run may make probes and remove probes, and nothing else. One whose process is alive stays; one of another controller,
whose processes nobody here can see, until its deadline has passed by the server's clock.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from thinkube_nornir.cluster.handle import Cluster, Clusters
from thinkube_nornir.cluster.messages import Object
from thinkube_nornir.cluster.ownership import MANAGER
from thinkube_nornir.context import context
from thinkube_nornir.errors import ThinkubeError

log = logging.getLogger(__name__)

LABELS = {"app.kubernetes.io/managed-by": MANAGER, "app.kubernetes.io/component": "probe"}
MAKER = f"{MANAGER}/made-by"
"""Label of the process that made a probe: `<where it lives>.<its number>.<when it began>`."""

_SELECTOR = ",".join(f"{name}={value}" for name, value in LABELS.items())
_SPARE = 60.0  # seconds after its end in which a probe's own maker may still read its log, or the cluster remove it


def labels() -> dict[str, str]:
    """Of a probe that this process makes."""
    return LABELS | ({MAKER: _maker(os.getpid())} if _place() else {})


def sweep(kube: Cluster, newest: Object, remove: Callable[[Cluster, Object], None]) -> None:
    """Remove what is left of earlier runs, once in a run; that this fails is none of the probe's business.

    Args:
        newest: a probe that was just made: its time is the server's.
    """
    opened = cast(Clusters, context(kube.task).clusters[kube.host])
    if opened.swept:
        return
    opened.swept = True
    now = _stamp(newest)
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
