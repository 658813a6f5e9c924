"""`phase start`: a branch, the list, a commit of the list alone, a push; or everything as it was, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.git_places import Place, forget_the_user, make_place, needs_git
from tests.small_project import CONFIG
from tests.thinkube_nornir.cli.conftest import Cli
from thinkube_nornir.phase.repository import Repository

pytestmark = needs_git

LIST = """\
# Start here

## Phase 2

- [ ] Create the branch <!-- phase2/branch -->
- [ ] Push it <!-- phase2/push -->
- [ ] Read <!-- phase2/read -->

## Phase 1

- [ ] Create the branch <!-- phase1/branch -->
"""

MARKED = LIST.replace("- [ ] Create the branch <!-- phase2", "- [x] Create the branch <!-- phase2")
PUSHED = MARKED.replace("- [ ] Push it", "- [x] Push it")


@pytest.fixture
def place(project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The small project with a list, in a repository of its own that is pushed."""
    beside = tmp_path_factory.mktemp("beside")
    forget_the_user(beside / "home", monkeypatch)
    (project / "START_HERE.md").write_text(LIST)
    return make_place(project, beside / "remote.git")


def test_a_phase_begins_with_its_branch(place: Place, cli: Cli) -> None:
    """Made from the current branch, the list marked and committed alone, pushed with its upstream."""
    ended = cli("phase", "start", "phase2")

    commit = place.git("rev-parse", "HEAD")
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines == [
        "branch  feature/phase2, made from main",
        "list    START_HERE.md: lines 5 and 6 are done",
        f"commit  {commit[:9]} [Project] Update task progress in START_HERE.md",
        "pushed  to origin",
        "next   thinkube-nornir checklist next --phase phase2",
    ]
    assert place.git("status", "--porcelain", "--branch") == "## feature/phase2...origin/feature/phase2"
    assert place.git("log", "--format=%s", "main..HEAD") == "[Project] Update task progress in START_HERE.md"
    assert place.git("diff", "--name-only", "main") == "START_HERE.md"
    assert (place.folder / "START_HERE.md").read_text() == PUSHED
    assert place.git("ls-remote", "origin", "refs/heads/feature/phase2").split()[0] == commit


def test_it_begins_at_another_branch(place: Place, cli: Cli) -> None:
    """--base: what stands there, and not what stands here; the branch follows its own remote branch, not the base's."""
    place.git("switch", "-q", "-c", "develop")
    place.commit("new.txt", "of develop")
    place.git("push", "-q", "-u", "origin", "develop")
    place.git("switch", "-q", "main")

    ended = cli("phase", "start", "phase2", "--base", "origin/develop")

    assert ended.lines[0] == "branch  feature/phase2, made from origin/develop"
    assert place.git("rev-parse", "HEAD~1") == place.git("rev-parse", "develop")
    assert place.git("rev-parse", "--abbrev-ref", "@{upstream}") == "origin/feature/phase2"
    cli("phase", "start", "phase1", "--base", "origin/develop", "--no-push")
    assert place.git("status", "--branch", "--porcelain") == "## feature/phase1"


def test_without_a_push(place: Place, cli: Cli) -> None:
    """No remote is asked or needed; the task of pushing stays open."""
    place.git("remote", "remove", "origin")

    ended = cli("phase", "start", "phase2", "--no-push")

    assert ended.code == 0
    assert "pushed  no: git push -u origin HEAD does it" in ended.lines
    assert (place.folder / "START_HERE.md").read_text() == MARKED
    assert place.git("status", "--porcelain", "--branch") == "## feature/phase2"


def test_another_remote(place: Place, cli: Cli) -> None:
    """--remote names it."""
    place.git("remote", "rename", "origin", "home")

    assert cli("phase", "start", "phase2").code == 2
    assert cli("phase", "start", "phase2", "--remote", "home").code == 0
    assert place.git("rev-parse", "--abbrev-ref", "@{upstream}") == "home/feature/phase2"


def test_a_list_that_is_marked_already_or_is_not_there(place: Place, cli: Cli) -> None:
    """There is nothing to commit, and that is said; the branch is made and pushed."""
    place.commit("START_HERE.md", PUSHED)
    marked = cli("phase", "start", "phase2")
    place.git("switch", "-q", "main")
    place.git("rm", "-q", "START_HERE.md")
    place.git("commit", "-q", "-m", "no list")
    gone = cli("phase", "start", "phase1")

    assert marked.lines[1] == "list    nothing to mark: START_HERE.md has no open task phase2/branch"
    assert gone.lines[1] == "list    nothing to mark: START_HERE.md has no open task phase1/branch"
    assert (marked.code, gone.code) == (0, 0)
    assert place.git("rev-parse", "feature/phase2", "feature/phase1^0").split()[1] == place.git("rev-parse", "main")


