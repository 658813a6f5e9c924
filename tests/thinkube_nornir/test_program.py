"""The commands that are printed are those that can be typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.small_project import write_project
from thinkube_nornir import program
from thinkube_nornir.cli import VERBS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("typed", "arguments", "expected"),
    [
        (["python", "-m", "thinkube_nornir"], ["run", "all"], "python -m thinkube_nornir"),
        ([".venv/bin/python", "-m", "thinkube_nornir"], [], ".venv/bin/python -m thinkube_nornir"),
        (["python3", "-X", "dev", "-mthinkube_nornir"], ["list"], "python3 -X dev -mthinkube_nornir"),
        (["/my tools/python", "-m", "thinkube_nornir"], ["list"], "'/my tools/python' -m thinkube_nornir"),
    ],
)
def test_python_is_called_as_it_was(
    monkeypatch: pytest.MonkeyPatch, typed: list[str], arguments: list[str], expected: str
) -> None:
    """Interpreter, its options and -m, as they were typed."""
    monkeypatch.setattr("sys.argv", ["/x/thinkube_nornir/__main__.py", *arguments])
    monkeypatch.setattr("sys.orig_argv", [*typed, *arguments])

    assert program.program() == expected


@pytest.mark.parametrize(("folder", "expected"), [("on-path", "thinkube-nornir"), ("elsewhere", "{0}/thinkube-nornir")])
def test_a_script_is_called_as_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, expected: str
) -> None:
    """By its plain name when PATH finds it by that, else by its path; nobody typed the shebang's interpreter."""
    for name in ("on-path", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thinkube-nornir").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "on-path"))
    called = str(tmp_path / folder / "thinkube-nornir")
    monkeypatch.setattr("sys.argv", [called, "run"])
    monkeypatch.setattr("sys.orig_argv", ["/usr/bin/python3", called, "run"])

    assert program.program() == expected.format(tmp_path / folder)


def test_another_program_that_runs_us_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest, or a script with our engine as a library: the console script's name is a good guess."""
    monkeypatch.setattr("sys.argv", ["/x/pytest", "-q"])
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "pytest", "-q"])

    assert program.program() == "thinkube-nornir"


def test_commands_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments are quoted, and the -c of this call is kept."""
    monkeypatch.setattr("sys.argv", ["thinkube-nornir"])
    monkeypatch.setattr(program, "_config", Path("my conf.yaml"))

    assert program.command("run", "all", "-l", "a,!b") == "thinkube-nornir run all -l 'a,!b' -c 'my conf.yaml'"


@pytest.mark.slow
def test_what_is_printed_is_what_was_typed(tmp_path: Path) -> None:
    """For real: with a relative Python of an environment of its own, and with a script on PATH."""
    venv.create(tmp_path / ".venv", symlinks=True)
    script = tmp_path / "bin" / "thinkube-nornir"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom thinkube_nornir.__main__ import main\nmain()\n")
    script.chmod(0o755)
    modules = os.pathsep.join([str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))])
    env = {"PATH": f"{script.parent}:{os.environ['PATH']}", "PYTHONPATH": modules}

    for typed in (".venv/bin/python -m thinkube_nornir", "thinkube-nornir", "bin/thinkube-nornir"):
        usage = subprocess.run([*typed.split(), "run"], cwd=tmp_path, env=env, capture_output=True, text=True)
        helped = subprocess.run([*typed.split(), "-h"], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert usage.returncode == 2, usage.stderr
        assert helped.stdout.startswith(f"Usage: {typed} "), helped


@pytest.mark.parametrize("lacking", ["click", "yaml"])
def test_a_missing_package_is_named_with_the_way_to_get_it(tmp_path: Path, lacking: str) -> None:
    """Whether it is needed to print at all, or only where hosts are spoken to: 2, one line, no traceback."""
    write_project(tmp_path)
    hidden = f"import sys; sys.modules[{lacking!r}] = None; sys.argv = ['thinkube-nornir', 'verify', 'all']"
    main = "import runpy; runpy.run_module('thinkube_nornir', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", f"{hidden}; {main}"], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 2, done
    assert done.stderr == (f"error: Python has no package {lacking} (`{sys.executable} -m pip install -e {ROOT}`)\n")


def test_a_module_of_our_own_that_is_missing_is_a_fault() -> None:
    """No pip installs it."""
    assert program.missing(ModuleNotFoundError("x", name="thinkube_nornir.x")) == ""


def test_no_command_has_a_fixed_name() -> None:
    """Whoever words an error asks how the program was called; a name in a string is right for some only."""
    fixed = re.compile(rf"(thinkube-nornir|-m thinkube_nornir) ({'|'.join(VERBS)})\b")
    sources = [path for folder in ("thinkube_nornir", "tasks") for path in (ROOT / folder).rglob("*.py")]

    assert [path.name for path in sources if fixed.search(path.read_text())] == []


def test_who_has_no_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """In many containers nobody gave the user's number a name; a lock says whose it is all the same."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)

    assert program.user_name() == "uid54321"
