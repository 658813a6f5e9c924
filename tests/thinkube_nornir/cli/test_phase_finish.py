"""`phase finish`: all that is missing at once, each with its command; or the text of the pull request."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.git_places import Place, forget_the_user, make_place, needs_git
from tests.thinkube_nornir.cli.conftest import Cli
from thinkube_nornir.checklist import store
from thinkube_nornir.checklist.proof import read_proofs
from thinkube_nornir.checklist.sync import sync
from thinkube_nornir.phase.repository import Repository

pytestmark = needs_git

LIST = """\
# Start here

## Phase 1

- [ ] Create the branch <!-- phase1/branch -->
- [ ] Red <!-- phase1/red -->
- [ ] **Base** <!-- phase1.base -->
  - [ ] Set up <!-- phase1.base/setup -->
  - [ ] Verified <!-- phase1.base/verify -->
- [ ] Rolled back <!-- phase1/rollback -->
- [ ] Twice <!-- phase1/second-run -->
- [ ] Finish <!-- phase1/finish -->
- [ ] Open it <!-- phase1/pull-request -->

## Phase 2

- [ ] Not of this phase <!-- phase2/branch -->
"""

README = "`phase1.base`\n"
LESSONS = "docs/lessons/phase_1_lessons.md"


@pytest.fixture
def place(project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Place:
    beside = tmp_path_factory.mktemp("beside")
    forget_the_user(beside / "home", monkeypatch)
    for name, text in (("START_HERE.md", LIST), ("README.md", README), ("docs/settings.md", "`channel`\n")):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text)
    return make_place(project, beside / "remote.git")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that needs a finished phase leaves it for the others."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def finished(place: Place, cli: Cli, kept: Path) -> Place:
    """All of the plan was done for phase 1, in its order, and pushed."""
    if not (kept / "project").exists():
        _finish(place, cli)
        shutil.copytree(place.folder, kept / "project")
        shutil.copytree(place.remote, kept / "remote")
        return place
    for source, folder in ((kept / "project", place.folder), (kept / "remote", place.remote)):
        shutil.rmtree(folder)
        shutil.copytree(source, folder)
    place.git("remote", "set-url", "origin", str(place.remote))
    os.chdir(place.folder)  # the one that was current is gone; `project` goes back at the end
    return place


def _finish(place: Place, cli: Cli) -> None:
    cli("phase", "start", "phase1")
    cli("verify", "phase1")
    cli("run", "phase1")
    cli("rollback", "phase1", "--yes")
    cli("run", "phase1")
    cli("run", "phase1")
    cli("lessons", "new", "phase1")
    lessons = place.folder / LESSONS
    lessons.write_text(lessons.read_text().replace("\n- \n", "\n- Mark hosts | first.\n", 1))
    _sync(place)
    _push(place)


def _sync(place: Place) -> None:
    proofs = read_proofs(place.folder / "config.yaml")
    store.edit(place.folder / "START_HERE.md", lambda document: sync(document, proofs).document)


def _push(place: Place) -> None:
    place.git("add", "-A")
    place.git("commit", "-q", "-m", "[phase1] Done")
    place.git("push", "-q")


def test_a_finished_phase_gets_its_pull_request(finished: Place, cli: Cli) -> None:
    """Its text on standard output alone; on standard error what to do with it, and the title."""
    ended = cli("phase", "finish", "phase1")

    assert (ended.code, ended.err.splitlines()) == (
        0,
        [
            "next   thinkube-nornir phase finish phase1 > /tmp/phase1.md"
            " && gh pr create --title 'Phase 1: Base' --body-file /tmp/phase1.md",
            "then   note its link in START_HERE.md: thinkube-nornir checklist complete phase1/finish"
            " phase1/pull-request",
            "then   git commit -m '[Project] Update task progress in START_HERE.md' START_HERE.md"
            " && git push origin feature/phase1",
        ],
    )
    assert ended.lines[:3] == [
        "## Summary",
        "",
        "- `phase1.base`: The base that everything needs on tkc, tkw1 and tkw2",
    ]
    today = ended.out.split("| run 4, ")[1].split(" |")[0]
    for line in (
        "- 2 commits, 2 files",
        "On real hosts.",
        f"| `phase1.base` | tkc, tkw1 and tkw2 | 1 | 3 of 3 | run 4, {today} |",
        f"- [x] Checks were written first, and seen red before set-up (run 1, {today})",
        f"- [x] All checks pass on all hosts (run 4, {today})",
        f"- [x] A second run changes nothing (run 5, {today})",
        f"- [x] Rollback was tested (run 3, {today})",
        "- [x] docs/settings.md names each setting",
        "- [x] README.md names each component",
        "- [x] Task list is in step: `START_HERE.md`",
        f"- [x] Lessons are written: `{LESSONS}`",
        "- [ ] Squash merge, and a run of the whole phase after it",
        "Challenges:",
        "- Mark hosts | first.",
    ):
        assert line in ended.lines
    assert "Solutions:" not in ended.lines
    assert "compare" not in ended.out


def test_a_known_forge_compares_the_branches(finished: Place, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the branch that the remote begins with, without the token in its address."""
    monkeypatch.setattr(Repository, "address_of", lambda *_: "https://token@github.com/home/cluster.git")

    ended = cli("phase", "finish", "phase1")

    assert "- https://github.com/home/cluster/compare/main...feature/phase1?expand=1" in ended.lines
    assert "token" not in ended.out


