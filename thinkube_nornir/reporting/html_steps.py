"""The rows of a record as the page shows them: every step once with its hosts, and every check beside every host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from thinkube_nornir.reporting.record import Record, Row
from thinkube_nornir.reporting.rendering import words

PROBLEMS = ("failed", "missing")
"""Outcomes that a reader must not miss: what has them is unfolded."""


@dataclass(frozen=True)
class ShownRow:
    number: int
    """Its place in the record, and so its anchor on the page."""
    row: Row
    at: float | None
    """Seconds after the run's start; None when it never started."""


@dataclass(frozen=True)
class ShownStep:
    """One step of a component's chain, on all of its hosts."""

    component: str
    chain: str
    name: str
    title: str
    about: str
    prerequisite: bool
    rows: tuple[ShownRow, ...]

    @property
    def counts(self) -> Counter[str]:
        return Counter(shown.row.word for shown in self.rows)

    @property
    def problem(self) -> bool:
        return any(word in self.counts for word in PROBLEMS)


@dataclass(frozen=True)
class ShownComponent:
    name: str
    steps: tuple[ShownStep, ...]

    @property
    def counts(self) -> Counter[str]:
        return sum((step.counts for step in self.steps), Counter())

    @property
    def problem(self) -> bool:
        return any(step.problem for step in self.steps)


@dataclass(frozen=True)
class Check:
    """A line of the matrix."""

    title: str
    cells: tuple[ShownRow | None, ...]
    """One for each host; None where the check is not for it."""


@dataclass(frozen=True)
class Matrix:
    hosts: tuple[str, ...]
    components: Mapping[str, tuple[Check, ...]]


def numbered(record: Record) -> list[ShownRow]:
    return [
        ShownRow(number, row, None if row.started is None else max(row.started - record.started, 0.0))
        for number, row in enumerate(record.rows)
    ]


def components(rows: Sequence[ShownRow], hosts: Sequence[str]) -> list[ShownComponent]:
    """Components in the order in which they are verified: other steps start when they can. Hosts in the order given."""
    found: dict[str, dict[tuple[str, str], list[ShownRow]]] = {}
    for shown in rows:
        steps = found.setdefault(shown.row.component, {})
        steps.setdefault((shown.row.chain, shown.row.step), []).append(shown)
    place = {host: number for number, host in enumerate(hosts)}
    verified = dict.fromkeys(shown.row.component for shown in rows if shown.row.chain == "verify")
    return [
        ShownComponent(name, tuple(_step(shown, place) for shown in found[name].values()))
        for name in dict.fromkeys([*verified, *found])
    ]


def title_of(row: Row) -> str:
    """Records of earlier versions have none."""
    return row.title or words(row.step)


def _step(rows: Iterable[ShownRow], place: Mapping[str, int]) -> ShownStep:
    ordered = tuple(sorted(rows, key=lambda shown: place.get(shown.row.host, len(place))))
    row = ordered[0].row
    return ShownStep(row.component, row.chain, row.step, title_of(row), row.about, row.prerequisite, ordered)


def matrix(shown: Sequence[ShownComponent], hosts: Sequence[str]) -> Matrix:
    """The checks of the verify chains beside the hosts that have any."""
    checks = {c.name: [step for step in c.steps if step.chain == "verify"] for c in shown}
    have = dict.fromkeys(each.row.host for steps in checks.values() for step in steps for each in step.rows)
    columns = tuple(dict.fromkeys([*(host for host in hosts if host in have), *have]))
    return Matrix(columns, {name: tuple(_check(s, columns) for s in steps) for name, steps in checks.items() if steps})


def _check(step: ShownStep, hosts: Sequence[str]) -> Check:
    by_host = {shown.row.host: shown for shown in step.rows}
    return Check(step.title, tuple(by_host.get(host) for host in hosts))
