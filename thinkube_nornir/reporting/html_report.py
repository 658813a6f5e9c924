"""The report as one page for people: a file that needs nothing else, and lets nothing in or out."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from thinkube_nornir import __version__
from thinkube_nornir.reporting.causes import causes
from thinkube_nornir.reporting.critical_path import critical_path
from thinkube_nornir.reporting.html_steps import (
    PROBLEMS,
    Matrix,
    ShownComponent,
    ShownRow,
    components,
    matrix,
    numbered,
)
from thinkube_nornir.reporting.html_timeline import timeline
from thinkube_nornir.reporting.html_topology import drawing
from thinkube_nornir.reporting.matrix import COUNTED
from thinkube_nornir.reporting.planned import PlannedChange, made, planned, unknown
from thinkube_nornir.reporting.record import Record
from thinkube_nornir.reporting.rendering import iso_time, render
from thinkube_nornir.reporting.terminal import clean

OPEN_CAUSES = 6
"""More are folded, so that the first screen shows how many there are."""
OPEN_PROBLEMS = 24
"""With more failed rows, none are unfolded below: `Failures` has them by cause."""
_LONGEST = 12
"""Steps of the critical path that are listed, of those that took at least _LEAST of the run's time."""
_LEAST = 0.01


@dataclass(frozen=True)
class Share:
    """Per cent."""

    word: str
    left: float
    width: float


def as_html(record: Record) -> str:
    rows = numbered(record)
    hosts = tuple(dict.fromkeys([*record.hosts, *(row.host for row in record.rows)]))
    steps = components(rows, hosts)
    path = critical_path(record.rows)
    drawn = timeline(rows, [row.id for row in path], record.duration, hosts)
    places = drawing(record.topology) if record.topology else None
    style, script = render("report.css.j2", lines=len(places.lines) if places else 0), render("report.js.j2")
    return render(
        "report.html.j2",
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        version=__version__,
        record=record,
        selection=[clean(name) for name in record.selection],
        limit=clean(record.limit),
        started=iso_time(record.started),
        counts=[(word, record.counts[word]) for word in COUNTED if record.counts[word]],
        hosts=hosts,
        problem_hosts=[host for host in hosts if any(row.host == host for row in record.failures)],
        causes=causes(record),
        open_causes=OPEN_CAUSES,
        unfold=sum(row.word in PROBLEMS for row in record.rows) <= OPEN_PROBLEMS,
        changes=_in_order(planned(record) if record.dry_run else made(record), steps),
        unknown=unknown(record) if record.dry_run else (),
        changing=record.counts["planned" if record.dry_run else "changed"],
        number={shown.row.id: shown.number for shown in rows},
        components=steps,
        matrix=matrix(steps, hosts) if not record.dry_run else Matrix((), {}),
        timeline=drawn,
        path=path,
        longest=_longest(rows, {row.id for row in path}, _LEAST * record.duration),
        topology=places,
        state=_states(rows),
        shares=_shares(record),
        checks=sum(row.is_check for row in record.rows),
        not_held=sum(row.is_check and not row.good for row in record.rows),
        chains=list(dict.fromkeys(bar.shown.row.chain for line in drawn.lines for bar in line.bars)),
    )


def _in_order(changes: Sequence[PlannedChange], steps: Sequence[ShownComponent]) -> list[PlannedChange]:
    place = {component.name: number for number, component in enumerate(steps)}
    return sorted(changes, key=lambda change: place[change.component])


def _longest(rows: Sequence[ShownRow], path: set[str], least: float) -> list[ShownRow]:
    """What to look at to make the run shorter; in order of time."""
    on_path = [shown for shown in rows if shown.row.id in path and shown.row.duration >= least]
    longest = sorted(on_path, key=lambda shown: -shown.row.duration)[:_LONGEST]
    return sorted(longest, key=lambda shown: shown.at or 0.0)


def _states(rows: Sequence[ShownRow]) -> dict[str, str]:
    """Host to the worst that happened there."""
    counts: dict[str, Counter[str]] = {}
    for shown in rows:
        counts.setdefault(shown.row.host, Counter())[shown.row.word] += 1
    return {host: next(word for word in _WORST if count[word]) for host, count in counts.items()}


def _shares(record: Record) -> list[Share]:
    """Divide a bar into each outcome's part of all rows."""
    shares: list[Share] = []
    left = 0.0
    for word in COUNTED:
        if record.counts[word]:
            width = 100 * record.counts[word] / len(record.rows)
            shares.append(Share(word, round(left, 2), round(width, 2)))
            left += width
    return shares


_WORST = ("failed", "missing", "changed", "planned", "passed", "unchanged", "skipped")


def _hash(text: str) -> str:
    """The one style and the one script that the browser may apply, whatever else gets into the page."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
