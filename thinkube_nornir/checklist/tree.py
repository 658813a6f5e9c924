"""The list as `checklist show` prints it: by phase, with what is done of each, and the next open task."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from thinkube_nornir.checklist.document import Document, Task
from thinkube_nornir.errors import ConfigError, Problem

_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_LINK = re.compile(r"\[([^][]*)\]\([^()]*\)")
_COMMAND = re.compile(r"`[^`]*`\S*")
_GLUE = "\0"


@dataclass(frozen=True)
class View:
    """What is to be shown of a list."""

    phase: str = ""
    """`phase5`, `5`, or how a heading begins; empty for all."""
    only_open: bool = False
    identifiers: bool = False
    width: int | None = None
    """None: lines are as long as they are."""


def show(document: Document, view: View) -> list[str]:
    """
    Raises:
        ConfigError: no heading is called like the phase that is asked for.
    """
    phases = _phases(document, view.phase)
    lines: list[str] = []
    for name, tasks in phases.items():
        lines += ["", f"{name or 'Tasks'}  ({progress(tasks)})"]
        lines += _tasks(document, tasks, view)
    return lines[1:]


def summary(document: Document, phase: str) -> list[str]:
    """A line for each phase, where there are several: their headings are above what fits on a screen."""
    phases = _phases(document, phase)
    width = max(map(len, phases))
    return [f"{name:<{width}}  {progress(tasks)}" for name, tasks in phases.items()] if len(phases) > 1 else []


def progress(tasks: Sequence[Task]) -> str:
    return f"{sum(task.done for task in tasks)} of {len(tasks)} done"


def next_open(document: Document, tasks: Iterable[Task] | None = None) -> Task | None:
    """The first task, in the list's order, that is open and has nothing open below it."""
    for task in document.tasks if tasks is None else tasks:
        if not task.done and not any(document.open_below(task)):
            return task
    return None


def in_phase(document: Document, phase: str) -> list[Task]:
    """
    Raises:
        ConfigError: as of `show`.
    """
    return [task for tasks in _phases(document, phase).values() for task in tasks]


def place(task: Task) -> str:
    """Where it stands: `Phase 5: core services, Rollback`."""
    return ", ".join(dict.fromkeys(name for name in (task.phase, task.section) if name))


def _phases(document: Document, wanted: str) -> dict[str, list[Task]]:
    phases: dict[str, list[Task]] = {}
    for task in document.tasks:
        phases.setdefault(task.phase, []).append(task)
    found = {name: tasks for name, tasks in phases.items() if not wanted or is_called(name, wanted)}
    if not found:
        raise ConfigError([Problem("--phase", f"no heading is called {wanted!r}", f"there are: {', '.join(phases)}")])
    return found


def is_called(heading: str, wanted: str) -> bool:
    """Whether `phase5`, `5`, or how a heading begins, names this heading."""
    number = re.fullmatch(r"(?:phase)?\s*(\d+)", wanted.strip().casefold())
    if number:
        return re.match(rf"phase\s*{number[1]}\b", heading.casefold()) is not None
    return heading.casefold().startswith(wanted.strip().casefold())


def _tasks(document: Document, tasks: Sequence[Task], view: View) -> Iterator[str]:
    width = len(str(document.tasks[-1].line))
    section = None
    for task in tasks:
        if view.only_open and task.done and not any(document.open_below(task)):
            continue
        if task.section != section:
            section = task.section
            if section != task.phase:
                yield f"  {section}"
        yield from _lines(task, width, view)


def _lines(task: Task, width: int, view: View) -> list[str]:
    first = f"  {task.line:>{width}}  {'  ' * task.depth}[{'x' if task.done else ' '}] "
    text = plain(task.text)
    if task.evidence:
        text += f"  {str(task.evidence).strip('*')}"
    if view.identifiers and task.identifier:
        text += f"  {task.identifier}"
    lines = wrapped(text, view.width and max(view.width - len(first), 20))
    return [(first if not number else " " * len(first)) + line for number, line in enumerate(lines)]


def plain(text: str) -> str:
    """Without Markdown's marks: bold text, and links to what they are called.

    >>> plain("**Read** [the guide](docs/guide.md): `cat docs/guide.md`")
    'Read the guide: `cat docs/guide.md`'
    """
    return _LINK.sub(r"\1", _BOLD.sub(r"\1", text))


def wrapped(text: str, width: int | None) -> list[str]:
    """Lines that are broken at blanks only, and not within a command that fits on one; None for a single line."""
    if width is None:
        return [text]
    whole = _COMMAND.sub(lambda m: m[0].replace(" ", _GLUE) if len(m[0]) <= width else m[0], text)
    lines = textwrap.wrap(whole, width, break_on_hyphens=False, break_long_words=False)
    return [line.replace(_GLUE, " ") for line in lines] or [""]