def test_files_that_git_does_not_know_are_no_obstacle(place: Place, cli: Cli) -> None:
    """And they do not get into the commit, like nothing else that is there."""
    place.write("notes.txt", "mine")

    place.hook("post-checkout", "echo x > staged.txt; git add staged.txt")

    assert cli("phase", "start", "phase2").code == 0
    assert place.git("status", "--porcelain") == "A  staged.txt\n?? notes.txt"
    assert place.git("diff", "--name-only", "main", "HEAD") == "START_HERE.md"


def _dirty(place: Place) -> None:
    place.write("config.yaml", f"{CONFIG}# changed\n")
    place.git("mv", "templates/base/base.conf.j2", "templates/base/other.j2")


def _merging(place: Place) -> None:
    for branch, text in (("one", "1"), ("two", "2")):
        place.git("switch", "-q", "-c", branch, "main")
        place.commit("same.txt", text)
    place.git("merge", "-q", "-s", "ours", "--no-commit", "one")


def _rebasing(place: Place) -> None:
    place.git("switch", "-q", "-c", "side")
    place.commit("side.txt", "1")
    place.git("-c", "sequence.editor=sed -i 1s/pick/edit/", "rebase", "-q", "-i", "main")


def _no_identity(place: Place) -> None:
    place.git("config", "--unset", "user.name")
    place.git("config", "--unset", "user.email")
    place.git("config", "user.useConfigOnly", "true")


def _on_remote(place: Place) -> None:
    place.git("push", "-q", "origin", "main:refs/heads/feature/phase2")


OBSTACLES: dict[str, tuple[Callable[[Place], object], str]] = {
    "dirty": (
        _dirty,
        "files differ from the last commit: config.yaml, templates/base/other.j2, templates/base/base.conf.j2"
        " (commit them, or lay them aside: git stash)",
    ),
    "detached": (
        lambda place: place.git("checkout", "-q", "--detach"),
        "HEAD is detached: no branch is checked out (git switch main)",
    ),
    "merge": (_merging, "a merge is in progress (end it: git merge --continue, or --abort)"),
    "rebase": (_rebasing, "a rebase is in progress (end it: git rebase --continue, or --abort)"),
    "exists": (
        lambda place: place.git("branch", "feature/phase2"),
        "branch feature/phase2 is there already (go on with it: git switch feature/phase2)",
    ),
    "on the remote": (
        _on_remote,
        "branch feature/phase2 is on origin already (go on with it: git fetch origin && git switch feature/phase2)",
    ),
    "no name": (_no_identity, "git does not know who commits:"),
    "no remote": (
        lambda place: place.git("remote", "rename", "origin", "orgin"),
        "there is no remote origin (did you mean orgin?; --remote names another, --no-push needs none)",
    ),
    "no remote at all": (
        lambda place: place.git("remote", "remove", "origin"),
        "there is no remote origin (add it: git remote add NAME URL; --remote names another, --no-push needs none)",
    ),
    "silent remote": (
        lambda place: place.remote.rename(place.remote.with_name("gone.git")),
        "the remote origin cannot be asked:",
    ),
    "in the way": (
        lambda place: place.git("branch", "feature"),
        "branch feature/phase2 cannot be made: ",
    ),
}


@pytest.mark.parametrize("blocked_reason", OBSTACLES)
def test_what_is_in_the_way_is_told_before_anything_is_done(place: Place, cli: Cli, blocked_reason: str) -> None:
    """Exit code 2, and not one file, branch or setting is another one than before."""
    make, told = OBSTACLES[blocked_reason]
    make(place)
    gone = place.remote.with_name("gone.git")
    place = Place(place.folder, gone if gone.exists() else place.remote)
    before = place.state

    ended = cli("phase", "start", "phase2")

    assert ended.code == 2
    assert told in ended.err
    assert ended.out == ""
    assert place.state == before


def test_on_the_branch_there_is_nothing_to_begin(place: Place, cli: Cli) -> None:
    """That is all that is said: neither to switch to it, nor that it is on the remote."""
    cli("phase", "start", "phase2")

    ended = cli("phase", "start", "phase2")

    assert (ended.code, ended.err.splitlines()) == (
        2,
        ["error: phase start: you are on feature/phase2 already (see what is next: checklist next --phase phase2)"],
    )


