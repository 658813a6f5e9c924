"""What a run says when it is over: tables, counts, the failures by cause, and last the next command to type."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.causes import NOT_SET_UP, Cause, causes
from thinkube_nornir.reporting.matrix import check_matrix, component_matrix, host_table
from thinkube_nornir.reporting.planned import PlannedChange, Unknown, is_unknown, unknown
from thinkube_nornir.reporting.planned import made as made_changes
from thinkube_nornir.reporting.planned import planned as planned_changes
from thinkube_nornir.reporting.record import Failure, Record, Row, by_host

MOST_CAUSES = 10
"""A screen has room for no more; `show` and the reports have them all."""

MOST_REASONS = 5

_SILENT = ("Unreachable", "ClusterUnreachable")

_ONLY_PLANNED = re.compile(r"\d+ changes? (is|are)(?= only planned)")

DIFF_MARGIN = " " * 6
"""In front of each line of a diff, and of no other: diffs are not wrapped."""


def detail_lines(row: Row) -> list[str]:
    """What, why and fix of a failed row; further lines of each are indented below the first."""
    failure = row.failure or Failure("", "")
    parts = (("what", failure.what), ("why", failure.why), ("fix", failure.fix))
    return [f"{name:<4}  " + text.strip().replace("\n", "\n      ") for name, text in parts if text]


def failures(record: Record, more: str = "") -> list[str]:
    """A block for each cause: where, what, why, what to do, and what else came of it.

    Args:
        more: the command that shows all of them, where they are many; empty to show all here.
    """
    from thinkube_nornir.reporting.rendering import render  # a green run needs none

    found = causes(record)
    shown = found[:MOST_CAUSES] if more else found
    if not shown:
        return []
    blocks = [_block(cause, _without(record, cause)) for cause in shown]
    return render("causes.txt.j2", blocks=blocks, hidden=len(found) - len(shown), more=more).rstrip("\n").split("\n")


@dataclass(frozen=True)
class _Block:
    place: str
    failure: Failure
    alike: str
    followed: tuple[str, ...]


def _without(record: Record, cause: Cause) -> str:
    """How to go on without hosts that nobody reaches, where nothing on others failed because of them."""
    if cause.failure.kind != "Unreachable" or cause.quoting or record.limit or not set(record.hosts) - {*cause.hosts}:
        return ""
    return (
        "; `-l '"
        + ",".join(f"!{host}" for host in cause.hosts)
        + "'` goes on without "
        + ("it" if len(cause.hosts) == 1 else "them")
    )


def _block(cause: Cause, without: str) -> _Block:
    rows, others = cause.own, cause.quoting
    components = _first((row.component for row in rows), "component", 2)
    steps = _first((row.label or row.step for row in rows), "step")
    chains = "/".join(dict.fromkeys(row.chain for row in rows))
    alike = 0 if cause.failure.kind == NOT_SET_UP else len({row.failure.what for row in rows if row.failure}) - 1
    where = ", ".join(_once(row.host for row in others))
    followed = [f"{_count(len(others), 'step')} on {where} failed because of it"] if others else []
    followed += [f"{_count(len(cause.not_run), 'step')} did not run because of it"] if cause.not_run else []
    place = f"{components}  {chains}: {steps}  on {', '.join(_once(row.host for row in rows))}"
    failure = replace(cause.failure, fix=f"{cause.failure.fix.rstrip()}{without}")
    return _Block(place, failure, _count(alike, "statement") if alike else "", tuple(followed))


def _first(names: Iterable[str], thing: str, most: int = 1) -> str:
    """Names while they are few; of many the first, and how many there are."""
    every = _once(names)
    return ", ".join(every) if len(every) <= most else f"{every[0]} and {_count(len(every) - 1, thing)} more"


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def skips(record: Record) -> list[str]:
    """Why steps were not executed, the most frequent reasons first; what failed says itself what it held up."""
    held_up = {row.id for cause in causes(record) for row in cause.not_run}
    known = [row for row in record.rows if row.id not in held_up and not (record.dry_run and is_unknown(row))]
    skipped = (row.message for row in known if row.outcome is Outcome.SKIPPED)
    reasons = Counter(_ONLY_PLANNED.sub("what they need is", message) for message in skipped).most_common()
    lines = [f"skipped  {count:>4}  {reason}" for reason, count in reasons[:MOST_REASONS]]
    rest = sum(count for _, count in reasons[MOST_REASONS:])
    return lines + ([f"skipped  {rest:>4}  for other reasons: see `show {record.run_id}`"] if rest else [])


def left_out(record: Record) -> list[str]:
    """What a filter kept from being done, components with the same hosts together."""
    components: dict[tuple[str, ...], list[str]] = {}
    for component, hosts in record.left_out.items():
        components.setdefault(hosts, []).append(component)
    return [f"left out by -l: {', '.join(names)} on {', '.join(hosts)}" for hosts, names in components.items()]


def checks(record: Record, *, width: int, unicode: bool) -> list[str]:
    """verify's answer: every check on every host."""
    return check_matrix(record.rows, width=width, unicode=unicode, first=record.hosts)


