"""A Markdown task list: its lines, its tasks, and the same bytes with other marks.

Standard library only, because the status script runs with any Python. A task is a list item with a box, outside of code
blocks and comments. Whatever else stands in the file is kept byte for byte: line ends, encoding, blanks.

A task may have an identifier, which Markdown does not show, and right after it the evidence that it is done:

    - [x] CoreDNS is verified on all of its hosts <!-- phase5.coredns/verify --> *(run 12, 2026-11-27)*
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

from thinkube_nornir.checklist.task_line import BOM, Evidence, Mark, TaskLine, columns, decoded, read_item

_HEADING = re.compile(rb" {0,3}(#{1,6})(?=[ \t]|\Z)")
_FENCE = re.compile(rb"[ \t]*((?:[-*+]|[0-9]{1,9}[.)])[ \t]+)?(`{3,}(?=[^`]*\Z)|~{3,})")


@dataclass(frozen=True)
class Task:
    line: int
    """As an editor numbers it, from 1."""
    depth: int
    """0 for one that is below no other."""
    done: bool
    text: str
    """Without mark, identifier and evidence."""
    identifier: str | None = None
    evidence: Evidence | None = None
    parent: int | None = None
    """The line of the task above it."""
    phase: str = ""
    """The heading of level 1 or 2 that it stands under."""
    section: str = ""
    """The nearest heading of any level."""


@dataclass(frozen=True)
class Document:
    lines: tuple[bytes, ...] = field(repr=False)
    """With their line ends."""
    tasks: tuple[Task, ...]

    @property
    def content(self) -> bytes:
        return b"".join(self.lines)

    @cached_property
    def by_line(self) -> Mapping[int, Task]:
        return {task.line: task for task in self.tasks}

    @cached_property
    def _children(self) -> Mapping[int | None, Sequence[Task]]:
        below: dict[int | None, list[Task]] = {}
        for task in self.tasks:
            below.setdefault(task.parent, []).append(task)
        return below

    def children(self, task: Task) -> Sequence[Task]:
        """The tasks directly below it."""
        return self._children.get(task.line, ())

    @property
    def shared_names(self) -> Mapping[str, Sequence[int]]:
        """Names that several tasks have, with their lines."""
        lines: dict[str, list[int]] = {}
        for task in self.tasks:
            if task.identifier:
                lines.setdefault(task.identifier, []).append(task.line)
        return {name: those for name, those in lines.items() if those[1:]}

    def open_below(self, task: Task, is_done: Callable[[Task], bool] = attrgetter("done")) -> Iterator[Task]:
        """The open ones below it; what is below those is not looked at."""
        waiting = [*reversed(self.children(task))]
        while waiting:
            below = waiting.pop()
            if is_done(below):
                waiting.extend(reversed(self.children(below)))
            else:
                yield below

    def above(self, task: Task) -> Iterator[Task]:
        """Its parent, that one's parent, and so on."""
        while task.parent is not None:
            task = self.by_line[task.parent]
            yield task

    def marked(self, marks: Mapping[int, Mark]) -> Document:
        """Return the document with other marks on the tasks at these lines, and nothing else changed.

        Evidence is written only after an identifier, and goes when the task is open again.
        """
        lines = list(self.lines)
        for number, mark in marks.items():
            item = read_item(lines[number - 1])
            if item and item[1]:
                lines[number - 1] = item[1].marked(mark)
        return parse(b"".join(lines))


def parse(content: bytes) -> Document:
    lines = tuple(_lines(content))
    return Document(lines, tuple(_Reader().tasks(lines)))


def _lines(content: bytes) -> list[bytes]:
    """Split lines as editors do: a carriage return alone ends one only in a file without line feeds."""
    end = b"\n" if b"\n" in content else b"\r"
    *ended, last = content.split(end)
    return [line + end for line in ended] + ([last] if last else [])


class _Reader:
    """Goes through a file's lines, and knows what each stands in."""

    def __init__(self) -> None:
        self.items: list[tuple[int, Task | None]] = []
        """Open list items: the column of each, and its task if it has one."""
        self.phase = self.section = ""
        self.after_blank = True
        self.fence: re.Pattern[bytes] | None = None
        """In a code block: the line that ends it."""
        self.margin = 0
        """Of a code block: a line that begins before this column is outside of the list item that the block is in."""
        self.in_comment = False

    def tasks(self, lines: Sequence[bytes]) -> Iterator[Task]:
        for number, line in enumerate(lines, 1):
            shown = (line.removeprefix(BOM) if number == 1 else line).rstrip()
            if self._is_hidden(shown):
                continue
            task = self._read(number, line, shown) if shown else None
            self.after_blank = not shown
            if task:
                yield task

    def _is_hidden(self, line: bytes) -> bool:
        """Whether it belongs to a code block or a comment; their first and last lines do."""
        bare = line.strip()
        if self.in_comment:
            self.in_comment = b"-->" not in bare
            return True
        if self.fence and (not bare or columns(line) >= self.margin):
            self.fence = None if self.fence.fullmatch(bare) else self.fence
            return True
        self.fence = None
        if fence := _FENCE.match(line):
            self.fence = re.compile(re.escape(fence[2][:1]) + b"{%d,}" % len(fence[2]))
            inside = [column for column, _ in self.items if column < columns(line)] + [columns(line)] * bool(fence[1])
            self.margin = max(inside, default=-1) + 1
            return True
        self.in_comment = bare.startswith(b"<!--") and b"-->" not in bare
        return self.in_comment

    def _read(self, number: int, line: bytes, shown: bytes) -> Task | None:
        if heading := _HEADING.match(shown):
            self.items.clear()
            self.section = decoded(shown[heading.end() :].strip().rstrip(b"#"))
            self.phase = self.section if len(heading[1]) <= 2 else self.phase
            return None
        item = read_item(line)
        if item is None:
            if self.after_blank and not columns(shown):
                self.items.clear()  # a paragraph of its own, below no item
            return None
        column, found = item
        while self.items and self.items[-1][0] >= column:
            self.items.pop()
        task = self._task(number, found) if found else None
        self.items.append((column, task))
        return task

    def _task(self, number: int, found: TaskLine) -> Task:
        parent = next((task for _, task in reversed(self.items) if task), None)
        return Task(
            line=number,
            depth=parent.depth + 1 if parent else 0,
            done=found.done,
            text=found.text,
            identifier=found.identifier,
            evidence=found.evidence,
            parent=parent.line if parent else None,
            phase=self.phase,
            section=self.section,
        )
