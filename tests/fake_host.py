"""A host for unit tests: answers from a script, files in memory, and any command nobody scripted fails the test.

    host = FakeHost(answers={"lspci": bus, "snap list": Reply(1, stderr="no snaps")}, files={"/etc/hosts": "..."})
    result = host.apply(install_driver, settings={"branch": "550"})
    assert outcome_of(result) is Outcome.CHANGED
    assert host.sent == ["lspci -D", "apt-get install -y nvidia-driver-550-server"]

`put` and `restore` work on `host.files`; they are not in `host.sent` but in `host.written`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nornir.core import Nornir
from nornir.core.inventory import Defaults, Group, Groups, Host, Hosts, Inventory, ParentGroups
from nornir.core.processor import Processors
from nornir.core.task import Result

from tests import product_settings
from tests.fake_files import FakeFile, FakeFiles
from thinkube_nornir.change_log import Change, Merged, Record, is_of_cluster
from thinkube_nornir.command import Command, Completed, Fact
from thinkube_nornir.component import StepFunction
from thinkube_nornir.config import Config
from thinkube_nornir.context import Context, StepTask
from thinkube_nornir.remote.exchange import CONNECTION
from thinkube_nornir.secret import Secret

__all__ = ["FakeFile", "FakeHost", "MemoryChangeLog", "Reply"]


@dataclass(frozen=True)
class Reply:
    """How a scripted command ends."""

    status: int = 0
    stdout: bytes | str = b""
    stderr: bytes | str = b""

    def completed(self, command: Command) -> Completed:
        return Completed(command, self.status, _bytes(self.stdout), _bytes(self.stderr))


Answer = str | bytes | Reply | BaseException
Script = Answer | Sequence[Answer] | Callable[[Command], Answer]
"""One answer for every time, a list of answers in turn (the last one stays), or a function of the command."""


class MemoryChangeLog:
    """The change log's contract, kept in memory."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], Change] = {}
        self._last = 0

    def intend(self, *, host: str, component: str, key: str, summary: str, before: Mapping[str, Any]) -> Change:
        self._last += 1
        kept = self._changes.get((host, key))
        previous = kept.before if kept else before
        number = kept.id if kept else self._last
        change = Change(number, host, component, key, summary, previous, "intended")
        self._changes[host, key] = change
        return change

    def done(self, change: Change) -> None:
        done = Change(change.id, change.host, change.component, change.key, change.summary, change.before, "done")
        self._changes[change.host, change.key] = done

    def undone(self, change: Change) -> None:
        self._changes.pop((change.host, change.key), None)

    def managed(self, host: str, key: str) -> Change | None:
        return self._changes.get((host, key))

    def take_over(
        self,
        host: str,
        records: Iterable[Record],
        *,
        of_cluster: bool,
        keep: Callable[[Change], bool] = lambda _: False,
    ) -> Merged:
        theirs = {record.key: record for record in records}
        mine = {c.key: c for c in self.changes(host=host) if is_of_cluster(c.key) == of_cluster}
        dropped = [key for key, change in mine.items() if key not in theirs and not keep(change)]
        adopted = [key for key, r in theirs.items() if key not in mine or mine[key].before != r.before]
        for key in (*dropped, *adopted):
            self._changes.pop((host, key), None)
        for key in adopted:
            self.intend(host=host, **vars(theirs[key]))
        return Merged(tuple(adopted), tuple(dropped))

    def changes(self, *, host: str | None = None, component: str | None = None) -> list[Change]:
        return [
            c
            for c in sorted(self._changes.values(), key=lambda c: c.id)
            if host in (None, c.host) and component in (None, c.component)
        ]


