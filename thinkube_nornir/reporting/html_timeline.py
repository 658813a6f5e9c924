"""Where on the page's timeline each step is drawn: a line of bars for each host, as many tracks as overlap there."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from thinkube_nornir.reporting.html_steps import ShownRow

TRACK = 14
"""Pixels from one track to the next; a bar is a little lower."""
PADDING = 6
"""Pixels above and below a host's tracks."""
BORDER = 1
"""Pixels between hosts."""
_TOUCHING = 0.002
"""Seconds: clocks of steps that follow each other are not that exact."""
_MOST_MARKS = 8
_SIZES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
"""Seconds from one mark of the axis to the next."""


@dataclass(frozen=True)
class Bar:
    shown: ShownRow
    left: float
    """Per cent of the whole."""
    width: float
    top: int
    """Pixels."""
    critical: bool


@dataclass(frozen=True)
class Line:
    """A host's part of the drawing, in pixels."""

    host: str
    top: int
    height: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Link:
    """A line from the end of a bar of the critical path to the begin of the next one on another host."""

    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True)
class Mark:
    left: float
    seconds: float


@dataclass(frozen=True)
class Timeline:
    lines: tuple[Line, ...]
    links: tuple[Link, ...]
    marks: tuple[Mark, ...]
    height: int


def timeline(rows: Sequence[ShownRow], path: Sequence[str], seconds: float, hosts: Sequence[str]) -> Timeline:
    """Steps that took no time, because they were skipped, have no bar.

    Args:
        path: ids of the critical path, in order of time.
        seconds: how long the run took.
    """
    drawn = [shown for shown in rows if shown.at is not None and shown.row.word != "skipped"]
    whole = max([seconds, *((shown.at or 0.0) + shown.row.duration for shown in drawn)], default=0.0) or 1.0
    by_host: dict[str, list[ShownRow]] = {host: [] for host in hosts}
    for shown in drawn:
        by_host.setdefault(shown.row.host, []).append(shown)
    lines: list[Line] = []
    top = 0
    for host, of_host in by_host.items():
        if of_host:
            lines.append(_line(host, of_host, top, whole, frozenset(path)))
            top += lines[-1].height + BORDER
    return Timeline(tuple(lines), tuple(_links(lines, path)), tuple(_marks(whole)), top)


def _line(host: str, rows: Sequence[ShownRow], top: int, whole: float, path: Collection[str]) -> Line:
    bars: list[Bar] = []
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    tracks = 0
    for shown in sorted(rows, key=lambda each: (each.at or 0.0, each.number)):
        begin = shown.at or 0.0
        while busy and busy[0][0] <= begin + _TOUCHING:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            heapq.heappush(free, tracks)
            tracks += 1
        track = heapq.heappop(free)
        heapq.heappush(busy, (begin + shown.row.duration, track))
        left, width = 100 * begin / whole, 100 * shown.row.duration / whole
        bars.append(Bar(shown, left, width, top + PADDING + track * TRACK, shown.row.id in path))
    return Line(host, top, tracks * TRACK + 2 * PADDING, tuple(bars))


def _links(lines: Sequence[Line], path: Sequence[str]) -> Iterator[Link]:
    bars = {bar.shown.row.id: bar for line in lines for bar in line.bars if bar.critical}
    middle = TRACK / 2 - 1
    for before, after in pairwise(bars[name] for name in path if name in bars):
        if before.top != after.top:
            yield Link(before.left + before.width, after.left, before.top + middle, after.top + middle)


def _marks(whole: float) -> Iterator[Mark]:
    """Return the marks of the axis, at round numbers of seconds.

    >>> [mark.seconds for mark in _marks(25.1)]
    [0, 5, 10, 15, 20, 25]
    """
    step = next((size for size in _SIZES if whole / size <= _MOST_MARKS), whole)
    yield from (Mark(100 * n * step / whole, n * step) for n in range(int(whole / step) + 1))
