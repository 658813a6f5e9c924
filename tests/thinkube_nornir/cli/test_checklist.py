"""The verb `checklist`, on a small project and its own list."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.git_places import needs_git
from tests.thinkube_nornir.cli.conftest import Cli
from thinkube_nornir.checklist import store
from thinkube_nornir.checklist.document import Document
from thinkube_nornir.checklist.marking import Selection, complete
from thinkube_nornir.errors import ConfigError

LIST = """\
# Tasks

## Phase 1: base

### Preparation
- [ ] Read the documents <!-- phase1/read -->

### Implementation
- [ ] Checks are red: `thinkube-nornir verify phase1` <!-- phase1.base/red -->
- [ ] **The base** <!-- phase1.base -->
  - [ ] set up <!-- phase1.base/setup -->
  - [ ] verified <!-- phase1.base/verify -->

## Phase 2: more

- [ ] Something without a name
"""
RED, HEADING, SET_UP, VERIFIED, PLAIN = 9, 10, 11, 12, 16


@pytest.fixture
def tasks(project: Path) -> Path:
    """The list, beside config.yaml."""
    path = project / "START_HERE.md"
    path.write_text(LIST)
    return path


def _marks(path: Path) -> list[int]:
    return [number for number, line in enumerate(path.read_text().splitlines(), 1) if "- [x]" in line]


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def test_show_prints_phases_with_their_progress(cli: Cli, tasks: Path) -> None:
    """And the next open task at the end, next to the prompt."""
    ended = cli("checklist", "show")

    assert ended.code == 0
    assert ended.lines[:4] == [
        "Phase 1: base  (0 of 5 done)",
        "  Preparation",
        "   6  [ ] Read the documents",
        "  Implementation",
    ]
    assert f"  {SET_UP}    [ ] set up" in ended.lines
    assert ended.lines[-2:] == ["START_HERE.md: 0 of 6 done", "next    6  Read the documents"]


def test_show_of_one_phase_and_of_what_is_open(cli: Cli, tasks: Path) -> None:
    """What is done is left out, unless something below it is open."""
    cli("checklist", "complete", "phase1/read")

    ended = cli("checklist", "show", "--phase", "phase1", "--open", "-v")

    assert ended.lines[0] == "Phase 1: base  (1 of 5 done)"
    assert "Read the documents" not in ended.out
    assert "Phase 2" not in ended.out
    assert "phase1.base/verify" in ended.out


def test_an_unknown_phase_is_an_error(cli: Cli, tasks: Path) -> None:
    """With those that there are."""
    ended = cli("checklist", "show", "--phase", "phase7")

    assert ended.code == 2
    assert ended.err == "error: --phase: no heading is called 'phase7' (there are: Phase 1: base, Phase 2: more)\n"


def test_long_lines_are_whole_in_a_pipe(cli: Cli, tasks: Path) -> None:
    """What reads them can find the command in one piece."""
    command = "python -m thinkube_nornir " + "verify phase1 " * 20
    tasks.write_text(LIST + f"- [ ] {command}\n")

    assert any(command.strip() in line for line in cli("checklist", "show").lines)


def test_next_says_how_to_mark(cli: Cli, tasks: Path) -> None:
    """By name; and what a run proves, by `sync`."""
    first = cli("checklist", "next")
    cli("checklist", "complete", "6")
    second = cli("checklist", "next")

    assert first.lines == [
        "line 6  Phase 1: base, Preparation  (phase1/read)",
        "  Read the documents",
        "then   thinkube-nornir checklist complete phase1/read",
    ]
    assert second.lines[-1] == "then   thinkube-nornir checklist sync    (the journal proves it)"


def test_a_name_that_two_tasks_have_is_told(cli: Cli, tasks: Path) -> None:
    """By what shows the list and by what marks it, not only when it is asked for."""
    tasks.write_text(LIST + "- [ ] Once more <!-- phase1/read -->\n")
    told = "note    lines 6, 17 have one name, phase1/read: give each task its own"

    assert told in cli("checklist", "show").lines
    assert told in cli("checklist", "sync").lines
    assert told in cli("checklist", "sync", "--dry-run").lines


PHASES = """\
## Phase 0: by hand

- [ ] Plug it in

## Phase 1: base

