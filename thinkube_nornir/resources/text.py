"""Block and Line: our lines in a file that others write, too. What is theirs is kept, also at rollback."""

from __future__ import annotations

import hashlib
import posixpath
import re
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.command import Fact
from thinkube_nornir.command import File as Wanted
from thinkube_nornir.context import context
from thinkube_nornir.errors import Refused
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.remote.file_diff import diff_of
from thinkube_nornir.remote.file_states import FileState, state_at
from thinkube_nornir.resources.base import Resource, State, label_of, resolve

MARKER = "{comment} {edge} managed by thinkube-nornir: {name}"
"""The lines around a block; `edge` is BEGIN or END."""

# Arguments: path, SHA-256 of what was read there (`absent`), mode of a new file, and `remove` when it is to go. Stdin:
# the new content. Mode and owner stay; a link is followed, as the file may be somebody else's.
_EDIT = r"""
path=$(readlink -m -- "$1") known=$2 mode=$3 end=$4 now=absent
[ ! -e "$path" ] || { now=$(sha256sum <"$path") || exit 1; now=${now%% *}; }
[ "$now" = "$known" ] || { echo "$1 was changed by somebody else at this moment: run again" >&2; exit 20; }
[ "$end" != remove ] || { rm -f "$path"; exit; }
new=$(mktemp "${path%/*}/.thinkube.XXXXXX") || exit 1
trap 'rm -f "$new"' EXIT; trap 'exit 143' HUP TERM PIPE
if [ "$now" = absent ]; then chmod "$mode" "$new"; else cp -p "$path" "$new"; fi &&
  cat >"$new" && sync "$new" && mv -fT "$new" "$path"
"""


@dataclass(frozen=True)
class _Text(Resource):
    """What the two have in common: they know what a text shall become, with them and without."""

    path: str

    @property
    @abstractmethod
    def key(self) -> str: ...

    @abstractmethod
    def wanted(self, lines: list[str]) -> list[str]:
        """The lines with the managed ones."""

    @abstractmethod
    def without(self, lines: list[str], before: list[str]) -> list[str]:
        """The lines without the managed ones, and with those that were there in its place."""

    @abstractmethod
    def replaced(self, lines: list[str]) -> list[str]:
        """Lines that make room for managed ones, or are another form of it."""

    def loaded_from(self, task: Task) -> tuple[str, ...]:
        return (self.path,)

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        return (self._at(),)

    def state(self, task: Task) -> State:
        found = self._found(task)
        lines = _lines(found)
        wanted = self.wanted(lines)
        expected = f"{self.path} has {self._what}"
        if found.kind == "absent":
            return State(expected, "nothing there", f"{self.path} is missing, and with it {self._what}")
        if wanted == lines:
            return State(expected, expected)
        seen = f"another {self._what}" if self.replaced(lines) else f"no {self._what}"
        diff = diff_of(Wanted(self.path, _joined(wanted)), "file", found.content, "644")
        return State(expected, seen, f"{self.path} has {seen}", diff)

    def apply(self, task: Task) -> Result:
        found = self._found(task)
        lines = _lines(found)
        before = {
            "existed": found.kind != "absent",
            "lines": self.replaced(lines),
            "ended": not found.content or found.content.endswith(b"\n"),
        }
        argv, content = _edit(self.path, found), _joined(self.wanted(lines))
        summary = f"write {self._what} in {self.path}"
        result = change(task, summary, *argv, stdin=content, root=True, key=self.key, before=before)
        result.diff = diff_of(Wanted(self.path, content), found.kind, found.content, "644")
        return result

    def restore(self, task: Task) -> Result:
        record = context(task).change_log.managed(task.host.name, self.key)
        if record is None:
            return unchanged(task, f"{self._what} in {self.path} is not managed")
        found = self._found(task)
        lines = _lines(found)
        left = self.without(lines, record.before["lines"])
        summary = f"take {self._what} out of {self.path}"
        if found.kind == "absent" or left == lines:
            return undo(task, self.key, f"forget {self._what} in {self.path}, which has gone", root=True)
        end = "" if left or record.before["existed"] else "remove"
        content = _joined(left) if record.before["ended"] else _joined(left).removesuffix(b"\n")
        return undo(task, self.key, summary, *_edit(self.path, found, end), stdin=content, root=True)

    @property
    @abstractmethod
    def _what(self) -> str: ...

    def _at(self) -> Fact[FileState | None]:
        return state_at(self.path, "root", None)

    def _found(self, task: Task) -> FileState:
        """Through a link: what it leads to is what is read and written."""
        found = read(task, self._at())
        if found is not None and found.kind == "link":
            target = posixpath.normpath(posixpath.join(posixpath.dirname(self.path), found.target))
            found = read(task, state_at(target, "root", None))
        if found is None or found.kind not in ("file", "absent"):
            raise Refused(f"{self.path} is no file", why="a link, folder or device is there", fix="name another path")
        return found


