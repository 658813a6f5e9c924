"""Carries out a recorded verification again, with the answers that an archive has in place of hosts and cluster."""

from __future__ import annotations

import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import time_machine
from nornir.core import Nornir
from nornir.core.configuration import Config as NornirConfig
from nornir.core.inventory import Defaults, Group, Groups, Host, Hosts, Inventory, ParentGroups
from nornir.core.state import GlobalState

from tests.fake_host import MemoryChangeLog
from thinkube_nornir import catalog
from thinkube_nornir.cluster.handle import Clusters
from thinkube_nornir.cluster.messages import Answer, Call, Object, refusal
from thinkube_nornir.command import Command, Completed, Fact
from thinkube_nornir.config import Config
from thinkube_nornir.context import Context
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.evidence.archive import Archive
from thinkube_nornir.evidence.recorder import Recorder
from thinkube_nornir.evidence.scrub import REMOVED
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.plan import make
from thinkube_nornir.remote.exchange import CONNECTION
from thinkube_nornir.runner import execute

ROOT = Path(__file__).parents[2]

Line = Mapping[str, Any]


class NotRecorded(ThinkubeError):
    """The archive has no answer for what the product asks today."""


@dataclass(frozen=True)
class Replayed:
    """What became of a node, then and now."""

    recorded: str
    now: str
    why: str = ""
    """Of a failure now: what it says."""
    unlike: bool = False
    """It cannot be compared: it asks what was not recorded, or was given what had been a secret."""


@dataclass
class Answers:
    """An archive's lines by what was asked: those the same node got, each in its turn; else what had been seen last."""

    archive: Archive
    incomplete: set[str] = field(default_factory=set)
    """Nodes that got a text from which a secret, or its end, is missing."""
    _here: threading.local = field(default_factory=threading.local)
    _turns: dict[Any, int] = field(default_factory=lambda: defaultdict(int))
    _lines: dict[Any, list[Line]] = field(default_factory=lambda: defaultdict(list))
    _ends: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.archive.report["nodes"]:
            started = datetime.fromisoformat(node["started"]).timestamp() if node["started"] else 0.0
            self._ends[node["id"]] = started + node["duration"]
        for line in self.archive.commands:
            self._lines[line["host"], tuple(line["argv"]), line["root"]].append(line)
        for line in self.archive.calls:
            made = _begun(json.loads(line["body"])) if line["method"] == "POST" and line.get("body") else ""
            self._lines[line["method"], line["url"], made].append(line)

    @contextmanager
    def step(self, node: str) -> Iterator[None]:
        self._here.node = node
        yield

    def take(self, *asked: Any) -> Line:
        node = getattr(self._here, "node", "")
        lines = self._lines.get(asked, [])
        if not lines:
            raise NotRecorded(f"the archive has no answer to {asked}")
        line = self._in_turn(node, asked, lines) or self._seen_last(node, lines)
        if "error" in line:
            raise ThinkubeError(str(line["error"]))
        if REMOVED in json.dumps(line) or any(key.endswith("_cut") for key in line):
            self.incomplete.add(node)
        return line

    def _in_turn(self, node: str, asked: Any, lines: Sequence[Line]) -> Line | None:
        own = [line for line in lines if line["node"] == node]
        turn = self._turns[node, asked]
        self._turns[node, asked] += 1
        return own[min(turn, len(own) - 1)] if own else None

    def _seen_last(self, node: str, lines: Sequence[Line]) -> Line:
        """Facts are read once for all steps of a chain, by the first that runs."""
        before = [line for line in lines if line["at"] <= self._ends.get(node, 0.0)]
        return (before or lines)[-1]


class Recording(Recorder):
    """Tells the answers which node asks; nothing is recorded.

    Each node reads its facts again: steps of other components were under way between two of a chain, and are not now.
    """

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers
        self.facts: dict[str, dict[Fact[Any], Any]] = {}

    def step(self, node: str) -> Any:
        for kept in self.facts.values():
            for fact in [fact for fact in kept if fact.argv]:
                del kept[fact]
        return self._answers.step(node)

    def commands(self, host: str, answers: Sequence[Completed], began: float) -> None:
        """Of no interest."""

    def no_answer(self, host: str, commands: Sequence[Command], error: Exception, began: float) -> None:
        """Of no interest."""


