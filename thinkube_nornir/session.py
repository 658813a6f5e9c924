"""Puts the parts together for one command: what was asked for becomes a plan, open connections and a journal."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

from nornir.core import Nornir
from nornir.core.state import GlobalState

from thinkube_nornir import lock
from thinkube_nornir.change_log import StoredChangeLog
from thinkube_nornir.config import Config
from thinkube_nornir.context import Context
from thinkube_nornir.database import Database
from thinkube_nornir.durations import GOOD, expected_seconds, half_done
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.estimate import Countdown, Estimate
from thinkube_nornir.evidence.recorder import Recorder
from thinkube_nornir.inputs import Settings, collecting, settings_of
from thinkube_nornir.journal import Journal, JournalProcessor, Run
from thinkube_nornir.permission import Permission
from thinkube_nornir.plan import Plan, make
from thinkube_nornir.preflight import refuse_what_is_foreseen
from thinkube_nornir.program import command
from thinkube_nornir.project import Project, load_project
from thinkube_nornir.recall import Recall, concerned, recall, refuse_while_needed
from thinkube_nornir.reporting.logs import logging_to
from thinkube_nornir.reporting.node_log import NodeLog
from thinkube_nornir.reporting.record import Collector, Record
from thinkube_nornir.reporting.topology import Topology, topology_of
from thinkube_nornir.runner import execute
from thinkube_nornir.settings.yaml_source import shown
from thinkube_nornir.state_folder import JOURNAL, copied, writable
from thinkube_nornir.target import Say, find_target
from thinkube_nornir.unset import never_set_up

if TYPE_CHECKING:
    from nornir.core.processor import Processor

_IN_JOURNAL = {"green": "done", "pending": "done"}
"""Verdicts under the journal's names; `done` needs no resume."""


@dataclass(frozen=True)
class Request:
    """What the operator asked for."""

    verb: str
    """`plan`, `run`, `verify` or `rollback`, as typed."""
    selection: tuple[str, ...]
    limit: str = ""
    config: Path = Path("config.yaml")
    dry_run: bool = False
    workers: int | None = None
    debug: bool = False
    evidence: bool = False
    """Whether what hosts and clusters answer is recorded."""
    delete_foreign: tuple[str, ...] = ()
    """Names of what is not managed and may be deleted with what holds it."""

    @property
    def chains(self) -> str:
        """The verb in plan.py's words: a plan is a dry run of a run."""
        return "run" if self.verb == "plan" else self.verb

    @property
    def alters(self) -> bool:
        return not self.dry_run and self.verb in ("run", "rollback")

    @property
    def permission(self) -> Permission:
        limit = ("-l", self.limit) if self.limit else ()
        return Permission(self.delete_foreign, (self.chains, *self.selection, *limit))

    def project(self) -> Project:
        project = load_project(self.config, self.selection, self.limit)
        if self.workers is None:
            return project
        return replace(project, config=replace(project.config, workers=self.workers))

    def plan(self, project: Project) -> Plan:
        return make(project.catalog, project.entries, project.inventory, project.hosts, self.chains)


@dataclass
class Session:
    """An open run: everything is checked and at hand, nothing was changed yet."""

    request: Request
    project: Project
    plan: Plan
    nornir: Nornir
    context: Context
    journal: Journal
    emulated: tuple[str, ...]
    settings: Settings
    topology: Topology | None = None

    def refuse_while_needed(self) -> None:
        """Raise ConfigError when something managed, as journal and hosts know it, stands on what is to go."""
        catalog, entries, inventory = self.project.catalog, self.project.entries, self.project.inventory
        recall(self.nornir, self.context, concerned(catalog, entries, inventory, self.hosts))
        asked = () if self.request.limit else self.request.selection
        refuse_while_needed(catalog, entries, inventory, self.hosts, self.context.change_log, asked)

    @property
    def hosts(self) -> tuple[str, ...]:
        """What is acted on, in the inventory's order."""
        return self._in_order(node.host for node in self.plan.nodes if not node.prerequisite)

    @property
    def read_hosts(self) -> tuple[str, ...]:
        """Hosts outside of what is acted on that are only read, because something selected needs them."""
        return self._in_order(set(self.plan.hosts) - set(self.hosts))

    def _in_order(self, hosts: Iterable[str]) -> tuple[str, ...]:
        wanted = set(hosts)
        return tuple(name for name in self.project.inventory.hosts if name in wanted)

    @cached_property
    def never_set_up(self) -> frozenset[tuple[str, str]]:
        return never_set_up(self.plan, self.context.change_log)

    def left_recorded(self) -> list[str]:
        """After a rollback, what of its components is still recorded, one line for each component and host.

        A step may have left something for a reason that it gave. One that found nothing of its own, because its names
        come from other settings than the set-up's, gave none.
        """
        if self.request.verb != "rollback" or not self.request.alters:
            return []
        lines = []
        for host, component in dict.fromkeys((n.host, n.component) for n in self.plan.nodes if not n.prerequisite):
            keys = [change.key for change in self.context.change_log.changes(host=host, component=component)]
            if keys:
                lines.append(
                    f"{component} on {host}: not undone: {', '.join(keys)}; a step above says why, or other settings "
                    "were in force at the set-up"
                )
        return lines

    def countdown(self) -> Countdown | None:
        """How long the plan will take, as past runs on this kind of target did; None when there were none."""
        request, config = self.request, self.project.config
        names = {node.component for node in self.plan.nodes}
        words = {"all", *names, *(name.partition(".")[0] for name in names)}
        past = self.journal.past_steps(request.chains, config.target, words, dry_run=request.dry_run)
        if not past:
            return None
        managed = {(change.host, change.component) for change in self.context.change_log.changes()}
        if request.chains == "run" and (last := self.journal.unfinished()):
            ended = {node.node for node in self.journal.nodes(last.id) if node.outcome in GOOD}
            managed -= half_done(self.plan, ended)
        seconds = expected_seconds(self.plan, past, managed)
        return Countdown(Estimate(self.plan, seconds, config.workers, config.concurrency))

    def execute(self, collector: Collector, processors: Sequence[Processor], say: Say) -> Record:
        """Execute the plan once, journalled, and return what happened; `say` is told what Ctrl-C does."""
        started, clock = time.time(), time.monotonic()
        request = self.request
        run_id = self.journal.start_run(request.verb, request.selection, request.limit, dry_run=request.dry_run)
        self.context.run_id = run_id
        labels = {node.id: node.step.label for node in self.plan.nodes}
        watching: list[Processor] = [JournalProcessor(self.journal, run_id, labels), NodeLog(), collector, *processors]
        keep = partial(self.journal.keep_inputs, run_id)
        with collecting(self.project.config, request.config, self.settings, keep):
            result = execute(self.plan, self.nornir, self.context, watching, say)
        record = Record(
            verb=request.verb,
            selection=request.selection,
            limit=request.limit,
            hosts=self.hosts,
            target=self.project.config.target,
            rows=collector.rows(self.plan, result.results),
            emulated=self.emulated,
            run_id=run_id,
            dry_run=request.dry_run,
            started=started,
            duration=time.monotonic() - clock,
            interrupted=result.interrupted,
            log=shown(self.project.config.logging.log_file),
            topology=self.topology,
            left_out=self.plan.left_out,
            never_set_up=self.never_set_up,
        )
        self.journal.finish_run(run_id, _IN_JOURNAL.get(record.verdict, record.verdict))
        return record


