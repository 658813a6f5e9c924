"""The failures of a run folded by cause: one dead host or one stopped API turns many steps red, and has one fix.

Failures have one cause when their error is of one kind and says the same why and fix. What differs from host to host is
no difference: the name of the failure's own host, how long something was waited for, and, for one step on several
hosts, the numbers that were seen. An error without a why or a fix is known by its statement too: a bare "run it again"
says nothing about causes. A failure that quotes another one as its why belongs to that one. Two fixes are two causes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from thinkube_nornir.blocked_reason import blocked_reason_in
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.program import command
from thinkube_nornir.reporting.record import Failure, Record, Row

_TIME = re.compile(
    r"\b\d+(\.\d+)? ?(ms|s|min|h|seconds?|minutes?|hours?)\b|\b\d{4}-\d\d-\d\d[T ][\d:.]+Z?|\b\d+:\d\d:\d\d\b"
)
_NUMBER = re.compile(r"\d+")
_NONE = Failure("", "")
NOT_SET_UP = "NotSetUp"
"""The kind of the one failure that stands for all checks of what was never set up."""

_OF_HOSTS = ("Unreachable", "ClusterUnreachable")
_UNREACHABLE = ("Unreachable", "")
"""Old journals know no kinds."""

Key = tuple[str, ...]


@dataclass(frozen=True)
class Cause:
    """What an operator has to repair once."""

    failure: Failure
    """The first one that does not merely quote another."""
    rows: tuple[Row, ...]
    """Failed because of it, in the plan's order."""
    not_run: tuple[Row, ...] = ()
    """Not started because of it, in the plan's order."""
    quoting: tuple[Row, ...] = ()
    """Those of `rows` that failed elsewhere because of it, and quote it as their why."""

    @property
    def own(self) -> tuple[Row, ...]:
        """The `rows` that say it themselves: their hosts are where it is to be repaired."""
        quoting = {row.id for row in self.quoting}
        return tuple(row for row in self.rows if row.id not in quoting)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where something failed because of it."""
        return tuple(dict.fromkeys(row.host for row in self.rows))

    @property
    def components(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.component for row in self.rows))

    @property
    def others(self) -> tuple[str, ...]:
        """What else was said to have failed, each statement once."""
        said = dict.fromkeys(row.failure.what for row in self.rows if row.failure)
        return tuple(what for what in said if what != self.failure.what)


def causes(record: Record) -> tuple[Cause, ...]:
    """Return the causes in the plan's order of what failed first: what others need comes before them."""
    blocked = _blocked(record.rows, record.failures)
    unset = _never_set_up(record)
    first = [replace(_cause(unset, blocked), failure=_not_set_up(record, unset), quoting=())] if unset else []
    others = [row for row in record.failures if row not in unset]
    return (*first, *(_cause(group, blocked) for group in _folded(others)))


def _never_set_up(record: Record) -> tuple[Row, ...]:
    """Failed checks of what was never set up. Where most checks hold, somebody else did, and each counts for itself."""
    checks = [row for row in record.rows if (row.component, row.host) in record.never_set_up]
    failed = [row for row in checks if row.failure and row.failure.kind not in _OF_HOSTS]
    every, red = (Counter((row.component, row.host) for row in rows) for rows in (checks, failed))
    return tuple(row for row in failed if 2 * red[row.component, row.host] > every[row.component, row.host])


def _not_set_up(record: Record, rows: Sequence[Row]) -> Failure:
    hosts: dict[str, dict[str, None]] = {}
    for row in rows:
        hosts.setdefault(row.component, {})[row.host] = None
    limit = ("-l", record.limit) if record.limit else ()
    return Failure(
        NOT_SET_UP,
        "\n".join(["not set up yet", *(f"{name}: {', '.join(names)}" for name, names in hosts.items())]),
        "nothing was ever changed for it there",
        f"run the set-up: `{command('run', *record.selection, *limit)}`",
    )