- [ ] Read <!-- phase1/read -->
- [ ] Look <!-- phase1/look -->

## Phase 2: more

- [ ] Think <!-- phase2/think -->
- [ ] Write <!-- phase2/write -->
"""


@needs_git
def test_next_is_of_the_phase_that_is_worked_on(cli: Cli, tasks: Path) -> None:
    """Of the branch's, of the one that was just marked, of the first that is built; the others come last."""
    tasks.write_text(PHASES)
    assert cli("checklist", "next").lines[1] == "  Read"
    assert cli("checklist", "show").lines[-1] == "next    7  Read"
    assert cli("checklist", "complete", "phase2/think").lines[-1] == "next    13  Write"
    assert cli("checklist", "next").lines[1] == "  Read"

    subprocess.run(["git", "init", "-q", "-b", "feature/phase2"], cwd=tasks.parent, check=True)
    assert cli("checklist", "next").lines[1] == "  Write"
    assert cli("checklist", "complete", "phase1/read").lines[-1] == "next    13  Write"
    assert cli("checklist", "next", "--phase", "phase1").lines[1] == "  Look"
    assert cli("checklist", "complete", "13").lines[-1] == "next    8  Look"
    assert cli("checklist", "complete", "8").lines[-1] == "next    3  Plug it in"


def test_next_needs_no_working_project(cli: Cli, tasks: Path) -> None:
    """With a configuration that is wrong, the list is gone through from its top."""
    tasks.write_text(PHASES)
    (tasks.parent / "config.yaml").write_text("target: nowhere")

    assert cli("checklist", "complete", "3").lines[-1] == "next    7  Read"


def test_nothing_is_next_when_all_is_done(cli: Cli, tasks: Path) -> None:
    """No task, no error."""
    tasks.write_text("- [x] a\n")

    assert cli("checklist", "next").lines == ["nothing is open"]


def test_complete_and_pending_by_line_number(cli: Cli, tasks: Path) -> None:
    """One byte each, and back to the bytes of before."""
    done = cli("checklist", "complete", str(PLAIN))
    assert (done.code, done.lines[0]) == (0, f"marked  {PLAIN}  Something without a name")
    assert tasks.read_text() == LIST.replace("[ ] Something", "[x] Something")

    again = cli("checklist", "complete", str(PLAIN))
    assert (again.code, again.lines[0]) == (0, f"same    {PLAIN}  Something without a name: is done already")

    opened = cli("checklist", "pending", str(PLAIN))
    assert (opened.code, opened.lines[0]) == (0, f"opened  {PLAIN}  Something without a name")
    assert tasks.read_text() == LIST


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["complete", "1"], "line 1: no task stands there"),
        (["complete", "99"], "line 99: there is none: the file has 16 lines"),
        (["complete", "phase1/raed"], "did you mean phase1/read?"),
        (["pending", "0"], "line 0: there is none"),
        (["complete"], "Missing argument"),
        (["complet", "6"], "no verb of checklist is called 'complet' (did you mean complete?)"),
        (["complete", "6", "1"], "line 1: no task stands there"),
        (["complete", str(HEADING)], "open below it: 11 set up; 12 verified"),
    ],
)
def test_a_wrong_request_changes_nothing(cli: Cli, tasks: Path, arguments: list[str], said: str) -> None:
    """Exit code 2, and what is there instead."""
    ended = cli("checklist", *arguments)

    assert ended.code == 2
    assert said in ended.err
    assert tasks.read_text() == LIST


def test_in_a_repository_the_list_is_committed_alone(cli: Cli, tasks: Path) -> None:
    """After each change, and by a command that can be typed."""
    (tasks.parent / ".git").mkdir()

    commit = "commit  git commit -m '[Project] Update task progress in START_HERE.md' START_HERE.md"
    assert commit in cli("checklist", "complete", "6").lines
    assert commit not in cli("checklist", "complete", "6").lines


def test_what_can_be_proven_is_not_ticked(cli: Cli, tasks: Path) -> None:
    """The message has the hosts that are missing, and the command that proves it."""
    ended = cli("checklist", "complete", "6", "phase1.base/verify")

    assert ended.code == 2
    assert ended.err == (
        f"error: line {VERIFIED}: phase1.base/verify is not proven: not verified on tkc, tkw1, tkw2 "
        "(prove it: thinkube-nornir run phase1.base; "
        "or mark it nevertheless: thinkube-nornir checklist complete phase1.base/verify --by-hand)\n"
    )
    assert tasks.read_text() == LIST


