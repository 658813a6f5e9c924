"""The journal: runs and nodes, written before and after each is executed."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from nornir.core.inventory import Host
from nornir.core.task import AggregatedResult, MultiResult, Task

from thinkube_nornir.component import CHECKS
from thinkube_nornir.context import retries_in
from thinkube_nornir.database import Database
from thinkube_nornir.durations import PastStep
from thinkube_nornir.inputs import Inputs, as_text, digest_of
from thinkube_nornir.outcome import Outcome, error_of, outcome_of
from thinkube_nornir.past_steps import past_steps
from thinkube_nornir.secret import redact


@dataclass(frozen=True)
class Run:
    """One carrying-out of a plan. Times are seconds since the epoch."""

    id: int
    scope: str
    """As in Journal."""
    verb: str
    selection: tuple[str, ...]
    hosts: str
    """The `--limit` as it was typed; empty for all."""
    dry_run: bool
    pid: int
    started: float
    finished: float | None
    """None while it runs, and for ever when it was killed."""
    outcome: str | None
    """`done`, `failed` or `interrupted`."""
    settings: str = ""
    """Digest of the settings it was given; empty when they are not known, as in runs of earlier versions."""
    files: str = ""
    """Digest of the list of files that decided what it did."""
    revision: str = ""
    """The git commit of these files."""
    modified: bool | None = None
    """Whether they differed from it; None when there was no git."""

    @property
    def target(self) -> str:
        """The name of one of target.KINDS."""
        return self.scope.partition(" ")[0]


@dataclass(frozen=True)
class NodeRecord:
    """What became of a node; `finished` None when the run was killed while it was at work."""

    node: str
    host: str
    started: float
    finished: float | None
    outcome: str | None
    message: str
    error: Mapping[str, str] | None
    """kind (older journals have none), what, why, fix."""
    retries: int = 0
    """How often something inside of it was refused or failed, and was tried again."""
    retried: str = ""
    """Why, the last time."""
    label: str = ""
    """What people read for the step; in older journals its name."""

    @property
    def component(self) -> str:
        return self.node.split("/")[0]

    @property
    def chain(self) -> str:
        return self.node.split("/")[1]

    @property
    def step(self) -> str:
        return self.node.split("/")[2].partition("@")[0]

    @property
    def duration(self) -> float:
        """Seconds; 0 for what never finished."""
        return max(0.0, self.finished - self.started) if self.finished else 0.0


class Journal:
    """`scope` says whose hosts a run is on, as target.Prepared has it."""

    def __init__(self, database: Database, scope: str) -> None:
        self._db = database
        self.scope = scope

    def start_run(self, verb: str, selection: tuple[str, ...], hosts: str, *, dry_run: bool = False) -> int:
        return self._db.write(
            "INSERT INTO runs (scope, verb, selection, hosts, dry_run, pid, started) VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(self.scope, verb, json.dumps(selection), hosts, dry_run, os.getpid(), time.time()),
        )

    def finish_run(self, run: int, outcome: str) -> None:
        self._db.write("UPDATE runs SET finished = ?, outcome = ? WHERE id = ?", time.time(), outcome, run)

    def keep_inputs(self, run: int, inputs: Inputs) -> None:
        """What a run was given; what an earlier run was given as well is not stored a second time."""
        settings, files = self._stored(as_text(inputs.settings)), self._stored(as_text(inputs.files))
        self._db.write(
            "UPDATE runs SET settings = ?, files = ?, revision = ?, modified = ? WHERE id = ?",
            *(settings, files, inputs.revision, inputs.modified, run),
        )

    def _stored(self, content: str) -> str:
        digest = digest_of(content.encode(errors="backslashreplace"))
        if not self._db.query("SELECT 1 FROM contents WHERE digest = ?", digest):
            self._db.write("INSERT OR IGNORE INTO contents VALUES (?, ?)", digest, content)
        return digest

    def inputs(self, run: Run) -> Inputs:
        return Inputs(self._content(run.settings), self._content(run.files), run.revision, run.modified)

    def _content(self, digest: str) -> Mapping[str, Any]:
        rows = self._db.query("SELECT content FROM contents WHERE digest = ?", digest)
        content: Mapping[str, Any] = json.loads(rows[0]["content"]) if rows else {}
        return content

    def runs(self, limit: int = 50) -> list[Run]:
        """The latest runs on any hosts, newest first; all of them for -1."""
        return [_run(row) for row in self._db.query("SELECT * FROM runs ORDER BY id DESC LIMIT ?", limit)]

    def run(self, run: int) -> Run | None:
        rows = self._db.query("SELECT * FROM runs WHERE id = ?", run)
        return _run(rows[0]) if rows else None

    def unfinished(self) -> Run | None:
        """The latest run on these hosts, when it altered them and did not end well: what `resume` executes again.

        An older one is not: whoever has looked at the hosts since may want something else.
        """
        rows = self._db.query("SELECT * FROM runs WHERE scope = ? ORDER BY id DESC LIMIT 1", self.scope)
        latest = _run(rows[0]) if rows else None
        altering = self.last_altering()
        return latest if latest and altering and latest.id == altering.id and latest.outcome != "done" else None

    def last_altering(self) -> Run | None:
        rows = self._db.query(
            "SELECT * FROM runs WHERE scope = ? AND NOT dry_run AND verb != 'verify' ORDER BY id DESC LIMIT 1",
            self.scope,
        )
        return _run(rows[0]) if rows else None

    def nodes(self, run: int) -> list[NodeRecord]:
        return [_node(row) for row in self._db.query("SELECT * FROM nodes WHERE run = ? ORDER BY started, node", run)]

    def nodes_of_phase(self, phase: str) -> dict[int, list[NodeRecord]]:
        """Run to its nodes of a phase's components, in the order in which they started."""
        return self._by_run("node > ? AND node < ?", f"{phase}.", f"{phase}/")  # / comes right after the dot

    def changed_nodes(self) -> dict[int, list[NodeRecord]]:
        """Run to the nodes in which it changed something, in the order in which they started."""
        return self._by_run("outcome = 'changed'")

    def _by_run(self, condition: str, *values: str) -> dict[int, list[NodeRecord]]:
        found: dict[int, list[NodeRecord]] = {}
        # Without the index: the half of all nodes is read twice as fast in the order in which they are stored.
        sql = f"SELECT * FROM nodes NOT INDEXED WHERE {condition} ORDER BY run, started, node"  # noqa: S608  our own text
        for row in self._db.query(sql, *values):
            found.setdefault(row["run"], []).append(_node(row))
        return found

    def counts(self, run: int) -> Counter[str]:
        """How many nodes of a run had each outcome; those without one are `unfinished`."""
        rows = self._db.query("SELECT node, outcome FROM nodes WHERE run = ?", run)
        return Counter(_outcome(row["node"], row["outcome"]) or "unfinished" for row in rows)

    def hosts(self) -> list[str]:
        """Every host that any run was on."""
        return [row["host"] for row in self._db.query("SELECT DISTINCT host FROM nodes ORDER BY host")]

    def components(self) -> list[str]:
        """Every component that any run was of."""
        rows = self._db.query("SELECT DISTINCT substr(node, 1, instr(node, '/') - 1) AS name FROM nodes ORDER BY name")
        return [row["name"] for row in rows]

    def runs_on(self, hosts: Collection[str]) -> set[int]:
        """The runs that had a node on one of the hosts."""
        rows = self._db.query(
            "SELECT DISTINCT run FROM nodes WHERE host IN (SELECT value FROM json_each(?))", json.dumps([*hosts])
        )
        return {row["run"] for row in rows}

    def past_steps(self, verb: str, target: str, words: Collection[str], *, dry_run: bool) -> list[PastStep]:
        """What steps took in the last runs that were like this one; past_steps.py says which."""
        return past_steps(self._db, verb, target, words, dry_run=dry_run)

    def node_started(self, run: int, node: str, host: str, label: str = "") -> None:
        self._db.write(
            "INSERT INTO nodes (run, node, host, started, label) VALUES (?, ?, ?, ?, ?)",
            *(run, node, host, time.time(), label),
        )

    def node_finished(self, run: int, node: str, result: MultiResult) -> None:
        error = error_of(result)
        kind = type(result.exception).__name__
        written = {"kind": kind, "what": error.what, "why": error.why, "fix": error.fix} if error else None
        message = "" if error else str(result.result)
        retries = retries_in(result)
        self._db.write(
            "UPDATE nodes SET finished = ?, outcome = ?, message = ?, error = ?, retries = ?, retried = ?"
            " WHERE run = ? AND node = ?",
            *(time.time(), outcome_of(result).value, redact(message), redact(json.dumps(written))),
            *(retries.count, redact(retries.reason), run, node),
        )


