"""scripts/update_task_status.py: one mark, for any Python. The same rules as `checklist complete` and `pending`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from thinkube_nornir.checklist import marking, store
from thinkube_nornir.checklist.document import Document
from thinkube_nornir.checklist.provable import evidences
from thinkube_nornir.errors import ConfigError, ThinkubeError

LIST = Path("START_HERE.md")
_CONFIG = Path("config.yaml")
_VENV = Path(".venv/bin/python")
_USAGE = "usage: update_task_status.py LINE|NAME complete|pending"


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 for every error, as the plan has it."""
    if len(arguments) != 2:
        return _fail(_USAGE)
    name, status = arguments
    if status not in ("complete", "pending"):
        return _fail(f"error: {status!r} is no status: complete or pending", _USAGE)
    try:
        for line in _mark(marking.Selection([name]), status):
            _say(line, sys.stdout)
    except ConfigError as error:
        return _fail(*(f"error: {problem}" for problem in error.problems))
    except ThinkubeError as error:
        return _fail(f"error: {error}")
    except ImportError as error:
        other = _command("checklist", status, name)
        named = f"line {name}" if name.isdecimal() else name
        return _fail(f"error: {named} is for the journal to prove; {sys.executable} lacks {error.name}: use {other}")
    return 0


def _mark(selection: marking.Selection, status: str) -> list[str]:
    changes: list[marking.Marked] = []

    def change(document: Document) -> Document:
        tasks = selection.of(document)
        if status == "complete":
            after, changes[:] = marking.complete(document, tasks, evidences(_CONFIG, by_hand=False, command=_command))
        else:
            after, changes[:] = marking.reopen(document, tasks)
        return after

    after = store.edit(LIST, change)
    return [_line(after, marked, status) for marked in changes]


def _line(document: Document, marked: marking.Marked, status: str) -> str:
    line = marked.task.line
    if not marked.changed:
        return f"line {line} is {'complete' if status == 'complete' else 'pending'} already"
    why = f"  (as line {marked.because.line} below it is open)" if marked.because else ""
    text = document.lines[line - 1].decode(errors="backslashreplace").strip()
    return f"line {line}: {''.join(c if c.isprintable() else repr(c)[1:-1] for c in text)}{why}"


def _command(*arguments: str) -> str:
    python = str(_VENV) if _VENV.exists() else "python"
    return shlex.join([python, "-m", "thinkube_nornir", *arguments])


def _fail(*lines: str) -> int:
    for line in lines:
        _say(line, sys.stderr)
    return 1


def _say(line: str, stream: TextIO) -> None:
    """Write lines in the stream's encoding, whatever the list is in."""
    encoding = stream.encoding or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
