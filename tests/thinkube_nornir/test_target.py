"""Targets: real hosts need nothing of the lab, which only one interface knows and which is said when it is missing."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from tests import light_lab
from tests.small_project import CONFIG, write_project
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.lab.client import ensure_lab, lab_down
from thinkube_nornir.settings.config_file import load_config, read_config
from thinkube_nornir.target import KINDS, find_target, kind_of

ROOT = Path(__file__).parents[2]

WITHOUT = """
import sys

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {packages!r} or name.startswith("thinkube_nornir.lab"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refusal())
sys.argv[0] = "thinkube-nornir"
from thinkube_nornir.__main__ import main
main()
""".format(packages=KINDS["lab"].packages)

SPEAKING = {
    "tasks/__init__.py": "names the module that says what the full lab has",
    "thinkube_nornir/target.py": "names every target",
    "thinkube_nornir/cli/lab.py": "its own verbs",
    "thinkube_nornir/cli/group.py": "the name of these verbs",
    "thinkube_nornir/config.py": "its section of config.yaml",
    "thinkube_nornir/settings/config_file.py": "its section of config.yaml",
    "tasks/shared/settings/lab.py": "settings of its hosts",
}
"""Files that may speak of the lab, and why."""

READS = """
from nornir.core.task import Result, Task

from thinkube_nornir.component import Component, chain
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.remote import run


def it_answers(task: Task) -> Result:
    return unchanged(task, f"called {run(task, 'hostname').stdout.decode().strip()}")


COMPONENT = Component(title="Names", number=10, group="vms", setup=chain(), verify=chain(it_answers), rollback=chain())
"""


def without_the_lab(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program where neither the lab nor what it needs can be imported."""
    command = [sys.executable, "-c", WITHOUT, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_only_the_interface_speaks_of_the_lab() -> None:
    """Everything else means any target whose hosts are disposable; an exception that is none any more is taken out."""
    spoken = re.compile(r"(?<![A-Za-z])[Ll]abs?(?![a-z])")
    sources = [path for folder in ("thinkube_nornir", "tasks") for path in (ROOT / folder).rglob("*.*")]
    names = {
        str(path.relative_to(ROOT))
        for path in sources
        if path.suffix in (".py", ".j2") and spoken.search(path.read_text())
    }
    own = ("thinkube_nornir/lab/", "thinkube_nornir/full_lab/", "tasks/lab/", "tasks/full_lab.py")

    assert {name for name in names if not name.startswith(own)} == SPEAKING.keys()


def test_what_the_lab_needs_is_an_extra() -> None:
    """What the error asks to install is what the extra brings, and no requirement of the product."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {re.split("[>=]", requirement)[0] for requirement in project["optional-dependencies"]["lab"]}

    assert extra == set(KINDS["lab"].packages)
    assert not any(requirement.startswith(KINDS["lab"].packages) for requirement in project["dependencies"])


@pytest.mark.parametrize("arguments", [("plan", "all"), ("lab", "up"), ("lab", "status")], ids=" ".join)
def test_a_target_that_is_not_installed_is_said(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """With the command that installs it, and the other choice."""
    write_project(tmp_path).write_text(CONFIG.replace("ssh", "lab"))

    done = without_the_lab(tmp_path, *arguments)

    assert done.returncode == 2, done
    assert done.stderr == (
        "error: target: lab is not installed: Python has no package aiohttp and no asyncssh "
        f"(`{sys.executable} -m pip install -e '{ROOT}[lab]'`, or `target: ssh` for real hosts)\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("--help",), 0, "  lab        The inventory's hosts on this machine, to try things on."),
        (("list",), 0, "phase1.base   cluster  The base that everything needs"),
        (("plan", "phase1"), 3, "  install: install on tkc  on tkc"),
        (("run", "phase1"), 0, "next   thinkube-nornir run phase2"),
        (("history", "--target", "lab"), 0, "no run is like that"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_real_hosts_need_nothing_of_the_lab(tmp_path: Path, arguments: tuple[str, ...], code: int, line: str) -> None:
    """Every verb works where it cannot be imported."""
    write_project(tmp_path)

    done = without_the_lab(tmp_path, *arguments)

    assert (done.returncode, done.stderr) == (code, "")
    assert line in done.stdout.splitlines()


@pytest.mark.lab
def test_a_connection_needs_nothing_of_the_lab(tmp_path: Path) -> None:
    """Hosts behind real SSH are verified by a program that cannot import it."""
    config = light_lab.project(tmp_path / "lab")
    info = ensure_lab(config, light_lab.inventory(), print)
    try:
        write_project(tmp_path)
        login = f"{{key_file: {info.key_file}, known_hosts: {info.known_hosts}, agent: false}}"
        (tmp_path / "config.yaml").write_text(f"{CONFIG}ssh: {login}\n")
        (tmp_path / "steps/phase1_base/base.py").write_text(READS)
        (tmp_path / "steps/phase2_more/extra.py").unlink()
        at = info.hosts["tkc"]
        where = f"{{hostname: {at.address}, port: {at.port}, username: {at.user}, groups: [vms]}}"
        (tmp_path / "inventory/hosts.yaml").write_text(f"tkc: {where}\n")
        (tmp_path / "inventory/groups.yaml").write_text("vms: {}\n")

        done = without_the_lab(tmp_path, "verify", "phase1", "-v")
    finally:
        lab_down(config)

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "called tkc.example.org" in done.stdout


def test_runs_on_a_target_that_this_version_does_not_know_are_listed(tmp_path: Path) -> None:
    """A newer version may have written the journal; what it did proves nothing of real hosts."""
    write_project(tmp_path)
    without_the_lab(tmp_path, "run", "phase1")
    with closing(sqlite3.connect(tmp_path / ".thinkube/journal.sqlite", isolation_level=None)) as journal:
        journal.execute("UPDATE runs SET scope = 'moon 7'")

    listed, shown = without_the_lab(tmp_path, "history"), without_the_lab(tmp_path, "show", "1")

    assert (listed.returncode, shown.returncode) == (0, 0), listed.stderr + shown.stderr
    assert "target   moon: unknown to this version" in shown.stdout
    assert kind_of("moon 7").disposable


@pytest.mark.parametrize("text", ["tasks: steps\n", "tasks: steps\ntarget:\n", "{}\n", ""])
def test_a_target_is_chosen(tmp_path: Path, text: str) -> None:
    """A config.yaml without one is refused, with all choices and what they mean."""
    path = write_project(tmp_path)
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load_config(path)

    [problem] = [str(problem) for problem in caught.value.problems if "target is" in str(problem)]
    assert problem == (
        f"{path}:1: target is missing: nothing says which hosts these are (set `target: ssh` for the inventory's real "
        "hosts or `target: lab` for hosts like them, stood up on this machine in a second and thrown away again or "
        "`target: full-lab` for Ubuntu machines like them, in containers on this machine, which takes minutes and root)"
    )


@pytest.mark.parametrize("name", KINDS)
def test_every_target_can_be_chosen(tmp_path: Path, name: str) -> None:
    """config.yaml takes its name, and the program finds it."""
    path = write_project(tmp_path)
    path.write_text(CONFIG.replace("ssh", name))

    config, problems = read_config(path)

    assert problems == []
    assert find_target(config.target).scope(config) == name
