"""What a finished run had to wait for: the chain of steps that decided how long it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from thinkube_nornir.reporting.record import Row


def critical_path(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Follow, from the row that ended last, what each row waited for last; return them in order of time.

    A row waits for those that it needs, and for those that share its concurrency limit: one of these is the reason
    when it ended after all that the row needs. Between two rows of the path there may be a pause: all workers were
    busy, or somebody else's process was.
    """
    started = {row.id: row for row in rows if row.started is not None}
    if not started:
        return ()
    sharing = _sharing(started.values())
    path = [max(started.values(), key=_end)]
    seen = {path[0].id}
    while before := _awaited(path[-1], started, sharing, seen):
        path.append(before)
        seen.add(before.id)
    return tuple(reversed(path))


def _end(row: Row) -> tuple[float, float]:
    """When it ended; of those that ended together, what took longest is the reason."""
    return (row.started or 0.0) + row.duration, row.duration


def _sharing(rows: Iterable[Row]) -> dict[str, list[Row]]:
    limits: dict[str, list[Row]] = {}
    for row in rows:
        if row.limited_by:
            limits.setdefault(row.limited_by, []).append(row)
    return limits


def _awaited(row: Row, started: Mapping[str, Row], sharing: Mapping[str, list[Row]], seen: set[str]) -> Row | None:
    """The row whose end let this one start; those on the path already are left out, in case a clock was set back."""
    needed = [started[name] for name in row.needs if name in started]
    sharers = [other for other in sharing.get(row.limited_by, ()) if _end(other)[0] <= (row.started or 0.0)]
    return max((other for other in (*needed, *sharers) if other.id not in seen), key=_end, default=None)