class FakeHost:
    """See the module. Several hosts of one run: `FakeHost("w1", others=(control_plane,))`.

    Args:
        answers: by the beginning of the command line as shlex.join writes it, or of the argument list; longest wins.
        settings: inventory data; apply adds to it.
        groups: names of inventory groups.
    """

    def __init__(
        self,
        name: str = "host1",
        *,
        answers: Mapping[Any, Script] | None = None,
        files: Mapping[str, FakeFile | bytes | str] | None = None,
        settings: Mapping[str, Any] | None = None,
        groups: Sequence[str] = (),
        others: Sequence[FakeHost] = (),
        secrets: Mapping[str, Secret] | None = None,
        component: str = "test.component",
        address: str = "",
    ) -> None:
        self.name = name
        self.answers: dict[str | tuple[str, ...], Script] = dict(answers or {})
        self._turns: dict[str | tuple[str, ...], int] = {}
        self.files = FakeFiles(files)
        self.settings = dict(settings or {})
        self.groups = tuple(groups)
        self.others = tuple(others)
        self.secrets = dict(secrets or {})
        self.component = component
        self.address = address or name
        self.change_log = MemoryChangeLog()
        self.facts: dict[str, dict[Fact[Any], Any]] = {}
        self.commands: list[Command] = []
        self.trips: list[list[str]] = []
        self.timeouts: dict[str, float] = {}
        """Command line to the seconds that it was given last."""

    @property
    def sent(self) -> list[str]:
        """Every command line the host got, without put's and restore's own scripts."""
        return [str(command) for command in self.commands]

    @property
    def altering(self) -> list[str]:
        """Those of `sent` that went through the door's change and undo."""
        return [str(command) for command in self.commands if command.alters]

    @property
    def written(self) -> list[str]:
        """Paths that put and restore wrote, in order."""
        return self.files.written

    def apply(
        self,
        function: StepFunction,
        *,
        settings: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        read_only: bool = False,
        deadline: float | None = None,
        context: Context | None = None,
    ) -> Result:
        """Run one step against this host, as the runner would, and return its result."""
        self.settings.update(settings or {})
        inventory = self._inventory()
        run = context or self._context(inventory, dry_run=dry_run, read_only=read_only)
        nornir = Nornir(inventory=inventory)
        task = StepTask(
            function, nornir, run.dry_run, Processors([]), context=run, component=self.component, deadline=deadline
        )
        result = task.start(inventory.hosts[self.name])[0]
        result.retries = task.retries  # type: ignore[attr-defined]  # as the runner does
        return result

    def execute(
        self,
        commands: Sequence[Command],
        *,
        timeout: float,
        cancelled: Callable[[], bool] = lambda: False,
        retried: Callable[[str], None] = lambda _: None,
    ) -> list[Completed]:
        assert timeout > 0
        self.timeouts.update({str(command): timeout for command in commands})
        self.trips.append([str(command) for command in commands])
        return [self._run(command) for command in commands]

    def forward(self, address: str, port: int) -> socket.socket:
        pytest.fail(f"nobody scripted a forward to {address}:{port} on {self.name}")

    def close(self) -> None:
        """Nothing is open."""

    def _run(self, command: Command) -> Completed:
        kind = command.argv[3] if command.argv[:2] == ("sh", "-c") and len(command.argv) > 3 else ""
        if kind in ("thinkube:states", "thinkube:write", "thinkube:restore", "thinkube:may-restore", "thinkube:list"):
            return Reply(*self.files.serve(kind, command)).completed(command)
        if kind in ("thinkube:change", "thinkube:undo"):
            command = self.files.recorded(kind, command)
        self.commands.append(command)
        return self._answer(command).completed(command)

    def _answer(self, command: Command) -> Reply:
        matching = [key for key in self.answers if _matches(key, command)]
        if not matching:
            pytest.fail(f"nobody scripted on {self.name}: {command}")
        key = max(matching, key=lambda key: len(" ".join(key) if isinstance(key, tuple) else key))
        script = self.answers[key]
        if callable(script):
            answer = script(command)
        elif isinstance(script, (str, bytes, Reply, BaseException)):
            answer = script
        else:
            turn = self._turns[key] = self._turns.get(key, -1) + 1
            answer = script[min(turn, len(script) - 1)]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Reply) else Reply(stdout=answer)

    def _inventory(self) -> Inventory:
        everyone = (self, *self.others)
        names = {name for host in everyone for name in host.groups}
        groups = Groups({name: Group(name) for name in sorted(names)})
        return Inventory(hosts=Hosts({host.name: host._nornir_host(groups) for host in everyone}), groups=groups)

    def _nornir_host(self, groups: Groups) -> Host:
        parents = ParentGroups([groups[name] for name in self.groups])
        defaults = Defaults(data=dict(product_settings.defaults()))
        host = Host(self.name, hostname=self.address, groups=parents, data=dict(self.settings), defaults=defaults)
        host.connections[CONNECTION] = _Opened(self)
        return host

    def _context(self, inventory: Inventory, *, dry_run: bool, read_only: bool) -> Context:
        root = Path("/nonexistent/thinkube-test")
        config = Config(root, "ssh", root / "tasks", root / "templates", root / "inventory", root / ".thinkube")
        return Context(
            config, inventory, self.change_log, self.secrets, dry_run=dry_run, read_only=read_only, facts=self.facts
        )


@dataclass
class _Opened:
    """What Nornir keeps of an open connection."""

    connection: FakeHost

    def open(self, *args: Any, **kwargs: Any) -> None:
        """It is open."""

    def close(self) -> None:
        """It stays open."""


def _matches(key: str | tuple[str, ...], command: Command) -> bool:
    return command.argv[: len(key)] == key if isinstance(key, tuple) else str(command).startswith(key)


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
