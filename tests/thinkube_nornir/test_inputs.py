"""What a run was given is kept with it: settings, files, commit; once, however often it is run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.small_project import write_project
from thinkube_nornir.config import Config
from thinkube_nornir.database import Database
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.inputs import Inputs, as_text, collect, collecting, settings_of
from thinkube_nornir.journal import Journal, Run
from thinkube_nornir.project import load_hosts
from thinkube_nornir.secret import Secret

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A small project of its own, and git that knows nothing of this machine's user."""
    for name, value in (("HOME", str(tmp_path)), ("GIT_CONFIG_NOSYSTEM", "1"), ("XDG_CONFIG_HOME", str(tmp_path))):
        monkeypatch.setenv(name, value)
    for variable in [name for name in os.environ if name.startswith("GIT_") and name != "GIT_CONFIG_NOSYSTEM"]:
        monkeypatch.delenv(variable)
    folder = tmp_path / "project"
    folder.mkdir()
    return load_hosts(write_project(folder))[0]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Database(tmp_path / "journal.sqlite")) as database:
        yield Journal(database, "ssh")


def _collect(config: Config) -> Inputs:
    file = config.root / "config.yaml"
    return collect(config, file, settings_of(load_hosts(file)[1]))


def _run(journal: Journal, inputs: Inputs) -> Run:
    number = journal.start_run("run", ("phase1",), "")
    journal.keep_inputs(number, inputs)
    found = journal.run(number)
    assert found is not None
    return found


def _git(config: Config, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", *identity, *arguments], cwd=config.root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_run_keeps_what_it_was_given(config: Config, journal: Journal) -> None:
    """Settings as they resolve for each host, and a digest of each file that decides what a run does."""
    (config.tasks / "__pycache__").mkdir()
    for name in ("__pycache__/base.pyc", ".base.py.swp"):
        (config.tasks / name).write_text("")

    run = _run(journal, _collect(config))

    kept = journal.inputs(run)
    found = {"hostname": "127.0.0.2", "role": "worker", "channel": "1.35/stable", "domain": "example.org"}
    assert kept.settings["tkw1"] == found
    assert set(kept.files) == {
        "config.yaml",
        *(f"inventory/{name}.yaml" for name in ("hosts", "groups", "defaults")),
        "steps/__init__.py",
        *(f"steps/{name}.py" for name in ("phase1_base/__init__", "phase1_base/base")),
        *(f"steps/{name}.py" for name in ("phase2_more/__init__", "phase2_more/extra")),
        "templates/base/base.conf.j2",
    }


def test_the_same_again_costs_a_row(config: Config, journal: Journal) -> None:
    """Contents are stored once; a change of one file stores that list anew, and not the settings."""
    first, second = _run(journal, _collect(config)), _run(journal, _collect(config))
    (config.templates / "base" / "base.conf.j2").write_text("other\n")
    third = _run(journal, _collect(config))

    assert (first.settings, first.files) == (second.settings, second.files)
    assert third.settings == second.settings
    assert third.files != second.files
    assert len(journal._db.query("SELECT 1 FROM contents")) == 3


def test_secrets_in_settings_are_masked() -> None:
    """Settings hold none; one that a person put there all the same is not copied into the journal."""
    secret = Secret('tell "nobody"')

    text = as_text({"h1": {"note": f"it is {secret.reveal()}", "list": [secret.reveal()], "own": secret}})

    assert secret.reveal() not in text
    assert "nobody" not in text


@needs_git
def test_the_commit_is_known_and_whether_files_differ_from_it(config: Config) -> None:
    """Files that decide nothing, and what Python compiles, are no difference."""
    _git(config, "init", "-q")
    before = _collect(config)
    _git(config, "add", "-A")
    _git(config, "commit", "-q", "-m", "first")
    head = _git(config, "rev-parse", "HEAD")
    (config.root / "notes.md").write_text("not an input")
    (config.tasks / "__pycache__").mkdir()
    (config.tasks / "__pycache__" / "x.pyc").write_text("")
    same = _collect(config)
    (config.tasks / "new.py").write_text("")
    other = _collect(config)

    assert (before.revision, before.modified) == ("", None)
    assert (same.revision, same.modified) == (head, False)
    assert (other.revision, other.modified) == (head, True)


def test_without_git_nothing_is_said_of_a_commit(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither no program nor no repository is an error."""
    no_repository = _collect(config)
    monkeypatch.setenv("PATH", str(config.root))
    no_program = _collect(config)

    assert (no_repository.revision, no_repository.modified) == ("", None)
    assert (no_program.revision, no_program.modified) == ("", None)
    assert no_program.files == no_repository.files


def test_a_run_goes_on_when_its_inputs_cannot_be_kept(config: Config) -> None:
    """They are for lessons; the log says that they are missing."""

    def keep(inputs: Inputs) -> None:
        raise ThinkubeError("the journal is full")

    with collecting(config, config.root / "config.yaml", {}, keep):
        done = True

    assert done


def test_ctrl_c_is_left_to_the_main_thread(config: Config) -> None:
    """The thread that collects starts git, and would take the signal while the main thread sleeps, which answers it."""
    before, seen = _blocked(), list[set[signal.Signals]]()
    assert signal.SIGINT not in before

    with collecting(config, config.root / "config.yaml", {}, lambda _: seen.append(_blocked())):
        assert _blocked() == before

    assert seen == [before | {signal.SIGINT, signal.SIGTERM}]


def _blocked() -> set[signal.Signals]:
    return {signal.Signals(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())}
