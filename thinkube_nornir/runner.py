"""Carries a Plan out through Nornir: a runner plugin that starts each node as soon as its needs are met."""

from __future__ import annotations

import inspect
import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from nornir.core import Nornir
from nornir.core.inventory import Host
from nornir.core.processor import Processor
from nornir.core.task import AggregatedResult, MultiResult, Result, Task

from thinkube_nornir import garbage
from thinkube_nornir.blocked_reason import INTERRUPTED, NOT_FORESEEN
from thinkube_nornir.component import CHECKS, StepFunction
from thinkube_nornir.context import Context, Roster, StepTask, retries_of
from thinkube_nornir.errors import (
    Cancelled,
    ConfigError,
    HoldsForeign,
    Refused,
    SkippedInDryRun,
    ThinkubeError,
    Unreachable,
)
from thinkube_nornir.foundation import Foundation
from thinkube_nornir.outcome import Outcome, outcome_of, skipped
from thinkube_nornir.plan import Node, Plan
from thinkube_nornir.program import STEP_THREAD
from thinkube_nornir.schedule import Schedule

log = logging.getLogger(__name__)

_FORESEEABLE = (Unreachable, ConfigError, Cancelled, HoldsForeign)
"""What a step of a dry run fails with, whatever is only planned before it."""
_CANCELLED = Cancelled("the operator ended the run")
_GRACE = 4.0  # seconds that cancelled steps have to end; what waits for a silent host in a library may take longer


@dataclass(frozen=True)
class RunResult:
    results: dict[str, Result]
    """Node id to its result; each node of the plan has one, also when it was never started."""
    interrupted: bool = False

    @property
    def outcomes(self) -> Counter[Outcome]:
        return Counter(outcome_of(result) for result in self.results.values())


def execute(
    plan: Plan,
    nornir: Nornir,
    context: Context,
    processors: Sequence[Processor] = (),
    say: Callable[[str], None] = log.info,
) -> RunResult:
    """Run every node of the plan; does not raise for what goes wrong on a host.

    Args:
        say: is told what an interruption does; called in a signal handler.
    """
    context.roster = Roster(plan.selected)
    runner = GraphRunner(plan, context, say)
    hosts = set(plan.hosts)
    nornir = nornir.filter(filter_func=lambda host: host.name in hosts)
    # Nornir passes failed hosts over unless told otherwise; here each node decides by its own needs.
    nornir = nornir.with_runner(runner).with_processors(list(processors))
    with _interruptions(runner), garbage.kept():
        nornir.run(task=_no_task, name=plan.verb, on_failed=True)
    return RunResult(runner.results, runner.stopping)