def test_by_hand_is_written_down(cli: Cli, tasks: Path) -> None:
    """For what can be proven; any other task has no evidence."""
    assert cli("checklist", "complete", "6", str(RED), "--by-hand").code == 0

    lines = tasks.read_text().splitlines()
    assert lines[5] == "- [x] Read the documents <!-- phase1/read -->"
    assert lines[RED - 1].endswith(f"<!-- phase1.base/red --> *(by hand, {_today()})*")
    assert f"note    {RED}  " in cli("checklist", "sync").out


def test_proven_tasks_are_completed_with_their_run(cli: Cli, tasks: Path) -> None:
    """And opened again without it."""
    cli("run", "phase1")

    assert cli("checklist", "complete", "phase1.base/setup").code == 0
    assert tasks.read_text().splitlines()[SET_UP - 1].endswith(f"/setup --> *(run 1, {_today()})*")

    cli("checklist", "pending", "phase1.base/setup")

    assert tasks.read_text() == LIST


def test_the_whole_workflow(cli: Cli, tasks: Path) -> None:
    """Red, set up, rolled back, set up again: the list follows, whatever is edited in between."""
    assert cli("checklist", "sync").lines == ["START_HERE.md is in step with the journal"]

    assert cli("verify", "phase1").code == 1
    assert cli("run", "phase1").code == 0
    would = cli("checklist", "sync", "--dry-run")
    assert would.code == 3
    assert "START_HERE.md would change: 4 marked" in would.lines
    assert would.lines[-1] == "next   thinkube-nornir checklist sync"
    assert tasks.read_text() == LIST
    assert cli("checklist", "sync").code == 0
    assert _marks(tasks) == [RED, HEADING, SET_UP, VERIFIED]

    tasks.write_text("A line above.\n" + tasks.read_text())
    cli("rollback", "phase1", "--yes")
    synced = cli("checklist", "sync")
    assert f"opened  {VERIFIED + 1}  phase1.base/verify: run 3 rolled it back on tkc, tkw1, tkw2" in synced.lines
    assert _marks(tasks) == [RED + 1]

    cli("run", "phase1")
    cli("checklist", "sync")
    assert _marks(tasks) == [n + 1 for n in (RED, HEADING, SET_UP, VERIFIED)]
    assert cli("checklist", "sync", "--dry-run").code == 0


def test_a_dry_run_proves_nothing(cli: Cli, tasks: Path) -> None:
    """Neither does a plan."""
    cli("plan", "phase1")
    cli("run", "phase1", "--dry-run")

    cli("checklist", "sync")

    assert tasks.read_text() == LIST


def test_another_list(cli: Cli, tasks: Path, tmp_path: Path) -> None:
    """By --file; the commands that are printed name it, too."""
    other = tmp_path / "other.md"
    other.write_text("- [ ] a\n")

    assert cli("checklist", "next", "--file", "other.md").lines[-1] == (
        "then   thinkube-nornir checklist complete 1 --file other.md"
    )
    assert cli("checklist", "complete", "1", "-f", "other.md").code == 0

    assert other.read_text() == "- [x] a\n"
    assert tasks.read_text() == LIST


def test_without_a_project_nothing_can_be_proven(cli: Cli, tasks: Path) -> None:
    """A list alone is ticked by hand."""
    (tasks.parent / "config.yaml").unlink()

    assert cli("checklist", "complete", str(SET_UP)).code == 0


def test_a_configuration_that_is_named_must_be_there(cli: Cli, tasks: Path) -> None:
    """A typing error would let anything be ticked."""
    ended = cli("checklist", "complete", str(SET_UP), "-c", "typo.yaml", "-f", "START_HERE.md")

    assert ended.code == 2
    assert "typo.yaml" in ended.err
    assert tasks.read_text() == LIST


def test_phases_that_are_computed_are_found(cli: Cli, tasks: Path) -> None:
    """The project's own Python says which there are."""
    (tasks.parent / "steps" / "__init__.py").write_text('PHASES = tuple(f"phase{x}" for x in ("1_base", "2_more"))')

    assert cli("checklist", "complete", str(SET_UP)).code == 2


