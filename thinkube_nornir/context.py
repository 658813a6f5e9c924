"""What a step knows about its run: StepTask is Nornir's Task with the run's context."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from nornir.core.inventory import Host, Inventory
from nornir.core.task import MultiResult, Result, Task

from thinkube_nornir.change_log import ChangeLog, Recalled
from thinkube_nornir.command import Fact
from thinkube_nornir.config import Config
from thinkube_nornir.errors import ConfigError, DeadlinePassed, Problem, Unreachable
from thinkube_nornir.permission import Permission
from thinkube_nornir.secret import Secret, redact

if TYPE_CHECKING:
    from thinkube_nornir.evidence.recorder import Recorder

_REQUIRED = object()

T = TypeVar("T")


@dataclass
class Context:
    """One run: the same object for all of its steps, on all hosts."""

    config: Config
    inventory: Inventory
    """All hosts, also those outside the selection: a filtered run still reads from them."""
    change_log: ChangeLog
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    dry_run: bool = False
    run_id: int = 0
    read_only: bool = False
    """A verify run: every change is refused."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    abandoned: bool = False
    """Cancelled steps did not end in time, and may hold connections for longer."""
    facts: dict[str, dict[Fact[Any], Any]] = field(default_factory=dict)
    """Per host, what was read since the last change there."""
    clusters: dict[str, Any] = field(default_factory=dict)
    """Open clients of Kubernetes APIs, by the host through which they are reached."""
    roster: Roster = field(default_factory=lambda: Roster())
    recall: Callable[[Task], None] = lambda _: None
    """Called before each step that may rely on the change log; has it agree with what the step's host remembers."""
    recalled: Recalled = field(default_factory=Recalled)
    permission: Permission = field(default_factory=Permission)
    """Which foreign things (permission.py) the operator lets go."""
    evidence: Recorder | None = None
    """What hosts and clusters answer is recorded here, when the operator wants an archive of it."""


@dataclass
class Roster:
    """Which hosts a run is for, and which of them it has lost."""

    selected: frozenset[str] | None = None
    """None for all."""
    unreachable: set[str] = field(default_factory=set)
    losses: dict[str, Unreachable] = field(default_factory=dict)
    """Those that nobody need try to reach again in this run, to the error that says why."""
    stopped: dict[tuple[str, str], str] = field(default_factory=dict)
    """Component and host to the step of it that failed there, or could not start."""


@dataclass
class Retries:
    """What a step tried again because it was refused or failed."""

    count: int = 0
    reason: str = ""
    """Of the last one."""