def _run(row: sqlite3.Row) -> Run:
    return Run(
        id=row["id"],
        scope=row["scope"],
        verb=row["verb"],
        selection=tuple(json.loads(row["selection"])),
        hosts=row["hosts"],
        dry_run=bool(row["dry_run"]),
        pid=row["pid"],
        started=row["started"],
        finished=row["finished"],
        outcome=row["outcome"],
        settings=row["settings"] or "",
        files=row["files"] or "",
        revision=row["revision"] or "",
        modified=None if row["modified"] is None else bool(row["modified"]),
    )


def _node(row: sqlite3.Row) -> NodeRecord:
    return NodeRecord(
        node=row["node"],
        host=row["host"],
        started=row["started"],
        finished=row["finished"],
        outcome=_outcome(row["node"], row["outcome"]),
        message=row["message"],
        error=json.loads(row["error"]),
        retries=row["retries"],
        retried=row["retried"],
        label=row["label"],
    )


def _outcome(node: str, written: str | None) -> str | None:
    """Journals of previous versions call a check that holds unchanged."""
    chain = node.partition("/")[2].partition("/")[0]
    return Outcome(written).of_check() if written and chain in CHECKS else written


@dataclass
class JournalProcessor:
    """Nornir processor that keeps the journal of one run."""

    journal: Journal
    run: int
    labels: Mapping[str, str] = field(default_factory=dict)
    """Node to what its step is called where people read."""

    def task_started(self, task: Task) -> None: ...

    def task_completed(self, task: Task, result: AggregatedResult) -> None: ...

    def task_instance_started(self, task: Task, host: Host) -> None:
        self.journal.node_started(self.run, task.name, host.name, self.labels.get(task.name, ""))

    def task_instance_completed(self, task: Task, host: Host, result: MultiResult) -> None:  # noqa: ARG002  # Nornir's form
        self.journal.node_finished(self.run, task.name, result)

    def subtask_instance_started(self, task: Task, host: Host) -> None: ...

    def subtask_instance_completed(self, task: Task, host: Host, result: MultiResult) -> None: ...