@contextmanager
def _interruptions(runner: GraphRunner) -> Iterator[None]:
    """Ctrl-C and SIGTERM tell the runner, in place of raising somewhere in the middle of it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    previous = {number: signal.signal(number, runner.interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _no_task(task: Task) -> Result:
    raise NotImplementedError("GraphRunner starts the plan's nodes in place of this")


@dataclass
class GraphRunner:
    """Nornir's runner interface over a plan.

    First Ctrl-C: running steps finish, no other starts. Second: running steps are cancelled, and what does
    not end soon is not waited for.
    """

    plan: Plan
    context: Context
    say: Callable[[str], None] = log.info
    results: dict[str, Result] = field(default_factory=dict)
    stopping: bool = False
    _ended: SimpleQueue[BaseException | None] = field(default_factory=SimpleQueue)
    """None when every node is finished, _CANCELLED, or a fault of the runner's own."""
    _running: set[str] = field(default_factory=set)
    """Nodes that were started, by now ended or not."""

    def __post_init__(self) -> None:
        self._foundation = Foundation(self.plan, self.context, self.results)

    def run(self, task: Task, hosts: list[Host]) -> AggregatedResult:
        by_name = {host.name: host for host in hosts}
        schedule = Schedule(self.plan, self.context.config.workers, self.context.config.concurrency)
        together = AggregatedResult(task.name)
        lock = threading.Lock()
        ended = self._ended

        def work(first: Node) -> None:
            """Carry a node out, then one that may start because of it: to go on costs less than to wake a thread."""
            startable = [first]
            try:
                while startable:
                    node = startable[0]
                    self._running.add(node.id)
                    result = self._execute(node, task, by_name[node.host])
                    with lock:
                        if self.context.abandoned:
                            return
                        self._finished(node, result[0])
                        together.setdefault(node.host, MultiResult(task.name)).extend(result)
                        schedule.finish(node)
                        startable = schedule.start()
                        for other in startable[1:]:
                            pool.submit(work, other)
                if schedule.over:
                    ended.put(None)
            except BaseException as fault:  # of the runner itself; a step's own is its result
                ended.put(fault)

        pool = ThreadPoolExecutor(self.context.config.workers, thread_name_prefix=STEP_THREAD)
        try:
            with lock:
                for node in schedule.start():
                    pool.submit(work, node)
            if self.plan.nodes and (fault := self._fault()):
                raise fault
            if self.context.abandoned:
                with lock:
                    self._abandon(by_name)
        finally:
            pool.shutdown(wait=not self.context.abandoned, cancel_futures=True)
        return together

    def _fault(self) -> BaseException | None:
        """Wait for the end; once all is cancelled, for a moment only. Return what ended the runner itself."""
        ended = self._ended.get()
        if ended is not _CANCELLED:
            return ended
        try:
            while (ended := self._ended.get(timeout=_GRACE)) is _CANCELLED:
                pass
        except Empty:
            self.context.abandoned = True
            return None
        return ended

    def _abandon(self, hosts: Mapping[str, Host]) -> None:
        """A result for each node that has none, and gets none any more."""
        left = [node for node in self.plan.nodes if node.id not in self.results]
        self.results |= {node.id: self._left_over(node, hosts[node.host]) for node in left}

    def _left_over(self, node: Node, host: Host) -> Result:
        if node.id not in self._running:
            return Result(host, result=INTERRUPTED, outcome=Outcome.SKIPPED)
        error = Cancelled(
            f"the run was ended during {node.step.name}, which did not end with it",
            why=f"it may still be at work on {host.name}",
            fix="run again: what is there is looked at first",
        )
        return Result(host, failed=True, exception=error, result=str(error), outcome=Outcome.FAILED)

    def interrupt(self, *_signal: object) -> None:
        """First time: start nothing more. Second time: cancel what runs."""
        if self.stopping:
            self.context.cancelled.set()
            self._ended.put(_CANCELLED)
            self.say("cancelling what runs")
        else:
            self.stopping = True
            self.say("interrupted: running steps finish, no other starts; Ctrl-C again cancels them")

    def _finished(self, node: Node, result: Result) -> None:
        self.results[node.id] = result
        if self.context.dry_run:
            self._foundation.promise(node, outcome_of(result) is Outcome.PLANNED)
        if isinstance(result.exception, Unreachable):
            self.context.roster.unreachable.add(node.host)
            self.context.roster.losses.setdefault(node.host, result.exception)
        if node.chain != "verify" and self._foundation.is_bad(node.id):
            reason = f"{node.step.name} {'was not started' if node.id in self._foundation.blocked else 'failed'}"
            self.context.roster.stopped.setdefault((node.component, node.host), reason)

    def _execute(self, node: Node, task: Task, host: Host) -> MultiResult:
        step = StepTask(
            self._function(node),
            task.nornir,
            self.context.dry_run,
            task.processors,
            node.id,
            context=self.context,
            component=node.component,
            deadline=time.monotonic() + (node.step.timeout or self.context.config.timeouts.step),
            read_only=node.chain in CHECKS,
        )
        try:
            return step.start(host)
        except BaseException as error:  # a processor's fault must not leave the run waiting for this node for ever
            log.exception("%s: a processor failed", node.id)
            result = MultiResult(node.id)
            result.append(Result(host, failed=True, exception=error, result=str(error)))
            return result

    def _function(self, node: Node) -> StepFunction:
        reason = self._foundation.blocked_reason(node, stopping=self.stopping) or self._skipped_in_dry_run(node)
        if not reason:
            return lambda task: self._timed(node, task)
        return lambda task: _lasting(task, skipped(task, reason), 0.0)

    def _skipped_in_dry_run(self, node: Node) -> str:
        """Why a check is left out in a dry run, which stands in nobody's way; empty when it is not."""
        planned = self._foundation.promised(node) if self.context.dry_run and node.chain == "verify" else 0
        return f"not run: {_changes(planned)} only planned" if planned else ""

    def _timed(self, node: Node, task: Task) -> Result:
        started, evidence = time.monotonic(), self.context.evidence
        try:
            with evidence.step(node.id) if evidence else nullcontext():
                result = self._run_step(node, task)
        except ThinkubeError as error:
            result = self._unforeseeable(node, task, error) or _failure(task, error)
        except Exception as error:
            log.exception("%s", node.id)
            result = _failure(task, error)
        return _lasting(task, result, time.monotonic() - started)

    def _run_step(self, node: Node, task: Task) -> Result:
        if not self.context.read_only:
            self.context.recall(task)
        if node.chain == "verify" and node.facts:
            self.context.facts.pop(node.host, None)  # what set-up read may be older than what it changed
        if node.facts and node.facts.facts:
            from thinkube_nornir import remote  # the connections' libraries load when it is first opened

            remote.read(task, *node.facts.facts(task))
        result = node.step.function(task)
        if not isinstance(result, Result):
            raise _no_result(node, result)
        if node.chain in CHECKS:
            result.outcome = outcome_of(result).of_check()  # type: ignore[attr-defined]  # as in _lasting
        return result

    def _unforeseeable(self, node: Node, task: Task, error: ThinkubeError) -> Result | None:
        """Say why a dry run cannot foresee a step: what an earlier promise would make is not there."""
        if isinstance(error, SkippedInDryRun):
            return skipped(task, error.what)
        planned = self._foundation.promised(node)
        if not self.context.dry_run or not planned or isinstance(error, _FORESEEABLE):
            return None
        if node.chain == "rollback" and isinstance(error, Refused) and not error.may_pass:
            return None
        return skipped(task, f"{NOT_FORESEEN}: {_changes(planned)} only planned ({error.what})")


def _no_result(node: Node, returned: object) -> ThinkubeError:
    code = inspect.unwrap(node.step.function).__code__
    return ThinkubeError(
        f"step {node.step.name} returned {returned!r} in place of a Result",
        why=f"{code.co_filename}:{code.co_firstlineno}",
        fix="let it return what a change returned, or unchanged(task, ...), passed(task, ...) or skipped(task, ...)",
    )


def _failure(task: Task, error: Exception) -> Result:
    return Result(task.host, failed=True, exception=error, result=str(error), outcome=Outcome.FAILED)


def _lasting(task: Task, result: Result, seconds: float) -> Result:
    result.duration = seconds  # type: ignore[attr-defined]  # Nornir's Result takes any attribute, its type says none
    result.retries = retries_of(task)  # type: ignore[attr-defined]  # as above
    return result


def _changes(count: int) -> str:
    return "1 change is" if count == 1 else f"{count} changes are"
