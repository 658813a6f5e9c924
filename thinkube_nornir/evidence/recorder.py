"""Collects what goes to hosts and clusters and what comes back, while a run goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from thinkube_nornir.command import Command, Completed

LONGEST = 1_000_000
"""Bytes of one output that are kept; what was cut off is marked."""


@dataclass(frozen=True)
class Entry:
    """One command on a host, or one request to the API of the cluster that is reached through it."""

    node: str
    """The plan's node that asked, `component/chain/step@host`; empty where that is not known."""
    host: str
    at: float
    """Seconds since the epoch, when it was asked."""
    seconds: float
    what: Mapping[str, Any]
    """What was asked and what came back, as the archive's lines have it (archive.py)."""


@dataclass
class Recorder:
    """Thread-safe. Of what was sent only arguments and addresses are kept: what a program reads may be a secret."""

    entries: list[Entry] = field(default_factory=list)
    _here: threading.local = field(default_factory=threading.local)

    @contextmanager
    def step(self, node: str) -> Iterator[None]:
        """What this thread asks within the block, it asks for that node."""
        self._here.node = node
        try:
            yield
        finally:
            self._here.node = ""

    def commands(self, host: str, answers: Sequence[Completed], began: float) -> None:
        for done in answers:
            answer = {"status": done.status, **_output("stdout", done.stdout), **_output("stderr", done.stderr)}
            self._add(host, began, {**_asked(done.command), **answer})

    def no_answer(self, host: str, commands: Sequence[Command], error: Exception, began: float) -> None:
        for command in commands:
            self._add(host, began, {**_asked(command), "error": f"{type(error).__name__}: {error}"})

    def request(self, host: str, asked: Mapping[str, Any], answer: Mapping[str, Any], began: float) -> None:
        """
        Args:
            asked: method and url.
            answer: status and body (bytes), events of a watch, or error.
        """
        body = answer.get("body")
        shown = {**answer, **_output("body", body)} if isinstance(body, bytes) else answer
        self._add(host, began, {**asked, **shown})

    def _add(self, host: str, began: float, what: Mapping[str, Any]) -> None:
        seconds = time.monotonic() - began
        self.entries.append(Entry(getattr(self._here, "node", ""), host, time.time() - seconds, seconds, what))


def _asked(command: Command) -> dict[str, Any]:
    return {
        "argv": list(command.argv),
        "root": command.root,
        **({"alters": True} if command.alters else {}),
        **({"env": dict(command.env)} if command.env else {}),
        **({"stdin_bytes": len(command.stdin)} if command.stdin else {}),
    }


def _output(name: str, content: bytes) -> dict[str, Any]:
    """Decode output; bytes that are no UTF-8 become lone surrogates, which JSON carries."""
    cut = {f"{name}_cut": True} if len(content) > LONGEST else {}
    return {name: content[:LONGEST].decode(errors="surrogateescape"), **cut}
