"""Live progress on a terminal: a line per host with its running step; changes and failures scroll by above."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.progress import Progress, age
from thinkube_nornir.reporting.terminal import Terminal
from thinkube_nornir.reporting.wrapping import wrapped

if TYPE_CHECKING:
    from types import TracebackType

    from thinkube_nornir.estimate import Countdown
    from thinkube_nornir.plan import Plan

_PROMINENCE = ("at work", "waiting", "interrupted", "done")
"""What a host is, in the order in which it is shown where not all have room."""

_STYLES = {Outcome.FAILED: "red", Outcome.CHANGED: "yellow", Outcome.PLANNED: "yellow"}


def _natural(host: str) -> list[tuple[str, int]]:
    """Names in the order in which people count: gpu2 before gpu10."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", host)]


class LiveProgress(Progress):
    def __init__(
        self,
        terminal: Terminal,
        plan: Plan,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        countdown: Countdown | None = None,
        never_set_up: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        super().__init__(terminal, plan, clock, countdown, never_set_up)
        self.console = console or Console(file=terminal.out, no_color=not terminal.color, highlight=False)
        self._live = Live(console=self.console, get_renderable=lambda: self, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, outcome: Outcome, line: str, *, quiet: bool) -> None:
        if not quiet or self.terminal.verbose:
            self._above(line, _STYLES.get(outcome, ""))

    def say(self, text: str) -> None:
        self._above(text)

    def _above(self, text: str, style: str = "") -> None:
        self.console.print(Text(wrapped(text, self.console.width), style=style), soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self.lock:
            room = max(3, (options.height or console.size.height) // 2)  # the rest is for what scrolls by above
            hosts = sorted(self.outcomes, key=_natural)  # each keeps its place
            if len(hosts) > room:
                hosts.sort(key=lambda host: _PROMINENCE.index(self._state(host)))  # stable
            yield Text(self.head(), no_wrap=True, overflow="ellipsis")
            yield from map(self._line, hosts[:room])
            if others := Counter(map(self._state, hosts[room:])):
                counted = ", ".join(f"{others[state]} {state}" for state in _PROMINENCE if others[state])
                yield Text(f"and {others.total()} more hosts: {counted}", no_wrap=True, overflow="ellipsis")

    def _state(self, host: str) -> str:
        if self.running[host]:
            return "at work"
        if self.outcomes[host].total() < self.totals[host]:
            return "waiting"
        return "interrupted" if self.done(host) < self.totals[host] else "done"

    def head(self) -> str:
        counts: Counter[Outcome] = sum(self.outcomes.values(), Counter())
        counted = "  ".join(f"{count} {word}" for word in Outcome if (count := counts[word]))
        times = [age(self.clock() - self.begun), *filter(None, (self.left(),))]
        done = sum(map(self.done, self.outcomes))
        return "  ".join((f"{done}/{self.totals.total()} steps", ", ".join(times), counted))

    def _line(self, host: str) -> Text:
        width = max(len(name) for name in self.outcomes)
        counts, digits = self.outcomes[host], len(str(max(self.totals.values())))
        done = f"{self.done(host):>{digits}}/{self.totals[host]:<{digits}}"
        text = Text(f"{host:<{width}}  {done}  {self._doing(host)}", no_wrap=True, overflow="ellipsis")
        if counts[Outcome.FAILED]:
            text.stylize("red", 0, len(host))
        return text

    def _doing(self, host: str) -> str:
        """The age comes first, where a narrow terminal does not cut it off."""
        now = self.clock()
        steps = [f"{age(now - since):>4}  {self.titles[node]}" for node, since in self.running[host].items()]
        return ", ".join(steps) or self._state(host)
