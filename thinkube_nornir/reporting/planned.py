"""The changes of a run, each once: what is done alike on several hosts is one change, with its hosts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.record import Record, Row


@dataclass(frozen=True)
class PlannedChange:
    component: str
    step: str
    summary: str
    diff: str
    hosts: tuple[str, ...]


def planned(record: Record) -> tuple[PlannedChange, ...]:
    """What a dry run promises; those of one component stand together, components and steps in the plan's order."""
    return _once(row for row in record.rows if row.outcome is Outcome.PLANNED)


def made(record: Record) -> tuple[PlannedChange, ...]:
    """The same of what a run has done."""
    return _once(row for row in record.rows if row.outcome is Outcome.CHANGED)


def _once(rows: Iterable[Row]) -> tuple[PlannedChange, ...]:
    hosts: dict[str, dict[tuple[str, str, str], list[str]]] = {}
    for row in rows:
        hosts.setdefault(row.component, {}).setdefault((row.step, row.message, row.diff), []).append(row.host)
    return tuple(
        PlannedChange(component, *change, tuple(where))
        for component, alike in hosts.items()
        for change, where in alike.items()
    )
