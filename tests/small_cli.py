"""The command line in this process, for tests that ask it often."""

from __future__ import annotations

import contextlib
import io

from thinkube_nornir.cli import run_command_line


def ended(*arguments: str) -> tuple[int, list[str]]:
    """The exit code, and the lines that were printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = run_command_line(arguments)
    return code, out.getvalue().splitlines()
