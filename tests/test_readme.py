"""README tells the truth: its commands run, its list of components is whole, CI runs the same test command."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.git_places import forget_the_user, make_place, needs_git
from tests.project_copy import copied_project
from thinkube_nornir import catalog
from thinkube_nornir.cli import run_command_line

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
SET_UP = [line for block in BLOCKS for line in block.splitlines() if line.startswith("python3 -m venv")]
EXAMPLES = [
    line.partition("#")[0].strip()
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("python -m thinkube_nornir")
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In a repository of its own, as a clone is."""
    beside = tmp_path_factory.mktemp("beside")
    with copied_project(tmp_path_factory.mktemp("readme")) as folder, pytest.MonkeyPatch.context() as patched:
        forget_the_user(beside / "home", patched)
        make_place(folder, beside / "remote.git")
        yield folder


def test_two_commands_do_all_the_set_up() -> None:
    """One line each: the main job, and the tests."""
    assert len(SET_UP) == 2
    assert SET_UP[0].endswith("python -m thinkube_nornir run phase5")
    assert SET_UP[1].endswith("python -m pytest -n auto --dist loadfile")


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """CI finds the line by its form; this holds the form."""
    found = subprocess.run(
        ["grep", "-m1", "^python3 -m venv .*pytest", "README.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == SET_UP[1]
    assert "^python3 -m venv .*pytest" in (ROOT / ".ci" / "run").read_text()


def test_every_component_is_listed() -> None:
    """A component that README does not name is unknown to newcomers."""
    for entry in catalog.load(ROOT / "tasks").entries:
        assert f"`{entry.name}`" in README, entry.name
        assert f"`{entry.component.group}`" in README, entry.component.group


def test_every_link_leads_somewhere() -> None:
    """Local links of README and docs/ name files that exist."""
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


@needs_git
@pytest.mark.lab
def test_every_example_runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In README's order, on a lab of their own; each ends with the exit code that README gives it."""
    monkeypatch.chdir(project)

    codes = {example: run_command_line(shlex.split(example)[3:]) for example in EXAMPLES}

    assert codes == {
        **dict.fromkeys(EXAMPLES, 0),
        "python -m thinkube_nornir plan phase5": 3,  # changes are pending
        "python -m thinkube_nornir phase finish phase5": 1,  # the list's other tasks are a person's
        "python -m thinkube_nornir resume": 2,  # nothing was left unfinished
    }
    assert (project / "verify.xml").exists()


def test_the_package_runs_as_a_module() -> None:
    """`python -m thinkube_nornir`, as README writes it."""
    done = subprocess.run(
        [sys.executable, "-m", "thinkube_nornir", "--version"], cwd=ROOT, capture_output=True, check=True
    )

    assert done.stdout.strip()


@pytest.mark.lab
def test_a_first_run_ends_as_the_readme_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its tables and last lines to the last number; only how long it took differs from run to run."""
    [shown] = re.findall(r"```\n(host  changed.*?)```", README, re.DOTALL)

    with copied_project(tmp_path) as folder:
        code = run_command_line(["run", "phase5", "-c", str(folder / "config.yaml")])

    printed = capsys.readouterr().out.partition("\nhost  changed")[2]
    assert code == 0
    assert _form("host  changed" + printed) == _form(shown)


def _form(text: str) -> list[str]:
    """Lines without the duration and widths; the shown command has no -c."""
    lines = (
        line.partition(" -c ")[0].replace("thinkube-nornir", ".venv/bin/python -m thinkube_nornir")
        for line in text.splitlines()
    )
    return [re.sub(r" in \d+\.\d s ", " in 0 s ", " ".join(line.split())) for line in lines if line]
