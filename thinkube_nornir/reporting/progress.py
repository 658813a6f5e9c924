"""Progress while a run goes on: here the state and plain lines for a pipe; live.py draws it on a terminal."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Self

from thinkube_nornir.errors import CheckFailed
from thinkube_nornir.outcome import Outcome, error_of, outcome_of
from thinkube_nornir.reporting.record import NodeEvents
from thinkube_nornir.reporting.terminal import Terminal, clean

if TYPE_CHECKING:
    from types import TracebackType

    from nornir.core.task import Result

    from thinkube_nornir.estimate import Countdown
    from thinkube_nornir.plan import Plan

STILL_RUNNING = 30.0
"""Seconds between two words about a step that is still at work."""


class Progress(NodeEvents, AbstractContextManager["Progress"]):
    """What is running, since when, what is done, per host, and how long it will go on."""

    def __init__(
        self,
        terminal: Terminal,
        plan: Plan,
        clock: Callable[[], float] = time.monotonic,
        countdown: Countdown | None = None,
        never_set_up: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        self.terminal = terminal
        self.clock = clock
        self.countdown = countdown
        self.begun = clock()
        self.foreseen = {node.id for node in plan.nodes if (node.component, node.host) in never_set_up}
        """Nodes whose failure is one of many with one reason, which the end of the run says once."""
        self.titles = {node.id: f"{node.component} {node.chain}: {node.step.label}" for node in plan.nodes}
        self.totals = Counter(node.host for node in plan.nodes)
        self.outcomes: dict[str, Counter[Outcome]] = {host: Counter() for host in plan.hosts}
        self.interrupted = False
        self.running: dict[str, dict[str, float]] = {host: {} for host in plan.hosts}
        self.lock = threading.RLock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def node_started(self, node: str, host: str) -> None:
        with self.lock:
            self.running[host][node] = self.clock()
            if self.countdown:
                self.countdown.estimate.started(node, self.clock())

    def node_completed(self, node: str, host: str, result: Result) -> None:
        outcome = outcome_of(result)
        with self.lock:
            since = self.running[host].pop(node, self.clock())
            self.outcomes[host][outcome] += 1
            if self.countdown:
                self.countdown.estimate.finished(node)
            quiet = outcome.quiet or (node in self.foreseen and isinstance(result.exception, CheckFailed))
            self.show(outcome, self.line(node, host, outcome, _message(result), self.clock() - since), quiet=quiet)

    def show(self, outcome: Outcome, line: str, *, quiet: bool) -> None:
        """Called with the lock held, once for each node that ended; the end of the run says enough of a quiet one."""
        raise NotImplementedError

    def left(self) -> str:
        """The time that remains; empty when too little is known, and of a run that does not go on to its end."""
        with self.lock:
            return self.countdown.text(self.clock()) if self.countdown and not self.interrupted else ""

    def note(self, text: str) -> None:
        """What an interruption does."""
        with self.lock:
            self.interrupted = True
            self.say(text)

    def say(self, text: str) -> None:
        """A line about the run as a whole."""
        self.terminal.say(text)

    def done(self, host: str) -> int:
        """Steps that ended; of an interrupted run only those that were executed."""
        counts = self.outcomes[host]
        return counts.total() - (counts[Outcome.SKIPPED] if self.interrupted else 0)

    def line(self, node: str, host: str, word: str, message: str, seconds: float) -> str:
        width = max((len(name) for name in self.outcomes), default=0)
        took = f" ({age(seconds)})" if seconds >= 1 else ""
        return f"{host:<{width}}  {word:<9}  {self.titles[node]}{': ' if message else ''}{message}{took}"


class PlainProgress(Progress):
    """One line for each change and failure; every half minute one for each step that is still at work, and the rest."""

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._ticker.join()

    def node_started(self, node: str, host: str) -> None:
        super().node_started(node, host)
        if self.terminal.verbose:
            with self.lock:
                self.terminal.say(self.line(node, host, "started", "", 0))

    def show(self, outcome: Outcome, line: str, *, quiet: bool) -> None:  # noqa: ARG002 live.py colours by it
        """Print what is not quiet, or everything with -v."""
        if not quiet or self.terminal.verbose:
            self.terminal.say(line)

    def show_waits(self) -> None:
        with self.lock:
            now = self.clock()
            for host, nodes in self.running.items():
                for node, since in nodes.items():
                    if now - since >= STILL_RUNNING:
                        self.terminal.say(self.line(node, host, "running", "", now - since))
            if left := self.left():
                done = sum(map(self.done, self.outcomes))
                self.terminal.say(f"time   {left} ({done} of {self.totals.total()} steps are done)")

    def _tick(self) -> None:
        while not self._over.wait(STILL_RUNNING):
            self.show_waits()


def age(seconds: float) -> str:
    """
    >>> age(4.2), age(200)
    ('4 s', '3 min 20 s')
    """
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _message(result: Result) -> str:
    """The first line of what a step says; a failure's `result` is a traceback and stays out."""
    error = error_of(result)
    text = clean(error.what if error else result.result or "")
    return text.strip().partition("\n")[0]
