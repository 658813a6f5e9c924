"""A past run as the reports know runs, so that it is told as it was when it ended."""

from __future__ import annotations

from collections.abc import Iterable

from thinkube_nornir.history.runs import PastRun, duration
from thinkube_nornir.journal import NodeRecord
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.record import Failure, Record, Row
from thinkube_nornir.reporting.terminal import clean


def record_of(past: PastRun, nodes: Iterable[NodeRecord]) -> Record:
    """Make a record of these nodes of the run, without diffs and waits, which the journal does not keep."""
    run = past.run
    return Record(
        verb=run.verb,
        selection=run.selection,
        limit=run.hosts,
        hosts=past.hosts,
        target=run.target,
        rows=tuple(map(_row, nodes)),
        run_id=run.id,
        dry_run=run.dry_run,
        started=run.started,
        duration=duration(run) or 0.0,
        interrupted=past.verdict in ("interrupted", "killed"),
    )


def _row(node: NodeRecord) -> Row:
    error = node.error
    failure = Failure(*(clean(error.get(name, "")) for name in ("kind", "what", "why", "fix"))) if error else None
    return Row(
        id=node.node,
        component=node.component,
        chain=node.chain,
        step=node.step,
        label=clean(node.label),
        host=node.host,
        outcome=Outcome(node.outcome) if node.outcome else None,
        message=failure.what if failure else clean(node.message),
        started=node.started,
        duration=node.duration,
        failure=failure,
        retries=node.retries,
        retried=clean(node.retried),
    )