@contextmanager
def open_session(request: Request, say: Say) -> Iterator[Session]:
    """Read and check everything, prepare the target's hosts, and hold the lock of an altering run.

    Raises:
        ConfigError: the request or the files are wrong, or another run holds the lock.
    """
    from thinkube_nornir.remote.connection import prepare_connections  # not for `history`, which opens none

    project = request.project()
    plan = request.plan(project)
    config = project.config
    with ExitStack() as stack:
        kept = stack.enter_context(_kept(config, request, say))
        stack.enter_context(logging_to(kept.logging.log_file, "DEBUG" if request.debug else config.logging.level))
        if request.alters:
            stack.enter_context(lock.hold(config.state, f"{request.verb} {' '.join(request.selection)}"))
        topology = topology_of(project.catalog.package, project.inventory)
        settings = settings_of(project.inventory)
        prepared = find_target(config.target).prepare(config, project.inventory, say)
        project = replace(project, config=replace(prepared.config, state=kept.state, logging=kept.logging))
        prepare_connections(project.inventory, project.config, project.secrets)
        database = stack.enter_context(closing(_database(kept)))
        context = Context(
            config=project.config,
            inventory=project.inventory,
            change_log=StoredChangeLog(database, prepared.scope),
            secrets=project.secrets,
            dry_run=request.dry_run,
            read_only=request.verb == "verify",
            permission=request.permission,
            recall=Recall(project.catalog.package),
            evidence=Recorder() if request.evidence else None,
        )
        nornir = Nornir(inventory=project.inventory, data=GlobalState(dry_run=request.dry_run))
        stack.callback(_close_connections, nornir, context)
        journal = Journal(database, prepared.scope)
        session = Session(request, project, plan, nornir, context, journal, prepared.emulated, settings, topology)
        if request.verb == "rollback":
            session.refuse_while_needed()
            if request.alters:
                refuse_what_is_foreseen(plan, nornir, context, say)
        yield session


@contextmanager
def _kept(config: Config, request: Request, say: Say) -> Iterator[Config]:
    """Where state and log are kept: elsewhere, and not for long, where the folder cannot be written and need not be."""
    if request.alters or writable(config.state):
        yield config
        return
    handle, log = mkstemp(prefix="thinkube-nornir-", suffix=".log")
    os.close(handle)
    say(f"note   {shown(config.state)} cannot be written: of this run no record is kept, and its log is {log}")
    with copied(config.state) as state:
        yield replace(config, state=state, logging=replace(config.logging, log_file=Path(log)))


def _close_connections(nornir: Nornir, context: Context) -> None:
    if context.abandoned:  # a step that hangs holds them; the end of the program closes them
        return
    for client in context.clusters.values():
        client.close()
    for host in nornir.inventory.hosts.values():
        host.close_connections()


def unfinished_run(path: Path) -> Run:
    """The latest run, which `resume` goes on with.

    Raises:
        ConfigError: it ended well or altered nothing; an older one that did not is named, and never started by itself.
    """
    from thinkube_nornir.settings.config_file import load_config

    config = load_config(path)
    with closing(_database(config)) as database:
        journal = Journal(database, find_target(config.target).scope(config))
        latest, older = journal.unfinished(), journal.last_altering()
    if latest is not None:
        return latest
    if older is None or older.outcome == "done":
        raise ConfigError([Problem("resume", "no run on these hosts was left unfinished", "see: history")])
    again = command(older.verb, *older.selection, *(("-l", older.hosts) if older.hosts else ()))
    what = f"the run that was left unfinished (run {older.id}) is not the latest one on these hosts"
    raise ConfigError([Problem("resume", what, f"to start it again all the same: `{again}`")])


def _database(config: Config) -> Database:
    return Database(config.state / JOURNAL)