def test_what_is_not_named_is_not_ticked(finished: Place, cli: Cli) -> None:
    """A setting that no document has, a component that the README has not: a person is told which."""
    (finished.folder / "docs" / "settings.md").unlink()
    (finished.folder / "README.md").write_text("nothing")
    _push(finished)

    ended = cli("phase", "finish", "phase1")

    assert "- [ ] docs/settings.md names each setting (not named: `channel`)" in ended.lines
    assert "- [ ] README.md names each component (not named: `phase1.base`)" in ended.lines


def test_everything_that_is_missing_is_told_at_once(place: Place, cli: Cli) -> None:
    """Each with the command that repairs it; nothing gets into the pipe."""
    place.write("config.yaml", (place.folder / "config.yaml").read_text() + "# changed\n")

    ended = cli("phase", "finish", "phase1")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines() == [
        "verify  phase1 is not verified green on all of its hosts: phase1.base: not verified on tkc, tkw1, tkw2;"
        " open in START_HERE.md, and not proven: lines 6, 8, 9, 10, 11",
        "  fix   thinkube-nornir verify phase1",
        "  then  thinkube-nornir run phase1",
        "  then  thinkube-nornir rollback phase1",
        "  then  thinkube-nornir run phase1",
        "  then  thinkube-nornir run phase1",
        "  then  thinkube-nornir checklist sync",
        f"lessons {LESSONS} is missing",
        "  fix   thinkube-nornir lessons new phase1",
        "git     not committed: config.yaml",
        "  fix   git add config.yaml && git commit",
        "git     the phase's branch is feature/phase1, and the current one is main",
        "  fix   thinkube-nornir phase start phase1",
        "phase1 is not finished: 4 things are missing",
    ]


def _red(place: Place, cli: Cli) -> None:
    (place.folder / "hosts" / "tkw1.base").unlink()
    cli("verify", "phase1")


def _rolled_back(place: Place, cli: Cli) -> None:
    cli("rollback", "phase1", "--yes")


def _no_lessons(place: Place, cli: Cli) -> None:
    (place.folder / LESSONS).unlink()
    _push(place)


def _empty_lessons(place: Place, cli: Cli) -> None:
    lessons = place.folder / LESSONS
    lessons.write_text(lessons.read_text().replace("- Mark hosts | first.", "- "))
    _push(place)


def _open_task(place: Place, cli: Cli) -> None:
    listed = place.folder / "START_HERE.md"
    listed.write_text(listed.read_text().replace("\n## Phase 2", "- [ ] By hand <!-- phase1/kubectl -->\n\n## Phase 2"))
    _push(place)


