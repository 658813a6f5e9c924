"""What may be marked by an operator, and what follows from it. Standard library only.

A parent is done when all below it is: it is not completed before, and is opened again with any of its children.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from thinkube_nornir.checklist.document import Document, Task
from thinkube_nornir.checklist.task_line import Evidence, Mark
from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import ConfigError, Problem

Evidences = Callable[[Sequence[Task]], Mapping[int, Evidence]]
"""Evidence by line for those of these tasks that need some; raises ConfigError for what is not proven."""


@dataclass(frozen=True)
class Marked:
    """What came of the request for one task."""

    task: Task
    """As it stands now."""
    changed: bool
    """False: it was so already."""
    because: Task | None = None
    """The task for whose sake a parent was opened."""


@dataclass
class Selection:
    """The tasks that these line numbers and identifiers name."""

    wanted: Sequence[str]
    seen: dict[str, str] = field(default_factory=dict)
    """Line number to the text of its task when it was looked for first."""

    def of(self, document: Document) -> list[Task]:
        """Return the tasks, each once.

        Raises:
            ConfigError: with every one that names no task, or more than one; or another than the last time, because
                somebody edited the list in between.
        """
        found: dict[int, Task] = {}
        problems: list[Problem] = []
        for name in self.wanted:
            try:
                task = self._by_number(document, name) if _is_number(name) else _by_identifier(document, name)
                found[task.line] = task
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        return list(found.values())

    def _by_number(self, document: Document, name: str) -> Task:
        task = _by_number(document, name)
        if self.seen.setdefault(name, task.text) != task.text:
            raise _error(f"line {name}", "is another task now: somebody edited the list meanwhile", "look again")
        return task


def complete(document: Document, tasks: Sequence[Task], evidences: Evidences) -> tuple[Document, list[Marked]]:
    """Mark them, all or none.

    Raises:
        ConfigError: a task has open children that are not among them, or its evidence is missing.
    """
    chosen = {task.line for task in tasks}
    open_tasks = [task for task in tasks if not task.done]
    left = {t.line: list(document.open_below(t, lambda below: below.done or below.line in chosen)) for t in open_tasks}
    problems = [_open_children(task, left[task.line]) for task in open_tasks if left[task.line]]
    written: Mapping[int, Evidence] = {}
    try:
        written = evidences(open_tasks)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    after = document.marked({task.line: Mark(True, written.get(task.line)) for task in open_tasks})
    return after, [Marked(after.by_line[task.line], not task.done) for task in tasks]


def reopen(document: Document, tasks: Sequence[Task]) -> tuple[Document, list[Marked]]:
    """Take the marks off; with a task its parents are opened, too, as not all below them is done any more."""
    because: dict[int, Task | None] = {task.line: None for task in tasks}
    for task in tasks:
        for parent in document.above(task):
            if parent.done:
                because.setdefault(parent.line, task)
    after = document.marked({line: Mark(False) for line in because if document.by_line[line].done})
    marked = [Marked(after.by_line[n], document.by_line[n].done, for_whom) for n, for_whom in because.items()]
    return after, marked


def _is_number(name: str) -> bool:
    return name.removeprefix("-").isdecimal() and name.isascii()


def _by_number(document: Document, name: str) -> Task:
    line = int(name) if len(name) < 10 else len(document.lines) + 1
    if not 1 <= line <= len(document.lines):
        raise _error(f"line {name}", f"there is none: the file has {len(document.lines)} lines")
    task = document.by_line.get(line)
    if task is None:
        near = min(document.tasks, key=lambda t: abs(t.line - line))
        raise _error(
            f"line {name}", "no task stands there", f"the nearest one is on line {near.line}: {shorten(near.text)}"
        )
    return task


def _by_identifier(document: Document, name: str) -> Task:
    found = [task for task in document.tasks if task.identifier == name]
    if len(found) > 1:
        lines = ", ".join(str(task.line) for task in found)
        raise _error(name, f"is ambiguous: lines {lines} have it", "name the line, and give each task its own")
    if found:
        return found[0]
    known = [task.identifier for task in document.tasks if task.identifier]
    raise _error(name, "no task has this name", did_you_mean(name, known, "`checklist show -v` has them"))


def _open_children(task: Task, left: Sequence[Task]) -> Problem:
    named = "; ".join(f"{child.line} {shorten(child.text)}" for child in left)
    return Problem(f"line {task.line}", f"{shorten(task.text)}: open below it: {named}", "complete these first")


def shorten(text: str, most: int = 50) -> str:
    return text if len(text) <= most else text[: most - 3].rstrip() + "..."


def _error(where: str, what: str, fix: str = "") -> ConfigError:
    return ConfigError([Problem(where, what, fix)])
