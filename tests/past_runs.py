"""Journals with runs in them, without running anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thinkube_nornir.database import Database

NOON = 1_700_000_000.0
"""When the first run started; each other one an hour later."""


@dataclass
class PastNode:
    node: str
    outcome: str | None = "unchanged"
    seconds: float = 0.1
    message: str = "as it should be"
    error: Mapping[str, str] | None = None
    retries: int = 0
    retried: str = ""
    label: str = ""


def step(name: str = "coredns_answers", host: str = "tkc", *, chain: str = "verify", **more: Any) -> PastNode:
    return PastNode(f"{more.pop('component', 'phase5.coredns')}/{chain}/{name}@{host}", **more)


def failed(name: str = "coredns_answers", host: str = "tkc", what: str = "0 of 2 pods are ready") -> PastNode:
    error = {"what": what, "why": "no forward line", "fix": "run it again"}
    return step(name, host, outcome="failed", message="", error=error)


@dataclass
class PastRuns:
    """A journal's file below a project's state folder, filled run by run."""

    folder: Path
    _count: int = field(default=0)

    @property
    def path(self) -> Path:
        return self.folder / "journal.sqlite"

    def add(
        self,
        *nodes: PastNode,
        verb: str = "run",
        selection: Sequence[str] = ("phase5",),
        limit: str = "",
        scope: str = "ssh",
        outcome: str | None = "done",
        dry_run: bool = False,
        pid: int = 0,
    ) -> int:
        """A run whose nodes followed each other; its number."""
        began = NOON + 3600 * self._count
        self._count += 1
        database = Database(self.path)
        run = database.write(
            "INSERT INTO runs (scope, verb, selection, hosts, dry_run, pid, started, finished, outcome)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(scope, verb, json.dumps([*selection]), limit, dry_run, pid or 2**22 + 1, began),
            *((began + sum(n.seconds for n in nodes) if outcome else None), outcome),
        )
        at = began
        for node in nodes:
            database.write(
                "INSERT INTO nodes"
                " (run, node, host, started, finished, outcome, message, error, retries, retried, label)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(run, node.node, node.node.rpartition("@")[2], at),
                *((at + node.seconds if node.outcome else None), node.outcome, node.message, json.dumps(node.error)),
                *(node.retries, node.retried, node.label),
            )
            at += node.seconds
        database.close()
        return run
