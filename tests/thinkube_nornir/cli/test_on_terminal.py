"""What a real terminal shows, through a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

from tests.small_project import break_join

ROOT = Path(__file__).parents[3]
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def on_terminal(project: Path, *arguments: str, columns: int, term: str = "xterm") -> tuple[int, list[str]]:
    """Exit code and lines of a command whose output is a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    env = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
    env |= {"PYTHONPATH": str(ROOT), "TERM": term, "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "thinkube_nornir", *arguments]
    with subprocess.Popen(command, cwd=project, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    return process.returncode, _ESCAPES.sub("", said.decode()).rstrip().split("\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux' word for: nobody has the other end any more
        return b""


def test_a_red_run_ends_with_failures_and_the_next_command(project: Path) -> None:
    """Nothing stands between what failed and what to type, and no line is broken in a word."""
    break_join(project, "tkw2")

    code, lines = on_terminal(project, "run", "all", columns=60)

    place = next(n for n, line in enumerate(lines) if line.startswith("FAILED"))
    assert code == 1
    assert lines[place - 2].startswith("failed: ") or lines[place - 3].startswith("failed: ")
    assert [line.split()[0] for line in lines[place:] if line.strip() and not line.startswith("    ")] == [
        *("FAILED", "what", "why", "fix", "also"),
        *("log", "next"),
    ]
    python = Path(sys.executable)
    typed = python.name if shutil.which(python.name) == str(python) else python  # PATH finds it: its plain name will do
    assert lines[-1] == f"next   {typed} -m thinkube_nornir run all"


def test_lines_fit_a_narrow_terminal(project: Path) -> None:
    """All but those that are to be copied, and words that are longer than the terminal is wide."""
    break_join(project, "tkw2")

    _, lines = on_terminal(project, "run", "all", columns=52, term="dumb")

    assert "tkw2  failed     phase2.extra setup: join:" in lines
    assert [line for line in lines if len(line) > 52 and " " in line.strip() and not line.startswith("next")] == []
