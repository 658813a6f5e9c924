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
    return _told(row.failure or Failure("", ""))


def _told(failure: Failure) -> list[str]:
    parts = (("what", failure.what), ("why", failure.why), ("fix", failure.fix))
    return [_named(name, text) for name, text in parts if text]


def failures(record: Record) -> list[str]:
    """A block for each failure; hosts on which a step failed alike share one, and so do steps on the same hosts."""
    hosts: dict[tuple[str, str, str, Failure], list[str]] = {}
    for row in record.failures:
        hosts.setdefault((row.component, row.chain, row.step, row.failure or Failure("", "")), []).append(row.host)
    steps: dict[tuple[str, str, Failure, tuple[str, ...]], list[str]] = {}
    for (component, chain, step, failure), where in hosts.items():
        steps.setdefault((component, chain, failure, tuple(where)), []).append(step)
    blocks = [_block(*key, names, record.log) for key, names in list(steps.items())[:MOST_FAILURES]]
    hidden = len(steps) - len(blocks)
    lines = [line for block in blocks for line in ("", *block)]
    return lines + ([f"\nand {hidden} more failures: see `show {record.run_id}`"] if hidden else [])


def _block(
    component: str, chain: str, failure: Failure, hosts: Sequence[str], steps: Sequence[str], log: str
) -> list[str]:
    further = f" and {_count(len(steps) - 1, 'step')} more" if len(steps) > 1 else ""
    head = f"FAILED  {component}  {chain}: {steps[0]}{further}  on {', '.join(hosts)}"
    lines = [*_told(failure), *([_named("log", log)] if log else [])]
    return [head, *(textwrap.indent(line, "  ") for line in lines)]


def _named(name: str, text: str) -> str:
    return f"{name:<4}  " + text.strip().replace("\n", "\n      ")


def skips(record: Record) -> list[str]:
    """Why steps were not carried out, the most frequent reasons first."""
    reasons = Counter(row.message for row in record.rows if row.outcome is Outcome.SKIPPED).most_common()
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
        lacking = _lacking(record) if record.verb in ("plan", "run") and not record.limit else []
        return ["run", *lacking, *record.selection] if lacking else [record.verb, *selected, *rehearsal]
    if record.verdict == "interrupted":
        return ["resume"]
    if record.verdict == "pending":
        return ["rollback" if record.verb == "rollback" else "run", *selected]
    if record.verb == "rollback":
        return ["plan", *selected]
    return forward if record.verb == "verify" else forward or ["verify", *selected]


def _lacking(record: Record) -> list[str]:
    """The phases to set up first, when nothing failed but what the selection needs of them."""
    needed = all(row.prerequisite for row in record.failures)
    return list(dict.fromkeys(row.component.partition(".")[0] for row in record.failures)) if needed else []
