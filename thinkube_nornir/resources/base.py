"""Resource: one thing on a host that a component declares once, and gets set-up, check and rollback for.

A kind says what it reads (`facts`), compares (`state`), changes (`apply`) and rolls back (`restore`); everything else
follows from that here. A value of a declaration may be given plainly, or as a function of the task where hosts differ.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nornir.core.task import Result, Task

from thinkube_nornir.command import Fact
from thinkube_nornir.component import AS_DECLARED, Step
from thinkube_nornir.context import setting
from thinkube_nornir.errors import CheckFailed, ThinkubeError
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import Outcome, all_of, passed, unchanged
from thinkube_nornir.secret import redact

T = TypeVar("T")
_REQUIRED = object()


@dataclass(frozen=True)
class FromSetting:
    """A value that each host's inventory gives."""

    label: str
    """The setting's name."""
    default: Any = _REQUIRED

    def __call__(self, task: Task) -> Any:
        return setting(task, self.label) if self.default is _REQUIRED else setting(task, self.label, self.default)


def from_setting(name: str, default: Any = _REQUIRED) -> FromSetting:
    return FromSetting(name, default)


def resolve(task: Task, given: T | Callable[[Task], T]) -> T:
    return given(task) if callable(given) else given


class NotKnown(ThinkubeError):
    """A value of a declaration depends on something that the host has not: the home of a user who is not there."""


class NotAsDeclared(CheckFailed):
    """The check of a resource; `expected` and `seen` are also in `why`, for those who show one text."""

    def __init__(self, state: State, fix: str) -> None:
        lines = [f"expected: {state.expected}", f"seen: {state.seen}", state.diff]
        super().__init__(redact(state.wrong), why=redact("\n".join(filter(None, lines))), fix=fix)
        self.expected = redact(state.expected)
        self.seen = redact(state.seen)


@dataclass(frozen=True)
class State:
    """What a resource shall be, and what it is."""

    expected: str
    seen: str
    wrong: str = ""
    """One sentence that says what is not as declared; empty when all of it is."""
    diff: str = ""
    fix: str = ""
    """What to do where a set-up does not repair it."""


@dataclass(frozen=True)
class Resource(ABC):
    """What a component manages. As a step of a chain it is what the chain is for: set up, checked or rolled back.

    Args:
        unless: says why a host shall not have it; empty where it shall. What an earlier run put there is rolled back.
        label: for the names of its steps, where what they are made from depends on the host.
        on: a group, as of a step: it is managed once, on the first host of that group. None: on each host of the
            component.
    """

    unless: Callable[[Task], str] | None = field(default=None, kw_only=True)
    label: str = field(default="", kw_only=True)
    on: str | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def words(self) -> tuple[str, ...]:
        """What it is called: ("file", "/etc/chrony/chrony.conf")."""

    @property
    def name(self) -> str:
        """An identifier: it begins the names of its steps."""
        return identifier(*self.words)

    @property
    def title(self) -> str:
        """For people: "file /etc/chrony/chrony.conf"."""
        return " ".join(self.words)

    @abstractmethod
    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        """What `state` reads, so that all resources of a chain are read in one round trip."""

    @abstractmethod
    def state(self, task: Task) -> State: ...

    @abstractmethod
    def apply(self, task: Task) -> Result:
        """Make it as declared; called when it is not. In a dry run changes are only promised."""

    @abstractmethod
    def restore(self, task: Task) -> Result:
        """Roll back what is recorded as managed."""

    def absent_because(self, task: Task) -> str:
        """Why this host shall not have it; empty where it shall."""
        return self.unless(task) if self.unless else ""

    def loaded_from(self, task: Task) -> tuple[str, ...]:
        """Files and folders whose change makes a unit restart that names this in `restart_on`."""
        return ()

    def set_up(self, task: Task) -> Result:
        if reason := self.absent_because(task):
            results = [result for result in (self.roll_back(task), self.after_rollback(task)) if result]
            return all_of(task, *results) if any(result.changed for result in results) else unchanged(task, reason)
        state = self.state(task)
        return self.apply(task) if state.wrong else unchanged(task, state.expected)

    def check(self, task: Task) -> Result:
        if reason := self.absent_because(task):
            return passed(task, reason)
        state = self.state(task)
        if state.wrong:
            raise NotAsDeclared(state, state.fix or set_up(task))
        expected, seen = redact(state.expected), redact(state.seen)
        return Result(task.host, result=expected, outcome=Outcome.PASSED, expected=expected, seen=seen)

    def roll_back(self, task: Task) -> Result:
        try:
            return self.restore(task)
        except NotKnown as error:
            return unchanged(task, f"nothing to restore: {error.what}")

    def after_rollback(self, task: Task) -> Result | None:
        """What is to be done once all else of the component is rolled back; None for kinds that have nothing."""
        return None

    def __call__(self, task: Task) -> Result:
        return self.set_up(task)

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def setup_step(self) -> Step:
        return Step(named(self.set_up, self.name, self.title))

    @property
    def last_step(self) -> Step | None:
        return None

    @property
    def check_step(self) -> Step:
        return Step(named(self.check, f"{self.name}_is_as_declared", f"{self.title}{AS_DECLARED}"))

    @property
    def rollback_step(self) -> Step:
        return Step(named(self.roll_back, f"restore_{self.name}", f"restore {self.title}"))


def label_of(value: str | Callable[[Task], str], label: str) -> str:
    """What the names of steps are made from; a function needs a label, its own or the resource's."""
    found = label or (value if isinstance(value, str) else getattr(value, "label", ""))
    if not found:
        raise TypeError("a resource whose path or name is a function of the task needs a label")
    return str(found)


def identifier(*words: str) -> str:
    """What an identifier can keep of the words.

    >>> identifier("file", "/etc/chrony/chrony.conf")
    'file_etc_chrony_chrony_conf'
    """
    return re.sub(r"\W+", "_", " ".join(words), flags=re.ASCII).strip("_").lower()


def named(function: Callable[[Task], Result], name: str, title: str) -> Callable[[Task], Result]:
    """The function as a step of that name; component.Step shows the title."""

    def step(task: Task) -> Result:
        return function(task)

    step.__name__ = step.__qualname__ = name
    step.title = title  # type: ignore[attr-defined]  # a function takes any attribute, its type says none
    return step
