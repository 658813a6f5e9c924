"""What a change of a file looks like to people: a redacted unified diff, sizes for what is not text."""

from __future__ import annotations

import difflib

from thinkube_nornir.command import File
from thinkube_nornir.secret import redact


def diff_of(file: File, kind: str, previous: bytes, mode: str) -> str:
    """Return the diff from `previous` to the wanted content, with a line for a new mode.

    Args:
        kind: what is at the path: `absent`, `file`, `link`.
        mode: octal digits of the present mode.
    """
    moded = kind == "file" and int(mode, 8) != file.mode
    head = f"mode of {file.path}: {mode} -> {file.mode:o}\n" if moded else ""
    if kind == "file" and previous == file.content:
        return head
    if file.secret:
        return f"{head}{file.path}: holds secrets, {len(previous)} -> {len(file.content)} bytes\n"
    source = "/dev/null" if kind == "absent" else file.path
    try:
        old, new = previous.decode(), file.content.decode()
    except UnicodeDecodeError:
        return f"{head}{file.path}: binary, {len(previous)} -> {len(file.content)} bytes\n"
    return head + redact(_unified(old, new, source, file.path))


def _unified(old: str, new: str, source: str, target: str) -> str:
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), source, target)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