def _missing(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _cycle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.parametrize("verb", [("show",), ("next",), ("complete", "1"), ("pending", "1"), ("sync",)])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_missing, "there is no such file"),
        (_folder, "is a folder"),
        (_pipe, "is no regular file"),
        (_cycle, "cannot be "),
        (lambda path: path.write_text(""), "is empty"),
        (lambda path: path.write_text("# Tasks\n"), "has no tasks"),
        (lambda path: path.write_bytes("- [ ] a".encode("utf-16")), "is in UTF-16"),
        (
            lambda path: path.write_text(f"<<<<<<< HEAD\n{LIST}=======\n{LIST}>>>>>>> x\n"),
            "line 1: a merge left its conflict",
        ),
        (lambda path: os.truncate(path, store.LARGEST + 1), "bytes, which is no task list"),
    ],
    ids=["missing", "folder", "pipe", "circle", "empty", "no tasks", "UTF-16", "conflict", "huge"],
)
def test_a_file_that_is_no_list_is_an_error(
    cli: Cli, tasks: Path, verb: tuple[str, ...], spoil: Callable[[Path], None], said: str
) -> None:
    """Exit code 2 and one line, whatever the file is."""
    spoil(tasks)

    ended = cli("checklist", *verb)

    assert ended.code == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_is_protected_is_not_replaced(cli: Cli, tasks: Path) -> None:
    """A new file in its place would lift the protection."""
    tasks.chmod(0o444)

    ended = cli("checklist", "complete", "6")

    assert ended.code == 2
    assert "may not be written by you" in ended.err
    assert tasks.read_text() == LIST


def test_mode_and_link_stay(cli: Cli, tasks: Path, tmp_path: Path) -> None:
    """The file behind a link is replaced, and not the link."""
    place = tmp_path / "lists" / "mine.md"
    place.parent.mkdir()
    tasks.rename(place)
    place.chmod(0o640)
    tasks.symlink_to(place)

    assert cli("checklist", "complete", "6").code == 0

    assert tasks.is_symlink()
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert _marks(place) == [6]
    assert [path.name for path in place.parent.iterdir()] == ["mine.md"]


def test_two_at_once_both_count(tasks: Path) -> None:
    """Each waits for the other: no mark is lost."""
    tasks.write_text("".join(f"- [ ] task {number}\n" for number in range(8)))
    command = [sys.executable, "-m", "thinkube_nornir", "checklist", "complete"]

    started = [subprocess.Popen([*command, str(n)], cwd=tasks.parent, stdout=subprocess.DEVNULL) for n in range(1, 9)]

    assert [process.wait(timeout=120) for process in started] == [0] * 8
    assert _marks(tasks) == list(range(1, 9))


def _save(path: Path, content: str) -> None:
    """As an editor does, in a process of its own, by a new file in the old one's place."""
    script = (
        "import os, sys; open(sys.argv[1] + '~', 'w').write(sys.argv[2]); os.replace(sys.argv[1] + '~', sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", script, str(path), content], check=True)


def _interrupted(names: list[str], path: Path, saved: str) -> Callable[[Document], Document]:
    """A change during whose first attempt somebody saves the file."""
    selection, saves = Selection(names), [saved]

    def change(document: Document) -> Document:
        after, _ = complete(document, selection.of(document), lambda _: {})
        if saves:
            _save(path, saves.pop())
        return after

    return change


def test_what_an_editor_saves_in_between_is_kept(tasks: Path) -> None:
    """The mark is set on that, where the task's name finds it."""
    saved = "A line above.\n" + LIST.replace("documents", "documents twice")

    store.edit(tasks, _interrupted(["phase1/read"], tasks, saved))

    assert tasks.read_text() == saved.replace("[ ] Read", "[x] Read")


def test_a_line_that_moved_in_between_is_not_marked(tasks: Path) -> None:
    """The number names another task now; what was saved stays as it is."""
    saved = LIST.replace("- [ ] Read", "- [ ] Another\n- [ ] Read")

    with pytest.raises(ConfigError, match="line 6: is another task now"):
        store.edit(tasks, _interrupted(["6"], tasks, saved))

    assert tasks.read_text() == saved
