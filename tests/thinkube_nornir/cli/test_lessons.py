"""`lessons new`: what the runs of a phase show, in a file that a person goes on with."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.small_project import break_join
from tests.thinkube_nornir.cli.conftest import Cli


@pytest.fixture
def lessons(project: Path) -> Path:
    return project / "docs" / "lessons" / "phase_2_lessons.md"


@pytest.fixture
def worked(cli: Cli, project: Path, lessons: Path) -> Cli:
    """Phase 2 failed to join tkw1, a setting was changed, and it went well; a second run changed nothing."""
    cli("run", "phase1")
    break_join(project, "tkw1")
    cli("run", "phase2")
    (project / "hosts" / "tkw1.broken").unlink()
    groups = project / "inventory" / "groups.yaml"
    groups.write_text(groups.read_text().replace("1.35/stable", "1.36/stable"))
    cli("run", "phase2")
    cli("run", "phase2")
    return cli


def test_a_new_file_has_what_the_journal_knows(worked: Cli, lessons: Path) -> None:
    """The plan's heading and four lists, each with a bullet for the person."""
    ended = worked("lessons", "new", "phase2")

    text = lessons.read_text()
    assert ended.code == 0
    assert ended.lines == [
        "docs/lessons/phase_2_lessons.md: written",
        "  from     3 runs on real hosts",
        "  found    1 failure, 1 repair",
        "next   open it, and write what you learned below what the journal knows",
    ]
    headings = [line for line in text.splitlines() if line.startswith("#")]
    lists = ["## Challenges", "## Solutions", "## Improvements", "## Best Practices Identified"]
    assert headings == ["# Phase 2: More", *lists]
    assert text.count("\n<!-- lessons: end -->\n\n- \n") == 4
    assert text.endswith("\n- \n")
    failed = "`phase2.extra` set-up `join` failed once on tkw1 (run 2): `unexpected RuntimeError: "
    assert failed in text
    assert "on tkw1 failed in run 2" in text
    between = (
        'setting `channel` `"1.35/stable"` -> `"1.36/stable"` (tkc, tkw1 and tkw2); files `inventory/groups.yaml`.'
    )
    assert f"passed in run 3. In between: {between}\n" in text
    assert "second run of the whole phase changed nothing (run 3, " in text


def test_again_it_renews_what_nobody_edited(worked: Cli, project: Path, lessons: Path) -> None:
    """What a person wrote stays, in a part or outside; where the marks are gone, nothing comes back."""
    worked("lessons", "new", "phase2")
    text = lessons.read_text().replace("failed once on tkw1", "failed on tkw1, as its disk was full")
    text = text.replace("\n- \n", "\n- We look at disks first.\n", 1)
    text = re.sub(r"<!-- lessons: improvements .*?<!-- lessons: end -->\n", "", text, flags=re.DOTALL)
    lessons.write_text(text)
    break_join(project, "tkw2")
    worked("run", "phase2")

    ended = worked("lessons", "new", "phase2")

    after = lessons.read_text()
    assert ended.lines == [
        "docs/lessons/phase_2_lessons.md: brought up to date",
        "  from     4 runs on real hosts",
        "  found    2 failures, 1 repair",
        "  left as it is: you edited it                Challenges",
        "  renewed from the journal                    Solutions",
        "  not written: its marks were removed         Improvements",
        "  renewed from the journal                    Best Practices Identified",
        "next   open it, and write what you learned below what the journal knows",
    ]
    assert "as its disk was full" in after
    assert "- We look at disks first.\n" in after
    assert "still fails" not in after
    assert "On real hosts, 4 runs (runs 2 to 5" in after


def test_what_came_from_a_host_cannot_break_the_file(cli: Cli, project: Path, lessons: Path) -> None:
    """Marks, line ends, backticks and control characters in an error are text in one line of code."""
    extra = project / "steps" / "phase2_more" / "extra.py"
    nasty = r"a`b\n<!-- lessons: end -->\r\n## Solutions\x1b[2J"
    extra.write_text(extra.read_text().replace("the token is sesame-street", nasty))
    cli("run", "phase1")
    break_join(project, "tkw1")
    cli("run", "phase2")

    cli("lessons", "new", "phase2")
    again = cli("lessons", "new", "phase2")

    told = r"`` unexpected RuntimeError: a`b <!-- lessons: end --> ## Solutions\x1b[2J ``"
    assert told in lessons.read_text()
    assert [line[2:44].strip() for line in again.lines[3:7]] == ["nothing new in the journal"] * 4


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("phase22", "lessons: no phase is called 'phase22' (did you mean phase2?)"),
        ("phase2.extra", "lessons: no phase is called 'phase2.extra' (name its phase: phase2)"),
        ("x", "lessons: no phase is called 'x' (there are: phase1, phase2)"),
        ("phase2", "lessons: nothing is known of phase2: it was never run (run it first: run phase2)"),
    ],
)
def test_a_phase_that_is_unknown_or_was_never_run(cli: Cli, lessons: Path, name: str, told: str) -> None:
    """It says which is meant, or what to do first; a plan is no run; no file is made."""
    cli("plan", "phase2")

    ended = cli("lessons", "new", name)

    assert (ended.code, ended.err) == (2, f"error: {told}\n")
    assert not lessons.exists()


def test_a_place_where_nothing_can_be_written(worked: Cli, project: Path, lessons: Path) -> None:
    """A file or a folder in the way is named, and nothing is changed."""
    (project / "docs").mkdir()
    lessons.parent.write_text("a file")
    in_the_way = worked("lessons", "new", "phase2")
    lessons.parent.unlink()
    lessons.mkdir(parents=True)
    a_folder = worked("lessons", "new", "phase2")

    where = "error: docs/lessons/phase_2_lessons.md: cannot be written:"
    for ended in (in_the_way, a_folder):
        assert ended.code == 2
        assert ended.err.startswith(where)
    assert os.listdir(lessons) == []  # noqa: PTH208 of names
