"""Runs as the journal would have them, told in a line each, for tests of what they prove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests import engine
from thinkube_nornir.catalog import Catalog, Entry
from thinkube_nornir.checklist.history import History, PastRun, Row
from thinkube_nornir.checklist.proof import Proof, Proofs, prove
from thinkube_nornir.component import chain

MIDNIGHT = 1_795_780_800.0  # 2026-11-27 12:00 UTC
HOSTS = ("a", "b")
GROUPS = {"nodes": HOSTS, "one": ("a",), "empty": ()}


def _component(name: str, group: str) -> Entry:
    return engine.entry(
        name,
        group,
        setup=chain(engine.quiet("install"), engine.quiet("start")),
        verify=chain(engine.quiet("answers"), engine.quiet("is_ready")),
        rollback=chain(engine.quiet("remove")),
    )


CATALOG: Catalog = engine.catalog(
    _component("phase5.dns", "nodes"),
    _component("phase5.api", "one"),
    _component("phase5.option", "empty"),
    _component("phase6.gpu", "empty"),
)
STEPS = {"setup": ("install", "start"), "verify": ("answers", "is_ready"), "rollback": ("remove",)}


@dataclass
class Story:
    """Each run takes a minute, and begins an hour after the one before."""

    scope: str = "ssh"
    """Whose hosts the next runs are on."""
    runs: dict[int, PastRun] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    ended: dict[tuple[int, str], float] = field(default_factory=dict)
    """When each step of each run came to its end."""

    def run(
        self,
        verb: str,
        *names: str,
        hosts: tuple[str, ...] = HOSTS,
        outcome: str | None = "done",
        but: Mapping[str, str | None] | None = None,
        setup: str = "unchanged",
        started: float | None = None,
        lasting: float = 60.0,
    ) -> int:
        """One run of these components; `but` names nodes whose outcome differs, as `failed` or `failed CheckFailed`."""
        number = len(self.runs) + 1
        started = started or MIDNIGHT + 3600 * number
        finished = None if outcome is None else started + lasting
        self.runs[number] = PastRun(number, self.scope, verb, started, finished, outcome)
        chains = {"run": ("setup", "verify")}.get(verb, (verb,))
        for name in names or ("phase5.dns", "phase5.api"):
            members = [host for host in GROUPS[_group(name)] if host in hosts]
            nodes = [f"{name}/{c}/{s}@{h}" for c in chains for s in STEPS[c] for h in members]
            for place, node in enumerate(sorted(nodes), 1):
                self.ended[number, node] = started + lasting * place / (len(nodes) + 1)
                usual: str | None = {"setup": setup, "verify": "unchanged", "rollback": "changed"}[node.split("/")[1]]
                told = (but or {}).get(node, usual)
                word, _, kind = (told or "").partition(" ")
                self.rows.append((number, node, word or None, kind or None))
        return number

    @property
    def in_time(self) -> list[Row]:
        return sorted(self.rows, key=lambda row: self.ended[row[0], row[1]])

    def proofs(self) -> Proofs:
        rows = [row for row in self.in_time if self.runs[row[0]].scope == self.scope]
        history = History(self.scope, self.runs, rows)
        return Proofs(history, prove(history, CATALOG, engine.inventory(GROUPS)))

    def proof(self, identifier: str) -> Proof:
        return self.proofs().by_identifier[identifier]


def _group(name: str) -> str:
    return next(entry.component.group for entry in CATALOG.entries if entry.name == name)