def _no_list(place: Place, cli: Cli) -> None:
    (place.folder / "START_HERE.md").unlink()
    _push(place)


def _deleted_list(place: Place, cli: Cli) -> None:
    (place.folder / "START_HERE.md").unlink()


def _deleted_lessons(place: Place, cli: Cli) -> None:
    place.git("rm", "-q", LESSONS)


def _uncommitted(place: Place, cli: Cli) -> None:
    lessons = place.folder / LESSONS
    lessons.write_text(f"{lessons.read_text()}- more\n")


def _untracked(place: Place, cli: Cli) -> None:
    text = (place.folder / LESSONS).read_text()
    _no_lessons(place, cli)
    place.write(LESSONS, text)


def _not_pushed(place: Place, cli: Cli) -> None:
    place.commit("notes.txt", "mine")


def _never_pushed(place: Place, cli: Cli) -> None:
    place.git("push", "-q", "--delete", "origin", "feature/phase1")


def _behind(place: Place, cli: Cli) -> None:
    other = place.remote.parent / "other"
    place.git("clone", "-q", "-b", "feature/phase1", str(place.remote), str(other))
    clone = Place(other, place.remote)
    clone.git("config", "user.name", "Another")
    clone.git("config", "user.email", "b@example.org")
    clone.commit("theirs.txt", "theirs")
    clone.git("push", "-q")


def _diverged(place: Place, cli: Cli) -> None:
    _behind(place, cli)
    place.git("fetch", "-q")
    place.commit("ours.txt", "ours")


def _merging(place: Place, cli: Cli) -> None:
    place.git("switch", "-q", "-c", "side", "main")
    place.commit("side.txt", "side")
    place.git("switch", "-q", "feature/phase1")
    place.git("merge", "-q", "-s", "ours", "--no-commit", "side")


def _other_branch(place: Place, cli: Cli) -> None:
    place.git("switch", "-q", "-c", "develop")


def _never_red(place: Place, cli: Cli) -> None:
    (place.folder / ".thinkube" / "journal.sqlite").unlink()
    listed = place.folder / "START_HERE.md"
    listed.write_text(re.sub("- .x. Red .*", "- [ ] Red <!-- phase1/red -->", listed.read_text()))
    cli("rollback", "phase1", "--yes")
    cli("run", "phase1")


MISSING: dict[str, tuple[Callable[[Place, Cli], object], str, str]] = {
    "red": (_red, "verify  phase1 is not verified green", "thinkube-nornir verify phase1"),
    "rolled back": (_rolled_back, "verify  phase1 is not verified green", "thinkube-nornir run phase1"),
    "never red": (
        _never_red,
        "list    open in START_HERE.md, and not proven: line 6",
        "thinkube-nornir rollback phase1",
    ),
    "no lessons": (_no_lessons, f"lessons {LESSONS} is missing", "thinkube-nornir lessons new phase1"),
    "empty lessons": (_empty_lessons, f"lessons {LESSONS} has nothing that a person wrote", "write what you learned"),
    "out of step": (_red, "list    START_HERE.md is not in step with the journal", "thinkube-nornir checklist sync"),
    "open task": (
        _open_task,
        "list    to be done by hand, open in START_HERE.md: line 14 (phase1/kubectl)",
        "do it, then mark it: thinkube-nornir checklist complete phase1/kubectl",
    ),
    "no list": (_no_list, "list    START_HERE.md: there is no such file", "START_HERE.md is in the project's folder"),
    "deleted list": (_deleted_list, "list    START_HERE.md was deleted", "git restore START_HERE.md"),
    "deleted lessons": (
        _deleted_lessons,
        f"lessons {LESSONS} was deleted",
        f"git restore --source=HEAD --staged --worktree {LESSONS}",
    ),
    "uncommitted": (_uncommitted, f"git     not committed: {LESSONS}", f"git add {LESSONS} && git commit"),
    "untracked": (_untracked, f"git     not committed: {LESSONS}", f"git add {LESSONS} && git commit"),
    "not pushed": (_not_pushed, "git     commits of feature/phase1 are not pushed", "git push origin feature/phase1"),
    "never pushed": (_never_pushed, "git     feature/phase1 is not on origin", "git push -u origin feature/phase1"),
    "behind": (_behind, "git     feature/phase1 is behind origin", "git pull --rebase origin feature/phase1"),
    "diverged": (_diverged, "git     feature/phase1 is behind origin", "git pull --rebase origin feature/phase1"),
    "merging": (_merging, "git     a merge is in progress", "git merge --continue"),
    "other branch": (_other_branch, "git     the phase's branch is feature/phase1, and", "git switch feature/phase1"),
    "no remote": (
        lambda place, _: place.git("remote", "remove", "origin"),
        "git     there is no remote origin",
        "git remote add NAME URL",
    ),
    "silent remote": (
        lambda place, _: place.remote.rename(place.remote.with_name("gone.git")),
        "git     the remote origin cannot be asked",
        "see: git remote -v",
    ),
}