def test_everything_in_the_way_is_told_at_once(place: Place, cli: Cli) -> None:
    """Not one after the other, each after another attempt."""
    for blocked_reason in ("dirty", "exists", "no name", "no remote"):
        OBSTACLES[blocked_reason][0](place)

    assert len(cli("phase", "start", "phase2", "--base", "mian").err.splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("phase22",), "phase start: no phase is called 'phase22' (did you mean phase2?)"),
        (("phase2", "--base", "mian"), "there is no branch or commit mian to begin at (did you mean main?)"),
        (("phase2", "--base=--help"), "there is no branch or commit --help to begin at"),
    ],
)
def test_names_that_are_none(place: Place, cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    """The nearest one is named; a name is never taken for an option of git."""
    before = place.state

    ended = cli("phase", "start", *arguments)

    assert ended.code == 2
    assert told in ended.err
    assert place.state == before


def _refusing_commits(place: Place) -> None:
    place.hook("pre-commit", "echo x >> config.yaml; git checkout -q config.yaml; echo 'no commits today' >&2; exit 1")


def _refusing_pushes(place: Place) -> None:
    place.hook("pre-push", "echo 'no pushes today' >&2; exit 1")


def _refusing_remote(place: Place) -> None:
    place.hook("pre-receive", "echo 'protected' >&2; exit 1", place.remote)


@pytest.mark.parametrize(
    ("refuse", "told"),
    [
        (_refusing_commits, "git commit failed: no commits today"),
        (_refusing_pushes, "git push failed: no pushes today"),
        (_refusing_remote, "protected"),
    ],
)
def test_a_refusal_leaves_everything_as_it_was(
    place: Place, cli: Cli, refuse: Callable[[Place], None], told: str
) -> None:
    """Of the hook of a commit, of a push, or of the remote: no branch, the former one checked out, the list open."""
    refuse(place)
    place.write("notes.txt", "mine")
    before = place.state

    ended = cli("phase", "start", "phase2")

    assert ended.code == 2
    assert told in ended.err
    assert place.state == before
    for hook in (place.folder / ".git" / "hooks", place.remote / "hooks"):
        for path in hook.glob("pre-*"):
            path.unlink()
    assert cli("phase", "start", "phase2").code == 0


def test_ctrl_c_leaves_everything_as_it_was(place: Place, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it pushes, which takes longest."""
    before = place.state

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Repository, "push", interrupted)

    assert cli("phase", "start", "phase2").code == 130
    assert place.state == before


def test_a_hook_that_fails_after_the_switch_is_no_refusal(place: Place, cli: Cli) -> None:
    """Git tells its status, though the branch is there."""
    place.hook("post-checkout", "exit 1")

    assert cli("phase", "start", "phase2").code == 0


def test_what_a_person_wrote_meanwhile_is_kept(place: Place, cli: Cli) -> None:
    """A list that was edited while a commit or a push was refused is not set back; what is left is told."""
    place.hook("pre-commit", "echo '- [ ] mine' >> START_HERE.md; exit 1")
    ended = cli("phase", "start", "phase2")

    assert ended.code == 2
    assert (place.folder / "START_HERE.md").read_text() == f"{PUSHED}- [ ] mine\n"
    assert "START_HERE.md is still marked: somebody edited it meanwhile (open it: checklist pending" in ended.err
    assert place.git("branch", "--format=%(refname:short)") == "main"

    (place.folder / ".git" / "hooks" / "pre-commit").unlink()
    place.git("checkout", "-q", "START_HERE.md")
    place.hook("pre-push", "echo '- [ ] mine' >> START_HERE.md; exit 1")
    ended = cli("phase", "start", "phase2")

    assert ended.code == 2
    assert "- [ ] mine" in (place.folder / "START_HERE.md").read_text()
    assert "branch feature/phase2 is still there:" in ended.err
    assert "git switch main && git branch -D feature/phase2" in ended.err


def test_outside_of_a_repository(project: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """No repository, one without a commit, one without files, no git at all: each has its own words."""
    forget_the_user(tmp_path / "home", monkeypatch)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    none = cli("phase", "start", "phase2")
    place = Place(project, project)
    place.git("init", "-q")
    empty = cli("phase", "start", "phase2")
    monkeypatch.setenv("GIT_DIR", str(project / ".git"))
    place.git("config", "core.bare", "true")
    bare = cli("phase", "start", "phase2")
    monkeypatch.setenv("PATH", str(project))
    missing = cli("phase", "start", "phase2")

    assert [ended.code for ended in (none, empty, bare, missing)] == [2] * 4
    assert "is in no repository that git can use" in none.err
    assert "(begin one: git init)" in none.err
    assert "the repository has no commit yet (commit what there is: git add -A && git commit)" in empty.err
    assert "is in a repository without files" in bare.err
    assert "error: git: git is not installed (install it: sudo apt install git)" in missing.err
