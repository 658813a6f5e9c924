"""START_HERE.md is whole: every component has its tasks, every task its own name, and all it says can be typed."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from tests.project_copy import copied_project
from thinkube_nornir import catalog
from thinkube_nornir.checklist import tree
from thinkube_nornir.checklist.document import Document, Task, parse
from thinkube_nornir.checklist.names import COMPONENT_KINDS, PHASE_KINDS, is_provable, names_in
from thinkube_nornir.cli import run_command_line
from thinkube_nornir.cli.group import VERBS

ROOT = Path(__file__).parents[1]
CONTENT = (ROOT / "START_HERE.md").read_bytes()
DOCUMENT: Document = parse(CONTENT)
ENTRIES = catalog.load(ROOT / "tasks").entries
BUILT = dict.fromkeys(entry.phase for entry in ENTRIES)
BLOCKS = (
    "Branch Creation",
    "Documentation Review",
    "Verify chains (x8), red before set-up",
    "Implementation",
    "Rollback (x9)",
    "Integration Verification",
    "Phase Completion",
)


def test_every_task_has_a_name_of_its_own() -> None:
    """Line numbers change with every edit; names do not."""
    names = Counter(task.identifier for task in DOCUMENT.tasks)

    assert [name for name, count in names.items() if name is None or count > 1] == []


def test_the_guide_shows_what_is_printed_for_this_list() -> None:
    """`phase start` names the lines that it marks; and there is no short name for the program."""
    guide = (ROOT / "docs" / "phases.md").read_text()
    branch, push = (t.line for t in DOCUMENT.tasks if t.identifier in ("phase5/branch", "phase5/push"))

    assert f"START_HERE.md: lines {branch} and {push} are done" in guide
    assert "$ thinkube " not in guide


def test_a_fresh_list_is_open() -> None:
    """Nobody has done anything yet."""
    assert [task.line for task in DOCUMENT.tasks if task.done or task.evidence] == []


def test_every_component_and_phase_has_the_tasks_that_can_be_proven() -> None:
    """What the journal can prove is on the list."""
    named = {task.identifier for task in DOCUMENT.tasks}
    missing = [f"{e.name}/{kind}" for e in ENTRIES for kind in COMPONENT_KINDS if f"{e.name}/{kind}" not in named]
    missing += [f"{phase}/{kind}" for phase in BUILT for kind in PHASE_KINDS if f"{phase}/{kind}" not in named]

    assert set(missing) == {f"{phase}/setup" for phase in BUILT}  # a phase that is verified is set up


def test_every_name_of_a_built_phase_is_of_a_component_that_exists() -> None:
    """A component that was renamed leaves no task behind that nothing can prove."""
    known = {entry.name for entry in ENTRIES} | set(BUILT)

    for task in DOCUMENT.tasks:
        subject = (task.identifier or "").partition("/")[0]
        if subject.partition(".")[0] in BUILT:
            assert subject in known, task.identifier


def test_phases_have_the_same_blocks_in_the_same_order() -> None:
    """As the plan has them, for phases 1 to 6."""
    phases: dict[str, list[str]] = {}
    for task in DOCUMENT.tasks:
        sections = phases.setdefault(task.phase, [])
        if task.section not in sections:
            sections.append(task.section)

    assert [name.partition(":")[0] for name in phases] == [f"Phase {number}" for number in range(1, 7)]
    for name, sections in phases.items():
        assert tuple(sections) == BLOCKS, name


def test_phases_that_are_not_built_say_so() -> None:
    """And the journal can prove none of their tasks."""
    subjects = names_in(ROOT / "tasks")
    for task in DOCUMENT.tasks:
        number = task.phase.removeprefix("Phase ").partition(":")[0]
        if f"phase{number}" not in BUILT:
            assert not is_provable(task.identifier, subjects), task.identifier
            introduction = CONTENT.decode().partition(f"## {task.phase}\n")[2].partition("\n###")[0]
            assert "Not built in this version" in introduction


def test_set_up_and_verify_stand_below_their_component() -> None:
    """A component is done when both are."""
    by_name = {task.identifier: task for task in DOCUMENT.tasks}
    for entry in ENTRIES:
        below = [task.identifier for task in DOCUMENT.children(by_name[entry.name])]
        assert below == [f"{entry.name}/setup", f"{entry.name}/verify"]


def test_nesting_is_by_two_spaces() -> None:
    """The plan's form, which its other tools read."""
    for task in DOCUMENT.tasks:
        assert re.match(rb" {%d}- \[ \] \S" % (2 * task.depth), DOCUMENT.lines[task.line - 1]), task.line


@pytest.mark.parametrize("task", DOCUMENT.tasks, ids=lambda task: task.identifier)
def test_its_commands_can_be_typed(task: Task) -> None:
    """Each of our verbs exists, and what it is given too."""
    names = {"all", *names_in(ROOT / "tasks")}
    for typed in re.findall(r"`python -m thinkube_nornir ([^`]*)`", task.text):
        verb, *arguments = shlex.split(typed)
        assert verb in VERBS, typed
        if verb in ("run", "verify", "plan", "rollback"):
            assert set(arguments) <= names, typed


def test_the_first_task_is_next() -> None:
    """Where to begin."""
    following = tree.next_open(DOCUMENT)

    assert following
    assert following.identifier == "phase1/branch"


@pytest.mark.lab
@pytest.mark.slow
def test_the_list_follows_what_is_seen_on_the_lab(tmp_path: Path) -> None:
    """Red, then set up: each task of phase 5 that such runs prove is marked, and no other."""
    with copied_project(tmp_path) as folder:
        config = ["-c", str(folder / "config.yaml")]
        codes = [run_command_line([*words, *config]) for words in (["verify", "phase5"], ["run", "phase5"])]
        codes.append(run_command_line(["checklist", "sync", *config]))
        synced = parse((folder / "START_HERE.md").read_bytes())

    assert codes == [1, 0, 0]
    components = [entry.name for entry in ENTRIES if entry.phase == "phase5"]
    wanted = {f"{name}/{kind}" for name in components for kind in ("red", "setup", "verify")}
    assert {task.identifier for task in synced.tasks if task.done} == {
        *wanted,
        *components,
        "phase5/red",
        "phase5/verify",
    }
    assert all(task.evidence.place for task in synced.tasks if task.evidence)


def test_every_link_leads_somewhere() -> None:
    """To a file of this repository."""
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", CONTENT.decode()):
        assert (ROOT / link).exists(), link
