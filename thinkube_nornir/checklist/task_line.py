"""One line of a task list: where its box, its identifier and its evidence are. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from thinkube_nornir.target import KINDS

BOM = b"\xef\xbb\xbf"
_ITEM = re.compile(rb"[ \t]*(?:[-*+]|[0-9]{1,9}[.)])(?=[ \t]|\Z)")
_BOX = re.compile(rb"[ \t]{1,4}\[([ xX])\](?=[ \t]|\Z)")
_IDENTIFIER = re.compile(
    rb"(?P<comment><!-- *(?P<name>[A-Za-z0-9][\w./-]*) *-->)(?=[ \t]|\Z)(?P<after> \*\([^()*]*\)\*(?=[ \t]|\Z))?"
)
_EVIDENCE = re.compile(
    rb" \*\((?:run ([0-9]{1,15})(?: on (%b))?|by hand), ([0-9]{4}-[0-9]{2}-[0-9]{2})\)\*"
    % b"|".join(re.escape(kind.place.encode()) for kind in KINDS.values() if kind.disposable)
)


@dataclass(frozen=True)
class Evidence:
    """Why a task is done, as it stands right after its identifier. Text of any other form is no task."""

    date: str
    run: int | None = None
    """None: it was marked by hand."""
    place: str = ""
    """Of disposable hosts, as target.place_of has it."""

    def __str__(self) -> str:
        what = "by hand" if self.run is None else f"run {self.run}{f' on {self.place}' if self.place else ''}"
        return f"*({what}, {self.date})*"


@dataclass(frozen=True)
class Mark:
    """What is to stand in a box; with `evidence` that takes the place of what was written before."""

    done: bool
    evidence: Evidence | None = None


@dataclass(frozen=True)
class TaskLine:
    """The places in a line that has a task."""

    line: bytes
    mark: int
    """Of the character in the box."""
    comment: tuple[int, int]
    """From where to where the identifier's comment is; where there is none, the line's end."""
    tail: int
    """Where it goes on after identifier and evidence."""
    identifier: str | None
    evidence: Evidence | None

    @property
    def done(self) -> bool:
        return self.line[self.mark : self.mark + 1] != b" "

    @property
    def text(self) -> str:
        parts = (self.line[self.mark + 2 : self.comment[0]], self.line[self.tail :])
        return " ".join(text for text in map(decoded, parts) if text)

    def marked(self, wanted: Mark) -> bytes:
        box = (self.line[self.mark : self.mark + 1] if self.done else b"x") if wanted.done else b" "
        until = self.comment[1]
        written = self.line[until : self.tail] if wanted.done else b""
        if self.identifier and wanted.done and wanted.evidence:
            written = f" {wanted.evidence}".encode()
        return self.line[: self.mark] + box + self.line[self.mark + 1 : until] + written + self.line[self.tail :]


def read_item(line: bytes) -> tuple[int, TaskLine | None] | None:
    """The column at which a list item begins, and its task if it has one; None for what is no list item."""
    start = len(BOM) if line.startswith(BOM) else 0
    end = len(line.rstrip())
    item = _ITEM.match(line, start, end)
    if item is None:
        return None
    box = _BOX.match(line, item.end(), end)
    return columns(line[start : item.end()]), _task_line(line, box, end) if box else None


def _task_line(line: bytes, box: re.Match[bytes], end: int) -> TaskLine:
    comments = list(_IDENTIFIER.finditer(line, box.end(), end))
    if not comments:
        return TaskLine(line, box.start(1), (end, end), end, None, None)
    found = comments[-1]
    written = _EVIDENCE.fullmatch(found["after"] or b"")
    run, place, date = (part.decode() for part in written.groups(b"")) if written else ("", "", "")
    evidence = Evidence(date, int(run) if run else None, place) if written else None
    tail = found.end("after") if evidence else found.end("comment")
    return TaskLine(line, box.start(1), found.span("comment"), tail, found["name"].decode(), evidence)


def columns(line: bytes) -> int:
    """How far it is indented; a tab goes to the next multiple of four, as Markdown has it."""
    return len(line[: len(line) - len(line.lstrip(b" \t"))].expandtabs(4))


def decoded(text: bytes) -> str:
    return text.decode(errors="backslashreplace").strip()
