"""The report for pull requests and notes: GitHub-flavoured Markdown, cut to what GitHub takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from thinkube_nornir.reporting.causes import Cause, causes
from thinkube_nornir.reporting.markdown_text import cell, cut
from thinkube_nornir.reporting.matrix import COUNTED, marks
from thinkube_nornir.reporting.planned import PlannedChange, made, planned, unknown
from thinkube_nornir.reporting.record import Record, Row, by_host
from thinkube_nornir.reporting.rendering import render
from thinkube_nornir.reporting.terminal import clean

LIMIT = 65_536
"""Characters of a pull request's or a comment's text."""
_ROOM = 60_000
"""For blocks; the rest is for headings and the sentences that say what was left out."""
_SHARES = (("hosts", 0.25), ("causes", 0.6), ("changes", 0.7), ("checks", 1.0))
"""Each part may take this much of the room that those before it left; what is not in this order on the page."""
_LONGEST = 4_000
"""Characters of one text: a diff, the evidence of a failure."""
_HEADING = 200
_OPEN = 3
"""Causes that are not folded: further ones would push the rest out of sight."""

_MARKS = marks(unicode=True)


@dataclass(frozen=True)
class Part:
    """Blocks of one kind that fit, and how many do not."""

    blocks: tuple[str, ...]
    left: int


def as_markdown(record: Record) -> str:
    changes = planned(record) if record.dry_run else made(record)
    parts: dict[str, Sequence[Callable[[], str]]] = {
        "hosts": _hosts(record),
        "causes": [partial(_cause, cause, folded=place >= _OPEN) for place, cause in enumerate(causes(record))],
        "changes": [partial(_change, change) for change in changes],
        "checks": [] if record.dry_run else _checks(record),
    }
    words = [word for word in COUNTED if record.counts[word]]
    return render(
        "report.md.j2",
        record=record,
        mark=_MARKS.passed if record.verdict == "green" else _MARKS.failed if record.verdict == "failed" else "○",
        command=" ".join([record.verb, *map(clean, record.selection), *_options(record)]),
        amount=f"{_count(len(record.rows), 'step')} on {_count(len(by_host(record.rows)), 'host')}",
        counts=", ".join(f"{record.counts[word]} {word}" for word in words),
        words=words,
        unknown=unknown(record) if record.dry_run else (),
        failed=_count(record.counts["failed"], "step") + " failed.",
        limit=f"{LIMIT:,}",
        everything=f"show {record.run_id}",
        **_fitted(parts),
    )


def _options(record: Record) -> list[str]:
    return [
        *(["-l", clean(record.limit)] if record.limit else []),
        *(["--dry-run"] if record.dry_run and record.verb != "plan" else []),
    ]


def _fitted(parts: Mapping[str, Sequence[Callable[[], str]]]) -> dict[str, Part]:
    room, fitted = float(_ROOM), dict[str, Part]()
    for name, share in _SHARES:
        fitted[name] = _fit(parts[name], room * share)
        room -= sum(map(_length, fitted[name].blocks))
    return fitted


def _fit(blocks: Sequence[Callable[[], str]], room: float) -> Part:
    """Make as many blocks as there is room for, in their order: the first ones say most."""
    kept: list[str] = []
    for make in blocks:
        block = make()
        room -= _length(block)
        if room < 0:
            break
        kept.append(block)
    return Part(tuple(kept), len(blocks) - len(kept))


def _length(text: str) -> int:
    """Count characters as JavaScript does (twice beyond the first 65,536), and the line ends between blocks."""
    return len(text.encode("utf-16-le")) // 2 + 2


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _hosts(record: Record) -> list[Callable[[], str]]:
    """Put hosts first on which something failed, because the last ones may not fit."""
    counts = by_host(record.rows)
    words = [word for word in COUNTED if record.counts[word]]
    names = _in_order(record, counts)
    red = [name for name in names if counts[name]["failed"]]

    def line(name: str) -> str:
        return f"| {cell(name)} |" + "".join(f" {counts[name][word] or ''} |" for word in words)

    return [partial(line, name) for name in dict.fromkeys([*red, *names])]


def _in_order(record: Record, hosts: Iterable[str]) -> list[str]:
    known = set(hosts)
    return [name for name in dict.fromkeys([*record.hosts, *hosts]) if name in known]


def _cause(cause: Cause, *, folded: bool) -> str:
    failure = cause.failure
    what, _, more = failure.what.strip().partition("\n")
    heading, rest = what[:_HEADING], what[_HEADING:]
    seen = "\n".join(part for part in (f"{heading}{rest}" if rest else "", more, *cause.others) if part)
    parts = (("Seen", seen), ("Why", failure.why), ("Fix", failure.fix))
    texts = [(name, cut(text.strip(), _LONGEST)) for name, text in parts if text.strip()]
    title = heading + ("…" if rest else "")
    return render("report_cause.md.j2", cause=cause, what=title, texts=texts, folded=folded).rstrip("\n")


def _change(change: PlannedChange) -> str:
    return render("report_change.md.j2", change=change, diff=cut(change.diff, _LONGEST)).rstrip("\n")


def _checks(record: Record) -> list[Callable[[], str]]:
    """A table for each component; a component's own checks stand together, whatever ran between them."""
    found: dict[str, list[Row]] = {}
    for row in record.rows:
        if row.chain == "verify":
            found.setdefault(row.component, []).append(row)
    return [partial(_component, record, name, rows) for name, rows in found.items()]


def _component(record: Record, name: str, rows: Sequence[Row]) -> str:
    hosts = _in_order(record, dict.fromkeys(row.host for row in rows))
    cells = {(row.step, row.host): _MARKS.of(row) for row in rows}
    steps = dict.fromkeys(row.step for row in rows)
    held = sum(row.good for row in rows)
    red = any(_MARKS.of(row) == _MARKS.failed for row in rows)
    return render(
        "report_checks.md.j2",
        component=name,
        hosts=hosts,
        lines=[(step, [cells.get((step, host), "") for host in hosts]) for step in steps],
        held=held,
        total=len(rows),
        red=red,
        mark=_MARKS.failed if red else _MARKS.passed if held == len(rows) else _MARKS.not_run,
    ).rstrip("\n")