@pytest.mark.parametrize("missing", MISSING)
def test_each_condition_can_fail(finished: Place, cli: Cli, missing: str) -> None:
    """Exit code 1, the condition and its repair, and nothing on standard output."""
    make, what, fix = MISSING[missing]
    make(finished, cli)

    ended = cli("phase", "finish", "phase1")

    assert (ended.code, ended.out) == (1, "")
    lines = ended.err.splitlines()
    told = [index for index, line in enumerate(lines) if line.startswith(what)]
    assert told, ended.err
    assert lines[told[0] + 1].startswith(f"  fix   {fix}")


def test_a_deletion_is_not_to_be_committed(finished: Place, cli: Cli) -> None:
    """It is taken back, and that is all that is missing."""
    _deleted_list(finished, cli)

    ended = cli("phase", "finish", "phase1")

    assert ended.err.splitlines()[2:] == ["phase1 is not finished: 1 thing is missing"]


def test_the_runs_that_are_missing_prove_all_when_they_are_done_in_their_order(place: Place, cli: Cli) -> None:
    """None of them undoes what another one has shown."""
    cli("phase", "start", "phase1")
    missing = [line for line in cli("phase", "finish", "phase1").err.splitlines() if " checklist complete" not in line]
    commands = [line.split(" thinkube-nornir ")[1].split() for line in missing if " thinkube-nornir " in line]
    for arguments in commands:
        cli(*arguments, *(["--yes"] if arguments[0] == "rollback" else []))

    ended = cli("phase", "finish", "phase1")

    assert "not proven" not in ended.err
    assert "not verified" not in ended.err
    assert "in step" not in ended.err


def test_what_a_sync_would_open_is_not_called_open(finished: Place, cli: Cli) -> None:
    """It stands as done in the list: the sync opens it, and the runs prove it anew; the heading needs nobody."""
    _rolled_back(finished, cli)

    ended = cli("phase", "finish", "phase1")

    assert ended.err.splitlines() == [
        "list    START_HERE.md is not in step with the journal: lines 7, 8, 9",
        "  fix   thinkube-nornir checklist sync",
        "verify  phase1 is not verified green on all of its hosts: phase1.base: run 6 rolled it back on tkc, tkw1,"
        " tkw2",
        "  fix   thinkube-nornir run phase1",
        "  then  thinkube-nornir checklist sync",
        "phase1 is not finished: 2 things are missing",
    ]


def test_an_unknown_phase_and_no_repository(place: Place, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is wrong: exit code 2."""
    unknown = cli("phase", "finish", "phase11")
    (place.folder / ".git").rename(place.folder / "no.git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(place.folder.parent))
    outside = cli("phase", "finish", "phase1")

    assert (unknown.code, outside.code) == (2, 2)
    assert "did you mean phase1?" in unknown.err
    assert "is in no repository that git can use" in outside.err
