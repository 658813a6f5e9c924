"""The host x check matrix, and the smaller tables: lines of text that fit a width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.record import Row, by_host

COUNTED = ("changed", "planned", "unchanged", "passed", "skipped", "failed", "missing")


@dataclass(frozen=True)
class Marks:
    passed: str
    failed: str
    not_run: str

    def of(self, row: Row) -> str:
        """Nothing but a check that ran and held gets the mark that says so."""
        if row.outcome is Outcome.FAILED:
            return self.failed
        return self.passed if row.good else self.not_run


def marks(unicode: bool) -> Marks:
    return Marks("✓", "✗", "–") if unicode else Marks("ok", "FAIL", "-")  # noqa: RUF001 the dash is the mark


def check_matrix(rows: Sequence[Row], *, width: int, unicode: bool = True, first: Sequence[str] = ()) -> list[str]:
    """A line for each check, a column for each host; hosts that do not fit side by side follow below.

    Args:
        first: hosts that come before all others, in this order; so in all tables here.

    A blank cell: this check is not for this host. Rows of other chains than `verify` are left out.
    """
    checks = _together([row for row in rows if row.chain == "verify"])
    mark = marks(unicode)
    keys = {f"{row.component} {row.step}": row for row in checks}
    return _Grid(
        cells={(f"{row.component} {row.step}", row.host): mark.of(row) for row in checks},
        lines={key: f"  {row.label or row.step}" for key, row in keys.items()},
        hosts=_hosts(checks, first),
        sections={key: row.component for key, row in keys.items()},
    ).text(width)


def component_matrix(rows: Sequence[Row], *, width: int, unicode: bool = True, first: Sequence[str] = ()) -> list[str]:
    """The same, a line for each component: how many of its checks hold, of how many."""
    checks = [row for row in rows if row.chain == "verify"]
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in checks:
        groups.setdefault((row.component, row.host), []).append(row)
    cells = {key: _held(group, marks(unicode)) for key, group in groups.items()}
    return _Grid(cells, {component: component for component, _ in cells}, _hosts(checks, first)).text(width)


def host_table(rows: Sequence[Row], *, first: Sequence[str] = ()) -> list[str]:
    """Outcomes counted per host; outcomes that nobody had are left out."""
    counts = by_host(rows)
    words = [word for word in COUNTED if any(count[word] for count in counts.values())]
    return table(("host", *words), [(host, *(str(counts[host][w]) for w in words)) for host in _hosts(rows, first)])


def table(head: Sequence[str], lines: Sequence[Sequence[str]], *, width: int | None = None) -> list[str]:
    """Columns as wide as they must be; numbers to the right; the last column is cut at `width`."""
    every = [tuple(head), *map(tuple, lines)]
    widths = [max(len(line[i]) for line in every) for i in range(len(head))]
    numeric = [bool(lines) and all(line[i].isdigit() for line in lines) for i in range(len(head))]
    made = ("  ".join(_pad(c, w, n) for c, w, n in zip(line, widths, numeric, strict=True)).rstrip() for line in every)
    return [line if width is None else _cut(line, width) for line in made]


def _together(rows: Sequence[Row]) -> list[Row]:
    """Rows of one component side by side; a plan's order has those of independent components mixed."""
    order = list(dict.fromkeys(row.component for row in rows))
    return sorted(rows, key=lambda row: order.index(row.component))


def _hosts(rows: Sequence[Row], first: Sequence[str]) -> list[str]:
    found = dict.fromkeys(row.host for row in rows)
    return list(dict.fromkeys([*(host for host in first if host in found), *found]))


def _held(rows: Sequence[Row], mark: Marks) -> str:
    good = sum(row.good for row in rows)
    if any(row.outcome is Outcome.FAILED for row in rows):
        return f"{mark.failed} {good}/{len(rows)}"
    return f"{mark.passed} {good}" if good == len(rows) else f"{mark.not_run} {good}/{len(rows)}"


@dataclass(frozen=True)
class _Grid:
    """Cells by (line, host). `sections` gives a line's heading, printed once above the lines that share it."""

    cells: Mapping[tuple[str, str], str]
    lines: Mapping[str, str]
    hosts: Sequence[str]
    sections: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def margin(self) -> int:
        return max((len(text) for text in (*self.lines.values(), *self.sections.values())), default=0)

    @cached_property
    def columns(self) -> Mapping[str, int]:
        widths = {host: len(host) for host in self.hosts}
        for (_, host), cell in self.cells.items():
            widths[host] = max(widths[host], len(cell))
        return widths

    def text(self, width: int) -> list[str]:
        out: list[str] = []
        for hosts in self._fitting(width - self.margin):
            out += [""] if out else []
            out += [self._line("", hosts, hosts), *self._lines(hosts)]
        return out

    def _fitting(self, width: int) -> list[list[str]]:
        """The hosts in blocks that fit into `width`, at least one host in each."""
        blocks: list[list[str]] = []
        room = 0
        for host in self.hosts:
            needed = self.columns[host] + 2
            if not blocks or needed > room:
                blocks.append([])
                room = width
            blocks[-1].append(host)
            room -= needed
        return blocks

    def _lines(self, hosts: Sequence[str]) -> Iterable[str]:
        section = ""
        for key, text in self.lines.items():
            found = [self.cells.get((key, host), "") for host in hosts]
            if any(found):
                if self.sections.get(key, "") != section:
                    section = self.sections[key]
                    yield section
                yield self._line(text, hosts, found)

    def _line(self, text: str, hosts: Sequence[str], found: Sequence[str]) -> str:
        cells = (f"  {cell:<{self.columns[host]}}" for host, cell in zip(hosts, found, strict=True))
        return f"{text:<{self.margin}}{''.join(cells)}".rstrip()


def _pad(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 3] + "..."
