"""Reads a task list, and has it written by text_file.py, so that nobody's edit is lost. Standard library only."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from thinkube_nornir import text_file
from thinkube_nornir.checklist.document import Document, parse
from thinkube_nornir.errors import ConfigError, Problem

LARGEST = 5_000_000
"""Bytes; the largest list that anybody could read has a hundredth of that."""


def read(path: Path) -> Document:
    """
    Raises:
        ConfigError: there is no such file, it cannot be read, or it has no tasks.
    """
    try:
        _must_be_file(path)
        return _parsed(path, path.read_bytes())
    except OSError as error:
        raise _unusable(path, error, "read") from None


def edit(path: Path, change: Callable[[Document], Document]) -> Document:
    """Write what `change` makes of the list, and return it; a list that stays as it is is not written.

    Args:
        change: may be called again, when somebody saves the file in between; raises to write nothing.

    Raises:
        ConfigError: as of `read`, or it cannot be written.
    """
    made: list[Document] = []

    def changed(content: bytes | None) -> bytes | None:
        if content is None:
            raise FileNotFoundError
        made[:] = [change(_parsed(path, content))]
        if made[0].content != content:
            _refuse_to_take_away(path)
        return made[0].content

    try:
        _must_be_file(path)
        text_file.update(path, changed)
    except OSError as error:
        raise _unusable(path, error, "written") from None
    return made[0]


def _must_be_file(path: Path) -> None:
    """Before it is opened, which waits for ever on a pipe."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise _problem(path, "is a folder", "name the list's file")
    if not stat.S_ISREG(status.st_mode):
        raise _problem(path, "is no regular file", "name the list's file")
    if status.st_size > LARGEST:
        raise _problem(path, f"has {status.st_size:,} bytes, which is no task list")


def _refuse_to_take_away(path: Path) -> None:
    """A new file takes the place of this one: not when that would lift its protection, or make it another owner's."""
    if not os.access(path, os.W_OK):
        raise _problem(path, "may not be written by you", "see its owner and mode")
    if os.geteuid() not in (0, path.stat().st_uid):
        raise _problem(path, "belongs to somebody else, who would lose it", "run this as its owner")


def _parsed(path: Path, content: bytes) -> Document:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _problem(path, "is in UTF-16", "save it as UTF-8")
    document = parse(content)
    for number, line in enumerate(document.lines, 1):
        if line.startswith((b"<<<<<<< ", b">>>>>>> ")):
            raise _problem(path, f"line {number}: a merge left its conflict here", "resolve it first")
    if not document.tasks:
        raise _problem(path, "has no tasks" if content.strip() else "is empty", "a task is a line like: - [ ] text")
    return document


def _unusable(path: Path, error: OSError, what: str) -> ConfigError:
    if isinstance(error, FileNotFoundError):
        return _problem(path, "there is no such file", "START_HERE.md is in the project's folder")
    if isinstance(error, BlockingIOError):
        return _problem(path, "another program writes it all the time; nothing was changed", "try again")
    return _problem(path, f"cannot be {what}: {error.strerror or error}")


def _problem(path: Path, what: str, fix: str = "") -> ConfigError:
    return ConfigError([Problem(str(path), what, fix)])
