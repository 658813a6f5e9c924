"""scripts/update_task_status.py, as the plan calls it: with a Python that has nothing installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIST = """\
# Tasks
- [ ] parent
  - [X] one
  - [ ] two <!-- phase5/plan -->
- [ ] proven <!-- phase5.coredns/verify -->
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project's folder: a list, a configuration, and the names of components."""
    (tmp_path / "START_HERE.md").write_text(LIST)
    shutil.copy(ROOT / "config.yaml", tmp_path)
    (tmp_path / "tasks").symlink_to(ROOT / "tasks")
    return tmp_path


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, "-S", "-E", "-s", str(ROOT / "scripts" / "update_task_status.py")]
    return subprocess.run([*script, *arguments], cwd=folder, capture_output=True, text=True)


def test_this_python_has_nothing_installed(folder: Path) -> None:
    """Otherwise the tests here would prove nothing."""
    done = subprocess.run([sys.executable, "-S", "-E", "-s", "-c", "import nornir"], capture_output=True)

    assert done.returncode == 1


def test_a_task_is_completed_and_opened_again(folder: Path) -> None:
    """By its line number; the line is reported, and the file is what it was."""
    done = _run(folder, "4", "complete")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "line 4: - [x] two <!-- phase5/plan -->\n"
    assert (folder / "START_HERE.md").read_text() == LIST.replace("[ ] two", "[x] two")

    assert _run(folder, "phase5/plan", "pending").returncode == 0
    assert (folder / "START_HERE.md").read_text() == LIST


def test_what_is_marked_already_stays(folder: Path) -> None:
    """No error, and no other letter."""
    done = _run(folder, "3", "complete")

    assert (done.returncode, done.stdout) == (0, "line 3 is complete already\n")
    assert _run(folder, "2", "pending").stdout == "line 2 is pending already\n"
    assert (folder / "START_HERE.md").read_text() == LIST


def test_parents_that_are_opened_are_reported(folder: Path) -> None:
    """They were done because all below them was."""
    (folder / "START_HERE.md").write_text("- [x] a\n  - [x] b\n")

    assert _run(folder, "2", "pending").stdout == "line 2: - [ ] b\nline 1: - [ ] a  (as line 2 below it is open)\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "usage: update_task_status.py LINE|NAME complete|pending"),
        (("4",), "usage:"),
        (("4", "complete", "more"), "usage:"),
        (("4", "done"), "'done' is no status: complete or pending"),
        (("four", "complete"), "four: no task has this name"),
        (("1", "complete"), "line 1: no task stands there (the nearest one is on line 2: parent)"),
        (("0", "complete"), "line 0: there is none: the file has 5 lines"),
        (("99", "pending"), "line 99: there is none: the file has 5 lines"),
        (("2", "complete"), "line 2: parent: open below it: 4 two"),
    ],
)
def test_every_error_ends_with_one(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    """With a message, and nothing written."""
    done = _run(folder, *arguments)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "START_HERE.md").read_text() == LIST


def test_a_terminal_that_has_ascii_only_is_enough(folder: Path) -> None:
    """What it cannot show is shown by its number; the file is written as it was."""
    (folder / "START_HERE.md").write_text("- [ ] Überblick\n", encoding="utf-8")
    script = [sys.executable, "-S", "-X", "utf8=0", str(ROOT / "scripts" / "update_task_status.py")]
    ascii_only = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}

    done = subprocess.run([*script, "1", "complete"], cwd=folder, env=ascii_only, capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("line 1: - [x] \\xdcberblick\n", "")
    assert (folder / "START_HERE.md").read_text(encoding="utf-8") == "- [x] Überblick\n"


def test_without_a_list_it_says_so(tmp_path: Path) -> None:
    """It works in the current folder."""
    done = _run(tmp_path, "4", "complete")

    assert done.returncode == 1
    assert "START_HERE.md: there is no such file" in done.stderr


def test_what_is_proven_needs_the_program(folder: Path) -> None:
    """This Python cannot read the journal; the command that can is named."""
    done = _run(folder, "5", "complete")

    assert done.returncode == 1
    assert "error: line 5 is for the journal to prove" in done.stderr
    assert "lacks nornir: use python -m thinkube_nornir checklist complete 5" in done.stderr
    assert (folder / "START_HERE.md").read_text() == LIST


def test_the_programs_own_python_asks_the_journal(folder: Path) -> None:
    """There the same rules hold as for `checklist complete`."""
    shutil.copytree(ROOT / "inventory", folder / "inventory")
    (folder / "templates").mkdir()
    script = str(ROOT / "scripts" / "update_task_status.py")

    done = subprocess.run([sys.executable, script, "5", "complete"], cwd=folder, capture_output=True, text=True)

    assert done.returncode == 1
    assert "phase5.coredns/verify is not proven: not verified on bcn1, tkc, tkw1" in done.stderr
