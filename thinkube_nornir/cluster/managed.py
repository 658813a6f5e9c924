"""Which objects are managed: what the change log knows of them, before and after each change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from thinkube_nornir.change_log import Change, Merged, Record
from thinkube_nornir.cluster.deadline import deadline
from thinkube_nornir.cluster.handle import Cluster, Clusters
from thinkube_nornir.cluster.in_cluster_state import adopt_in_cluster_state, drop, keep
from thinkube_nornir.cluster.leftovers import sweep
from thinkube_nornir.cluster.messages import Call, Object
from thinkube_nornir.cluster.objects import Reference
from thinkube_nornir.context import component_of, context, is_read_only
from thinkube_nornir.errors import ClusterError, Refused

_AT_ONCE = 3.0  # seconds


def known_as_managed(kube: Cluster, ref: Reference) -> Change | None:
    adopt(kube)
    return context(kube.task).change_log.managed(kube.host, ref.key)


def adopt_now(kube: Cluster) -> Merged:
    """Like `adopt`, of a cluster that answers at once: who only wants to know does not wait for one that is stopped.

    Raises:
        ClusterError: it does not answer.
    """
    kube.client.request(Call("GET", "/version", doing="reading the version"), deadline(kube.task, _AT_ONCE))
    return adopt(kube)


def adopt(kube: Cluster) -> Merged:
    """Once in a run, have the change log agree with what the cluster remembers; a verify run changes nothing."""
    run = context(kube.task)
    opened = cast(Clusters, run.clusters[kube.host])
    if run.read_only or opened.adopted:
        return Merged()
    merged = adopt_in_cluster_state(kube)
    opened.adopted = True
    if not run.dry_run:
        sweep(kube)
    run.recalled.add(kube.host, merged)
    return merged


def forget(kube: Cluster, change: Change) -> None:
    run = context(kube.task)
    if not run.dry_run and not is_read_only(kube.task):
        _drop(kube, change)


def settle(kube: Cluster, ref: Reference) -> None:
    """A killed run left its intention behind, and the effect is there: it was done."""
    change, run = known_as_managed(kube, ref), context(kube.task)
    if change and change.state == "intended" and not run.dry_run and not is_read_only(kube.task):
        run.change_log.done(change)


@contextmanager
def recorded(kube: Cluster, ref: Reference, summary: str, live: Object | None, part: str = "") -> Iterator[None]:
    """Record the change before it happens, in the cluster and here; what the API clearly refused never was.

    Args:
        part: the resource that declares the object, if one does.
    """
    change_log, known = context(kube.task).change_log, known_as_managed(kube, ref)
    content = None if live is None or ref.kind == "Secret" else {k: v for k, v in live.items() if k != "status"}
    before = known.before if known else {"object": content} | ({"part": part} if part else {})
    record = keep(kube, Record(component_of(kube.task), ref.key, summary, before))
    intended = change_log.intend(host=kube.host, **vars(record))
    try:
        yield
    except (Refused, ClusterError) as error:
        if known is None and (isinstance(error, Refused) or 400 <= (error.status or 0) < 500):
            _drop(kube, intended)
        raise
    change_log.done(intended)


def _drop(kube: Cluster, change: Change) -> None:
    drop(kube, change.key)
    context(kube.task).change_log.undone(change)
