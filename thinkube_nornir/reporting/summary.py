"""What a run says when it is over: the failures, the tables, and the next command to type."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.matrix import check_matrix, component_matrix, host_table
from thinkube_nornir.reporting.record import Failure, Record, Row, by_host

MOST_FAILURES = 10
"""More are counted only: `show` and the reports have them all."""

MOST_REASONS = 5


def told(row: Row) -> list[str]:
    """What, why and fix of a failed row; further lines of each are indented below the first."""
    failure = row.failure or Failure("", "")
    parts = (("what", failure.what), ("why", failure.why), ("fix", failure.fix))
    return [_named(name, text) for name, text in parts if text]


def failures(record: Record) -> list[str]:
    """A block for each failure; hosts on which a step failed in the same way share one."""
    groups: dict[tuple[str, str, str, Failure | None], list[str]] = {}
    for row in record.failures:
        groups.setdefault((row.component, row.chain, row.step, row.failure), []).append(row.host)
    first = {key: next(row for row in record.failures if _key(row) == key) for key in list(groups)[:MOST_FAILURES]}
    lines = [line for key, row in first.items() for line in ("", *_block(row, groups[key], record.log))]
    hidden = len(groups) - len(first)
    return lines + ([f"\nand {hidden} more failures: thinkube-nornir show {record.run_id}"] if hidden else [])


def _key(row: Row) -> tuple[str, str, str, Failure | None]:
    return (row.component, row.chain, row.step, row.failure)


def _block(row: Row, hosts: Sequence[str], log: str) -> list[str]:
    head = f"FAILED  {row.component}  {row.chain}: {row.step}  on {', '.join(hosts)}"
    lines = [*told(row), *([_named("log", log)] if log else [])]
    return [head, *(textwrap.indent(line, "  ") for line in lines)]


def _named(name: str, text: str) -> str:
    return f"{name:<4}  " + text.strip().replace("\n", "\n      ")


def skips(record: Record) -> list[str]:
    """Why steps were not carried out, the most frequent reasons first."""
    reasons = Counter(row.message for row in record.rows if row.outcome is Outcome.SKIPPED).most_common()
    lines = [f"skipped  {count:>4}  {reason}" for reason, count in reasons[:MOST_REASONS]]
    rest = sum(count for _, count in reasons[MOST_REASONS:])
    return lines + ([f"skipped  {rest:>4}  for other reasons: thinkube-nornir show {record.run_id}"] if rest else [])


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
    """A dry run's answer: every change it promises."""
    rows = [row for row in record.rows if row.outcome is Outcome.PLANNED]
    return [line for row in rows for line in _promise(row, diffs)] or ["nothing to change"]


def made(record: Record) -> list[str]:
    """The diffs of a run that was asked for them."""
    rows = [row for row in record.rows if row.outcome is Outcome.CHANGED and row.diff]
    return [line for row in rows for line in _promise(row, diffs=True)]


def _promise(row: Row, diffs: bool) -> list[str]:
    lines = [f"{row.host}  {row.component} {row.step}: {row.message}"]
    return lines + ([textwrap.indent(row.diff.rstrip("\n"), "    ")] if diffs and row.diff else [])


def verdict(record: Record) -> str:
    """One line: how it ended, of how many, in what time."""
    counts = ", ".join(f"{count} {word}" for word, count in sorted(record.counts.items()))
    amount = f"{_count(len(record.rows), 'step')} on {_count(len(by_host(record.rows)), 'host')}"
    return f"{record.verdict}: {amount} in {record.duration:.1f} s ({counts})"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def next_arguments(record: Record, later_phase: str | None) -> list[str]:
    """The command that an operator would type now, without the program's name; empty when there is none.

    Args:
        later_phase: the phase after the last one selected.
    """
    selected = [*record.selection, *(["-l", record.limit] if record.limit else [])]
    forward = ["run", later_phase] if later_phase and not record.limit else []
    if record.verdict == "failed":
        rehearsal = ["--dry-run"] if record.dry_run and record.verb != "plan" else []
        return [record.verb, *selected, *rehearsal]
    if record.verdict == "interrupted":
        return ["resume"]
    if record.verdict == "pending":
        return ["rollback" if record.verb == "rollback" else "run", *selected]
    if record.verb == "rollback":
        return ["plan", *selected]
    return forward if record.verb == "verify" else forward or ["verify", *selected]