def _cause(rows: Sequence[Row], blocked: Mapping[str, Sequence[Row]]) -> Cause:
    quotes = _quotes(rows)
    own = next((row for row in rows if row.id not in quotes), rows[0])
    quoting = tuple(row for row in rows if row.id in quotes and row is not own)
    not_run = tuple(held_up for row in rows for held_up in blocked.get(row.id, ()))
    return Cause(own.failure or _NONE, tuple(rows), not_run, quoting)


def _folded(failed: Sequence[Row]) -> list[list[Row]]:
    """Rows that share a key, directly or through others, are one group."""
    quotes = _quotes(failed)
    groups: dict[int, list[Row]] = {}
    known: dict[Key, int] = {}
    """Key to the row, by its number, that its group is filed under; `moved` says where that has gone since."""
    moved: dict[int, int] = {}

    def filed(key: Key) -> int | None:
        at = known.get(key)
        while at in moved:
            at = moved[at]
        return at

    for number, row in enumerate(failed):
        keys = [*_keys(row), ("failure", row.id), *(("failure", other) for other in quotes.get(row.id, ()))]
        joined = sorted({at for key in keys if (at := filed(key)) is not None})
        at = joined[0] if joined else number
        groups.setdefault(at, []).append(row)
        for old in joined[1:]:
            groups[at] += groups.pop(old)
            moved[old] = at
        known |= dict.fromkeys(keys, at)
    order = {row.id: number for number, row in enumerate(failed)}
    return [sorted(group, key=lambda row: order[row.id]) for _, group in sorted(groups.items())]


def _keys(row: Row) -> Iterator[Key]:
    """Yield keys under which the same cause is found again on other steps and hosts."""
    failure = row.failure or _NONE
    what = "" if failure.why and failure.fix else failure.what
    for where in (lambda text: text, lambda text: _without(row.host, text)):
        yield (failure.kind, _TIME.sub("T", where(what)), _TIME.sub("T", where(failure.why)), where(failure.fix))
    if failure.why and failure.fix:
        why, fix = _without(row.host, failure.why), _without(row.host, failure.fix)
        yield ("step", row.component, row.chain, row.step, failure.kind, _NUMBER.sub("N", why), fix)
    if failure.kind == "Cancelled":  # one operator ended them all
        yield ("cancelled",)
    if failure.kind == "Unreachable":  # an address is the host's name in other words
        yield ("unreachable", *(_NUMBER.sub("N", _without(row.host, text)) for text in (failure.why, failure.fix)))


def _without(host: str, text: str) -> str:
    return re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", "HOST", text)


def _quotes(failed: Sequence[Row]) -> Mapping[str, list[str]]:
    """Row to the rows whose failure it gives, whole, as its own why: it could not look because of that."""
    by_line: dict[str, list[Row]] = {}
    for row in failed:
        if row.failure and row.failure.what:
            by_line.setdefault(row.failure.what.partition("\n")[0], []).append(row)
    found: dict[str, list[str]] = {}
    for row in failed:
        why = row.failure.why if row.failure else ""
        others = [other for line in why.splitlines() for other in by_line.get(line, ()) if other.id != row.id]
        if whole := [other.id for other in others if _text(other.failure or _NONE) in why]:
            found[row.id] = whole
    return found


def _text(failure: Failure) -> str:
    """Return the failure as errors quote it, without its fix."""
    return "\n".join(part for part in (failure.what, failure.why) if part)


def _blocked(rows: Sequence[Row], failed: Sequence[Row]) -> Mapping[str, list[Row]]:
    """The id of each failed row to the rows that were not started because of it."""
    unreachable = {row.host: row.id for row in reversed(failed) if row.failure and row.failure.kind in _UNREACHABLE}
    known = {row.id for row in failed}
    found: dict[str, list[Row]] = {}
    for row in rows:
        blocked_reason = blocked_reason_in(row.message) if row.outcome is Outcome.SKIPPED else None
        if blocked_reason is None:
            continue
        reason = unreachable.get(blocked_reason.unreachable, blocked_reason.node)
        if reason in known:
            found.setdefault(reason, []).append(row)
    return found