@dataclass(frozen=True)
class Block(_Text):
    """Lines between a begin and an end marker, at the end of the file when they are new.

    Args:
        block: tells it from other blocks in the same file.
        content: its lines.
        comment: what begins a comment in this file.
    """

    block: str
    content: str
    comment: str = "#"

    @property
    def words(self) -> tuple[str, ...]:
        return "block", self.block, "in", self.path

    @property
    def key(self) -> str:
        return f"block:{self.path}:{self.block}"

    @property
    def _what(self) -> str:
        return f"block {self.block}"

    def wanted(self, lines: list[str]) -> list[str]:
        begin, end = self._edges
        kept, place = self._around(lines)
        place = len(kept) if place is None else place
        return [*kept[:place], begin, *self.content.splitlines(), end, *kept[place:]]

    def without(self, lines: list[str], before: list[str]) -> list[str]:
        return self._around(lines)[0]

    def replaced(self, lines: list[str]) -> list[str]:
        return [line for line in lines if line == self._edges[0]]

    @property
    def _edges(self) -> tuple[str, str]:
        marker = MARKER.format(comment=self.comment, edge="{}", name=self.block)
        return marker.format("BEGIN"), marker.format("END")

    def _around(self, lines: list[str]) -> tuple[list[str], int | None]:
        """The other lines, and where among them the block stands; of several the first counts, and all go."""
        begin, end = self._edges
        kept: list[str] = []
        place: int | None = None
        inside = False
        for line in lines:
            if line == begin:
                inside, place = True, len(kept) if place is None else place
            elif not inside:
                kept.append(line)
            inside = inside and line != end
        if inside:
            why = f"{begin!r} is not followed by {end!r}: everything below would be taken for managed lines"
            raise Refused(f"{self.path} has half a {self._what}", why=why, fix="repair it by hand, then run again")
        return kept, place


@dataclass(frozen=True)
class Line(_Text):
    """One line, which stands in place of those that fit a pattern; they come back at rollback.

    Args:
        line: a function of the task where hosts differ; with a `label`.
        replaces: a regular expression for whole lines: `PermitRootLogin .*`.
    """

    line: str | Callable[[Task], str]
    replaces: str = field(default="")

    def state(self, task: Task) -> State:
        return super(Line, self._on(task)).state(task)

    def apply(self, task: Task) -> Result:
        return super(Line, self._on(task)).apply(task)

    def restore(self, task: Task) -> Result:
        return super(Line, self._on(task)).restore(task)

    def _on(self, task: Task) -> Line:
        return replace(self, line=resolve(task, self.line))

    @property
    def _own(self) -> str:
        return self.line if isinstance(self.line, str) else self.label

    @property
    def words(self) -> tuple[str, ...]:
        return "line", label_of(self.line, self.label), "in", self.path

    @property
    def key(self) -> str:
        return f"line:{self.path}:{self._own}"

    @property
    def _what(self) -> str:
        return f"line {self._own!r}"

    def wanted(self, lines: list[str]) -> list[str]:
        kept = [line for line in lines if not self._fits(line)]
        place = next((place for place, line in enumerate(lines) if self._fits(line)), len(lines))
        return [*kept[:place], self._own, *kept[place:]]

    def without(self, lines: list[str], before: list[str]) -> list[str]:
        if self._own not in lines:
            return lines
        place = lines.index(self._own)
        return [*lines[:place], *before, *(line for line in lines[place:] if line != self._own)]

    def replaced(self, lines: list[str]) -> list[str]:
        return [line for line in lines if self._fits(line)]

    def _fits(self, line: str) -> bool:
        return line == self._own or bool(self.replaces and re.fullmatch(self.replaces, line))


def _lines(found: FileState) -> list[str]:
    """Divided by newlines alone: to Python, form feeds and the like end a line, too."""
    text = found.content.decode(errors="surrogateescape")
    return text.removesuffix("\n").split("\n") if text else []


def _joined(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")


def _edit(path: str, found: FileState, end: str = "") -> tuple[str, ...]:
    known = "absent" if found.kind == "absent" else hashlib.sha256(found.content).hexdigest()
    return ("sh", "-c", _EDIT, "thinkube:edit", path, known, "644", end)
