"""Command: what has no kind of its own, with a fact that says whether it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.command import Fact
from thinkube_nornir.context import is_managed
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.resources.base import Resource, State


@dataclass(frozen=True)
class Command(Resource):
    """A command that is run while a fact says that it is to be run.

    Args:
        summary: what it does, in the imperative: `join zerotier network`.
        done: reads whether it is done: the guard, and the check.
        undo: undoes it; empty when that needs nothing but to be forgotten.
        accept: exit statuses that are well, of both.
    """

    summary: str
    done: Fact[bool]
    argv: tuple[str, ...]
    undo: tuple[str, ...] = ()
    root: bool = True
    accept: tuple[int, ...] = (0,)
    timeout: float | None = None

    @property
    def words(self) -> tuple[str, ...]:
        return "command", self.label or self.summary

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        return (self.done,)

    def state(self, task: Task) -> State:
        expected = f"{self.done.name}: yes"
        return (
            State(expected, expected)
            if read(task, self.done)
            else State(expected, f"{self.done.name}: no", f"{self.done.name} is not so")
        )

    def apply(self, task: Task) -> Result:
        options: dict[str, Any] = {"root": self.root, "accept": self.accept, "timeout": self.timeout}
        return change(task, self.summary, *self.argv, key=self._key, **options)

    def restore(self, task: Task) -> Result:
        if not is_managed(task, self._key):
            return unchanged(task, f"{self.summary}: not by us")
        argv = self.undo if read(task, self.done) else ()
        options: dict[str, Any] = {"root": self.root, "accept": self.accept, "timeout": self.timeout}
        return undo(task, self._key, f"undo: {self.summary}", *argv, **options)

    @property
    def _key(self) -> str:
        return f"command:{self.name}"
