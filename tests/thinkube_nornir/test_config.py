"""config.yaml to Config."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from thinkube_nornir.config import Config, LoggingSettings, SSHSettings, Timeouts
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.settings.config_file import load_config


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks").mkdir()
    return tmp_path


def load(text: str) -> Config:
    Path("config.yaml").write_text(text)
    return load_config(Path("config.yaml"))


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("text", ["", "# nothing\n", "ssh:\n# key_file: x\ntimeouts:\n"])
def test_every_key_but_the_target_may_be_left_out(folder: Path, text: str) -> None:
    """A key that is not there, and a section whose lines are all commented out, mean the defaults."""
    config = load(f"target: lab\n{text}")

    assert config == Config(
        root=folder,
        target="lab",
        tasks=folder / "tasks",
        templates=folder / "templates",
        inventory=folder / "inventory",
        state=folder / ".thinkube",
        host_file=folder / "inventory/hosts.yaml",
        group_file=folder / "inventory/groups.yaml",
        defaults_file=folder / "inventory/defaults.yaml",
        ssh=SSHSettings(known_hosts=folder / ".thinkube/known_hosts"),
        logging=LoggingSettings(log_file=folder / ".thinkube/thinkube.log"),
    )


def test_values_are_taken_and_paths_start_at_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are absolute whatever the current folder is, and `~` is the operator's home."""
    monkeypatch.setenv("HOME", str(folder / "home"))
    Path("keys").touch()
    text = "target: ssh\nstate: ../state\nworkers: 3\ntimeouts: {connect: 2}\nssh: {key_file: keys}\n"
    config = load(text + "secrets: {file: ~/.env, commands: {TOKEN: [pass, show]}}\n")

    assert config.state == folder.parent / "state"
    assert config.ssh.known_hosts == folder.parent / "state/known_hosts"
    assert (config.workers, config.timeouts) == (3, Timeouts(connect=2.0))
    assert config.ssh.key_file == folder / "keys"
    assert config.secrets.file == folder / "home/.env"
    assert config.secrets.commands == {"TOKEN": ("pass", "show")}


def test_all_mistakes_are_reported_at_once_with_their_lines() -> None:
    """Unknown names come with the nearest, wrong values with what they should be; nothing stops at the first."""
    text = """\
target: labb
workers: 0
concurrency: {join: -1}
timeots: {}
timeouts:
  connect: soon
  comand: 5
  step: .inf
ssh: {key_file: /nowhere/key}
workers: 3
runner: {plugin: threaded}
secrets: {commands: {A: []}}
templates: nowhere
inventory: {plugin: SimpleInventory, options: {host_fil: x}}
"""
    reported = problems(text)

    for expected in [
        "config.yaml:10: workers stands here twice, first in line 2 (remove one of them)",
        "config.yaml:1: target: should be 'lab', 'full-lab' or 'ssh', not 'labb'",
        "config.yaml:3: concurrency.join: should be greater than or equal to 1, not -1",
        "config.yaml:4: timeots is not a known name (did you mean timeouts?)",
        "config.yaml:6: timeouts.connect: should be a valid number, not 'soon'",
        "config.yaml:7: timeouts.comand is not a known name (did you mean command?)",
        "config.yaml:8: timeouts.step: should be a finite number, not Infinity",
        "config.yaml:11: runner is not a known name "
        "(the plan has a runner of its own; `workers` says how many steps run at once)",
        "config.yaml:9: ssh.key_file: there is no /nowhere/key",
        "config.yaml:13: templates: there is no folder nowhere",
        "config.yaml:14: inventory.options.host_fil is not a known name (did you mean host_file?)",
    ]:
        assert expected in reported
    assert any(problem.startswith("config.yaml:2: workers: should be greater than") for problem in reported)
    assert any(problem.startswith("config.yaml:12: secrets.commands.A:") for problem in reported)
    assert len(reported) == 13


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n", "config.yaml:1: the file: should be a mapping"),
        ("ssh: yes\n", "config.yaml:1: ssh: should be a mapping, not 'yes'"),
        ('workers: "5"\n', "config.yaml:1: workers: should be a valid integer, not '5'"),
        ("workers: true\n", "config.yaml:1: workers: should be a valid integer, not true"),
        ("tasks: 5\n", "config.yaml:1: tasks: should be a valid string, not 5"),
        ("target: [\n", "config.yaml:2: not valid YAML: did not find expected node content"),
    ],
)
def test_a_wrong_type_is_named(text: str, expected: str) -> None:
    """A value of another type is refused and not bent into shape."""
    assert expected in "\n".join(problems(text))


def test_the_tasks_folder_must_be_there(folder: Path) -> None:
    """Without tasks there is nothing to run, so its absence is reported even where the key is left out."""
    (folder / "tasks").rmdir()

    assert problems("target: lab\n") == [
        f"config.yaml:1: tasks: there is no folder tasks (paths start at the folder of config.yaml, {folder})"
    ]


def test_a_missing_file_is_named_as_typed() -> None:
    """The path in the message is the one the operator typed."""
    with pytest.raises(ConfigError) as caught:
        load_config(Path("../elsewhere/config.yaml"))

    assert "../elsewhere/config.yaml: cannot be read: No such file or directory" in str(caught.value)


def test_importing_config_does_not_import_pydantic_or_yaml() -> None:
    """`--help` reads no file, so it does not pay for what reads files."""
    code = "import thinkube_nornir.config, sys; print({'pydantic', 'yaml'} & set(sys.modules))"
    root = Path(__file__).parents[2]

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout == "set()\n"


def test_many_mistakes_of_one_file_are_counted(folder: Path) -> None:
    """A file that is another one altogether is not explained line by line."""
    reported = problems("".join(f"k{number}: 1\n" for number in range(500)) + "target: ssh\n")

    assert len(reported) == 101
    assert reported[-1] == "config.yaml:1: 400 mistakes more (is this the right file?)"


def test_of_what_an_unreadable_file_names_nothing_is_said(folder: Path) -> None:
    """Its inventory may stand elsewhere: no setting is missing because config.yaml cannot be read."""
    from thinkube_nornir.settings.inventory import load_installation

    Path("config.yaml").write_text("target: ssh\ninventory: {options: {host_file: other.yaml}\n")

    with pytest.raises(ConfigError) as caught:
        load_installation(Path("config.yaml"), lambda _: None)

    assert [problem.where for problem in caught.value.problems] == ["config.yaml:3"]
