"""Which objects are ours: what the change log knows of them, before and after each change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from thinkube_nornir.change_log import Change
from thinkube_nornir.cluster.handle import Cluster
from thinkube_nornir.cluster.messages import Object
from thinkube_nornir.cluster.objects import Reference
from thinkube_nornir.context import component_of, context, is_read_only
from thinkube_nornir.errors import ClusterError, Refused


def known_as_managed(kube: Cluster, ref: Reference) -> Change | None:
    return context(kube.task).change_log.managed(kube.host, ref.key)


def forget(kube: Cluster, ours: Change) -> None:
    run = context(kube.task)
    if not run.dry_run and not is_read_only(kube.task):
        run.change_log.undone(ours)


def settle(kube: Cluster, ref: Reference) -> None:
    """A killed run left its intention behind, and the effect is there: it was done."""
    ours, run = known_as_managed(kube, ref), context(kube.task)
    if ours and ours.state == "intended" and not run.dry_run and not is_read_only(kube.task):
        run.change_log.done(ours)


@contextmanager
def recorded(kube: Cluster, ref: Reference, summary: str, live: Object | None) -> Iterator[None]:
    """Make the change ours before it happens; what the API clearly refused never was."""
    change_log, known = context(kube.task).change_log, known_as_managed(kube, ref)
    before = None if live is None or ref.kind == "Secret" else {k: v for k, v in live.items() if k != "status"}
    intended = change_log.intend(
        host=kube.host, component=component_of(kube.task), key=ref.key, summary=summary, before={"object": before}
    )
    try:
        yield
    except (Refused, ClusterError) as error:
        if known is None and (isinstance(error, Refused) or 400 <= (error.status or 0) < 500):
            change_log.undone(intended)
        raise
    change_log.done(intended)