def hosts(record: Record, *, width: int, unicode: bool) -> list[str]:
    """run's answer: what happened on each host, and how many of each component's checks hold."""
    lines = host_table(record.rows, first=record.hosts)
    if not record.dry_run and any(row.chain == "verify" for row in record.rows):
        lines += ["", *component_matrix(record.rows, width=width, unicode=unicode, first=record.hosts)]
    return lines


def planned(record: Record, *, diffs: bool) -> list[str]:
    """A dry run's answer: every change it promises, once, and what it cannot know."""
    return _changes(planned_changes(record), unknown(record), diffs=diffs)


def made(record: Record) -> list[str]:
    """The diffs of a run that was asked for them."""
    changes = [change for change in made_changes(record) if change.diff]
    return _changes(changes, (), diffs=True) if changes else []


def _changes(changes: Sequence[PlannedChange], unknown: Sequence[Unknown], *, diffs: bool) -> list[str]:
    from thinkube_nornir.reporting.rendering import render  # most runs print none

    components = [(name, list(group)) for name, group in groupby(changes, key=lambda change: change.component)]
    parts = [(part, _first(part.steps, "step")) for part in unknown]
    text = render("changes.txt.j2", components=components, unknown=parts, diffs=diffs, margin=DIFF_MARGIN)
    return text.rstrip("\n").split("\n")


def verdict(record: Record) -> str:
    """One line: how it ended, of how many, in what time."""
    counts = ", ".join(f"{count} {word}" for word, count in sorted(record.counts.items()))
    amount = f"{_count(len(record.rows), 'step')} on {_count(len(by_host(record.rows)), 'host')}"
    return f"{record.verdict}: {amount} in {record.duration:.1f} s ({counts})"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def next_arguments(record: Record, later_phase: str | None, workers: int | None = None) -> list[str]:
    """The command that an operator would type now, without the program's name; empty when there is none.

    - Interrupted: what altered is resumed; what only looked is asked again.
    - Red: the same again, once the fixes above are done. But when nothing failed except what the selection needs of
      other phases, these are set up first. And a red verify is followed by `run`, which changes only what differs and
      ends with the same checks; not while a host is unreachable, which no run can repair.
    - Pending: what makes the promised changes.
    - Green: the next phase, for whoever works on all hosts; else a verification of what was set up, and a plan of what
      was rolled back. A green verify of the last phase has nothing after it.

    Hosts and --workers stay as they were given.

    Args:
        later_phase: the phase after the last one selected.
    """
    verb, *others = _next(record, later_phase) or [""]
    kept = ["--workers", str(workers)] if workers is not None else []
    return [verb, *others, *kept] if verb else []


def _next(record: Record, later_phase: str | None) -> list[str]:
    selected = [*record.selection, *(["-l", record.limit] if record.limit else [])]
    dry_run = ["--dry-run"] if record.dry_run and record.verb != "plan" else []
    again = [record.verb, *selected, *dry_run]
    forward = ["run", later_phase] if later_phase and not record.limit else []
    match record.verdict:
        case "interrupted":
            return again if record.dry_run or record.verb == "verify" else ["resume"]
        case "failed":
            return _after_failure(record, selected) or again
        case "pending":
            return ["rollback" if record.verb == "rollback" else "run", *selected]
    if record.verb == "rollback":
        return ["plan", *selected]
    return forward if record.verb == "verify" else forward or ["verify", *selected]


def _after_failure(record: Record, selected: Sequence[str]) -> list[str]:
    """Return what to type after a failed run; nothing means the same again."""
    if any(row.failure and row.failure.kind in _SILENT for row in record.failures):
        return []
    if record.verb == "verify":
        return ["run", *selected]
    lacking = _lacking(record) if record.verb in ("plan", "run") and not record.limit else []
    others = [name for name in record.selection if name.partition(".")[0] not in lacking]  # the phases have the rest
    return ["run", *lacking, *others] if lacking else []


def _lacking(record: Record) -> list[str]:
    """The phases to set up first, when nothing failed but what the selection needs of them."""
    needed = all(row.prerequisite for row in record.failures)
    return list(dict.fromkeys(row.component.partition(".")[0] for row in record.failures)) if needed else []
