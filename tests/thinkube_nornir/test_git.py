"""Git by its command line: plain words, no questions, a deadline that holds whatever git has started."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.git_places import forget_the_user, needs_git
from thinkube_nornir.git import GitMissing, GitTooSlow, git

pytestmark = needs_git


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_user(tmp_path / "home", monkeypatch)


def test_git_speaks_plainly_and_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the operator's language, editor and pager are."""
    for name, value in (("LC_ALL", "de_DE.UTF-8"), ("LANGUAGE", "de"), ("GIT_PAGER", "less"), ("GIT_EDITOR", "vi")):
        monkeypatch.setenv(name, value)

    answer = git(tmp_path, "-c", "alias.told=!env; cat; false", "told")

    assert not answer.good
    lines = answer.out.splitlines()
    for wanted in ("LC_ALL=C", "LANGUAGE=", "GIT_TERMINAL_PROMPT=0", "GIT_PAGER=", "GIT_EDITOR=true"):
        assert wanted in lines


def test_what_git_started_does_not_outlast_the_deadline(tmp_path: Path) -> None:
    """A hook that holds git's output open is not waited for."""
    pid = tmp_path / "pid"

    with pytest.raises(GitTooSlow, match=r"git -c did not end within 0\.3 s"):
        git(tmp_path, "-c", f"alias.slow=!echo $$ > {pid}; exec sleep 20", "slow", timeout=0.3)

    number = int(pid.read_text())
    state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    os.kill(number, signal.SIGKILL)
    assert state in "SR"  # it still ran: nobody waited for its end


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has none gets an error of its own."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(GitMissing):
        git(tmp_path, "status")
