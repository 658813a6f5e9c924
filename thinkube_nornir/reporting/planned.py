"""The changes of a run, each once: what is done alike on several hosts is one change, with its hosts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from thinkube_nornir.blocked_reason import INTERRUPTED, NOT_FORESEEN, blocked_reason_in
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.record import Record, Row


@dataclass(frozen=True)
class PlannedChange:
    component: str
    step: str
    summary: str
    diff: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Unknown:
    """Steps of one component of which a dry run cannot say what they would change, for one reason."""

    component: str
    steps: tuple[str, ...]
    hosts: tuple[str, ...]
    reason: str


def planned(record: Record) -> tuple[PlannedChange, ...]:
    """What a dry run promises; those of one component stand together, components and steps in the plan's order."""
    return _once(row for row in record.rows if row.outcome is Outcome.PLANNED)


def made(record: Record) -> tuple[PlannedChange, ...]:
    """The same of what a run has done."""
    return _once(row for row in record.rows if row.outcome is Outcome.CHANGED)


def unknown(record: Record) -> tuple[Unknown, ...]:
    """What a dry run did not look at, or could not foresee. Checks are none of it: they change nothing."""
    parts: dict[tuple[str, str], list[Row]] = {}
    for row in record.rows:
        if reason := _reason(row):
            parts.setdefault((row.component, reason), []).append(row)
    return tuple(
        Unknown(component, _names(row.step for row in rows), _names(row.host for row in rows), reason)
        for (component, reason), rows in parts.items()
    )


def is_unknown(row: Row) -> bool:
    return bool(_reason(row))


def _reason(row: Row) -> str:
    """Say why it is not known what the step would do; return nothing when it is known."""
    if row.is_check:
        return ""
    if row.outcome is Outcome.FAILED:
        return "it failed"
    if row.outcome is None:
        return "no result came"
    if row.outcome is not Outcome.SKIPPED:
        return ""
    blocked_reason = blocked_reason_in(row.message)
    if blocked_reason is None:
        foreseen = row.message != INTERRUPTED and not row.message.startswith(NOT_FORESEEN)
        return "" if foreseen else row.message.removeprefix(f"{NOT_FORESEEN}: ")
    return f"{blocked_reason.unreachable} is unreachable" if blocked_reason.unreachable else "what it needs failed"


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _once(rows: Iterable[Row]) -> tuple[PlannedChange, ...]:
    hosts: dict[str, dict[tuple[str, str, str], list[str]]] = {}
    for row in rows:
        hosts.setdefault(row.component, {}).setdefault((row.step, row.message, row.diff), []).append(row.host)
    return tuple(
        PlannedChange(component, *change, tuple(where))
        for component, alike in hosts.items()
        for change, where in alike.items()
    )