@dataclass
class ReplayedHost:
    """HostConnection."""

    name: str
    answers: Answers

    def execute(
        self,
        commands: Sequence[Command],
        *,
        timeout: float,
        cancelled: Callable[[], bool] = lambda: False,
        retried: Callable[[str], None] = lambda _: None,
    ) -> list[Completed]:
        return [self._answer(command) for command in commands]

    def _answer(self, command: Command) -> Completed:
        line = self.answers.take(self.name, command.argv, command.root)
        texts = (line[name].encode(errors="surrogateescape") for name in ("stdout", "stderr"))
        return Completed(command, line["status"], *texts)

    def forward(self, address: str, port: int) -> socket.socket:
        raise NotRecorded(f"a forward to {address}:{port} cannot be replayed")

    def close(self) -> None:
        """Nothing is open."""


def _begun(obj: Any) -> str:
    """How the name begins that the API completes: probes of several kinds are created under one address."""
    return str((obj.get("metadata") or {}).get("generateName", "")) if isinstance(obj, dict) else ""


@dataclass
class ReplayedClient:
    """cluster.client.Client."""

    host: str
    answers: Answers

    def request(self, call: Call, _: object) -> Answer:
        line = self.answers.take(call.method, call.url, _begun(call.body) if call.method == "POST" else "")
        return Answer(line["status"], line["body"].encode(errors="surrogateescape"))

    def ask(self, call: Call, within: object) -> Object:
        answer = self.request(call, within)
        if not answer.good:
            raise refusal(answer, call.doing, self.host)
        return answer.json()

    def stream(self, call: Call, _: float) -> Iterator[Object]:
        yield from self.answers.take(call.method, call.url, "")["events"]

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class _Opened:
    connection: Any

    def open(self, *args: Any, **kwargs: Any) -> None:
        """It is open."""

    def close(self) -> None:
        """It stays open."""


def replay(archive: Archive, folder: Path) -> dict[str, Replayed]:
    """The checks of a recorded run, by node id.

    Args:
        folder: for what a run keeps.
    """
    answers, inventory = Answers(archive), _inventory(archive)
    request = archive.meta["request"]
    found = catalog.load(ROOT / "tasks")
    hosts = tuple(archive.report["run"]["hosts"])
    plan = make(found, found.select(request["selection"]), inventory, hosts, "verify")
    for name, host in inventory.hosts.items():
        host.connections[CONNECTION] = _Opened(ReplayedHost(name, answers))
    config = Config(ROOT, "ssh", ROOT / "tasks", ROOT / "templates", ROOT / "inventory", folder, workers=1)
    recording = Recording(answers)
    context = Context(config, inventory, MemoryChangeLog(), read_only=True, evidence=recording, facts=recording.facts)
    context.clusters.update({name: _cluster(name, answers) for name in inventory.hosts})
    nornir = Nornir(inventory=inventory, config=NornirConfig(), data=GlobalState(dry_run=False))
    with time_machine.travel(archive.meta["started"], tick=True):
        results = execute(plan, nornir, context).results
    recorded = {node["id"]: node for node in archive.report["nodes"]}
    return {
        node: _compared(recorded[node]["outcome"], result, node in answers.incomplete)
        for node, result in results.items()
        if node in recorded
    }


def _compared(recorded: str, result: Any, incomplete: bool) -> Replayed:
    error = result.exception
    missing = isinstance(error, NotRecorded) or isinstance(getattr(error, "__cause__", None), NotRecorded)
    why = "; ".join(text for text in (str(error or ""), getattr(error, "why", "")) if text)
    recorded = Outcome(recorded).of_check().value  # archives of former versions call a check that holds unchanged
    return Replayed(recorded, outcome_of(result).value, why, missing or incomplete)


def _cluster(name: str, answers: Answers) -> Clusters:
    clusters = Clusters()
    clusters.client = ReplayedClient(name, answers)  # type: ignore[assignment]
    return clusters


def _inventory(archive: Archive) -> Inventory:
    told = archive.meta["hosts"]
    groups = Groups({g: Group(g) for g in sorted({g for host in told.values() for g in host["groups"]})})
    hosts = {
        name: Host(
            name,
            groups=ParentGroups([groups[g] for g in host["groups"]]),
            data=dict(host["settings"]),
            defaults=Defaults(),
        )
        for name, host in told.items()
    }
    return Inventory(Hosts(hosts), groups, Defaults())
