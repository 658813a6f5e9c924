"""Git by its own command line: argument lists, a deadline, its plain words, and never a question.

The user's configuration holds: signing, hooks and credential helpers work as they do by hand.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_DEADLINE = 60.0  # seconds for what stays on this machine; hooks may run for a while

_PLAIN = {
    "LC_ALL": "C",
    "LANGUAGE": "",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",  # a look at the tree takes no lock that another git would trip over
    "GIT_EDITOR": "true",
    "GIT_PAGER": "",
}


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def good(self) -> bool:
        return self.status == 0


class GitMissing(Exception):
    """There is no program git."""


class GitTooSlow(Exception):
    """It did not end before its deadline, and was ended."""


def git(folder: Path, *arguments: str, timeout: float = _DEADLINE) -> Answer:
    """Run git in a folder, whatever it answers.

    Raises:
        GitMissing: there is no such program.
        GitTooSlow: it was ended after `timeout` seconds.
    """
    process = _started(["git", *arguments], folder)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _end(process)
        raise GitTooSlow(f"git {arguments[0]} did not end within {timeout:g} s") from None
    except BaseException:
        _end(process)
        raise
    return Answer(process.returncode, _text(out), _text(err))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its output is not waited for: what git started, a hook, may hold that open for as long as it likes."""
    process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def _started(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | _PLAIN,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError:
        raise GitMissing("git is not installed") from None


def _text(output: bytes) -> str:
    return output.decode(errors="backslashreplace").removesuffix("\n")