class StepTask(Task):
    """Nornir's Task, with the run it belongs to and the node of the plan it executes."""

    def __init__(
        self,
        *args: Any,
        context: Context,
        component: str,
        deadline: float | None = None,
        read_only: bool = False,
        retries: Retries | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.context = context
        self.component = component
        self.deadline = deadline
        """On time.monotonic()'s clock; None for no limit of the step as a whole."""
        self.read_only = read_only
        """Whether the step is a check, which changes nothing, whatever the verb."""
        self.retries = retries or Retries()

    def copy(self) -> StepTask:
        clone = StepTask(
            self.task,
            self.nornir,
            self.global_dry_run,
            self.processors,
            self.name,
            self.severity_level,
            self.parent_task,
            context=self.context,
            component=self.component,
            deadline=self.deadline,
            read_only=self.read_only,
            retries=self.retries,
            **self.params,
        )
        if hasattr(self, "host"):
            clone.host = self.host
        return clone


def context(task: Task) -> Context:
    return _step(task).context


def is_read_only(task: Task) -> bool:
    """Whether the step may not change anything: a check in any verb, and all of a verify run."""
    return _step(task).read_only or context(task).read_only


def component_of(task: Task) -> str:
    """Full name of the component whose step this is."""
    return _step(task).component


def time_left(task: Task, timeout: float) -> float:
    """Seconds a call to a host or cluster may take: `timeout`, or less when the step as a whole has less left.

    Raises:
        DeadlinePassed: nothing is left.
    """
    deadline = _step(task).deadline
    left = timeout if deadline is None else min(timeout, deadline - time.monotonic())
    if left <= 0:
        raise DeadlinePassed(
            f"{task.name} ran out of its time", fix="raise timeouts.step in config.yaml if this host is slow"
        )
    return left


def note_retry(task: Task, reason: str) -> None:
    """Something inside of the step was refused or failed, and is tried again: journal and reports say how often.

    A wait that looks again is none.
    """
    retries = _step(task).retries
    retries.count += 1
    retries.reason = redact(reason)


def retries_of(task: Task) -> Retries:
    return _step(task).retries


def retries_in(result: Result | MultiResult) -> Retries:
    """What the runner wrote into a step's result."""
    found = getattr(result[0] if isinstance(result, MultiResult) and result else result, "retries", None)
    return found if isinstance(found, Retries) else Retries()


def cancelled(task: Task) -> Callable[[], bool]:
    return context(task).cancelled.is_set


def on(task: Task, host: str | Host) -> Task:
    """The same step, acting on another host: a worker's step that needs a token from the control plane."""
    other = _step(task).copy()
    other.host = host if isinstance(host, Host) else context(task).inventory.hosts[host]
    return other


def hosts_in(task: Task, group: str) -> list[Host]:
    """All hosts of an inventory group, selected or not, by name."""
    hosts = context(task).inventory.hosts.values()
    return sorted((h for h in hosts if h.has_parent_group(group)), key=lambda h: h.name)


def active(task: Task, group: str) -> list[Host]:
    """The hosts of a group that the run is for, and that nothing of this component has failed on, by name."""
    gone = absent(task, group)
    return [host for host in hosts_in(task, group) if host.name not in gone]


def absent(task: Task, group: str) -> dict[str, str]:
    """The other hosts of the group, with the reason: what acts or judges for all hosts names them, and goes on."""
    reasons = ((host.name, _absence(task, host.name)) for host in hosts_in(task, group))
    return {host: reason for host, reason in reasons if reason}


def lost(task: Task, error: Unreachable) -> None:
    """The task's host does not answer: it takes part in nothing more of this run, and is not asked again."""
    roster = context(task).roster
    roster.unreachable.add(task.host.name)
    roster.losses.setdefault(task.host.name, error)


def loss(task: Task) -> Unreachable | None:
    """Why the task's host is not asked any more; a new error for each step that is told."""
    error = context(task).roster.losses.get(task.host.name)
    return Unreachable(error.what, why=error.why, fix=error.fix) if error else None


def _absence(task: Task, host: str) -> str:
    roster = context(task).roster
    if roster.selected is not None and host not in roster.selected:
        return "left out by -l"
    if host in roster.unreachable:
        return "unreachable"
    return roster.stopped.get((component_of(task), host), "")


def known(task: Task, fact: Fact[T]) -> Mapping[str, T]:
    """What this run knows of a fact by now: host to value. Asks nobody, so that a dead host keeps no other waiting."""
    return {host: values[fact] for host, values in list(context(task).facts.items()) if fact in values}


def is_managed(task: Task, key: str) -> bool:
    """Whether this program made the change of this key on the step's host, and has not undone it."""
    return context(task).change_log.managed(task.host.name, key) is not None


def setting(task: Task, name: str, default: Any = _REQUIRED) -> Any:
    """A value from the inventory for this host: its own, else its groups', else the defaults.

    Indexes, because `host.get("items")` would return a method.
    """
    try:
        return task.host[name]
    except KeyError:
        if default is _REQUIRED:
            where = f"host {task.host.name}"
            raise ConfigError([Problem(where, f"setting {name} is missing", "add it to the inventory")]) from None
        return default


def secret(task: Task, name: str) -> Secret:
    return context(task).secrets[name]


def _step(task: Task) -> StepTask:
    return cast(StepTask, task)
