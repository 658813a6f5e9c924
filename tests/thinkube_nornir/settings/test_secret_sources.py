"""Where secrets come from."""

from __future__ import annotations

import os
import select
from dataclasses import replace
from pathlib import Path

import pytest

from thinkube_nornir.config import Config, SecretSources, Timeouts
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.secret import Secret
from thinkube_nornir.settings.secret_sources import load_secrets


def config(folder: Path, file: str = "", **commands: tuple[str, ...]) -> Config:
    env = folder / ".env"
    if file:
        env.write_text(file)
        env.chmod(0o600)
    sources = SecretSources(env, commands)
    return Config(folder, "lab", folder, folder, folder, folder, secrets=sources, timeouts=Timeouts(command=0.3))


def problems(config: Config, *names: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_secrets(config, names)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_environment_comes_first_then_the_file_then_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest source wins; an empty value is none."""
    monkeypatch.setenv("A", "from environment")
    monkeypatch.setenv("B", "")
    sources = config(tmp_path, "A=no\nB='from file'\n", A=("no",), B=("no",), C=("printf", "from command\nmore"))

    assert load_secrets(sources, ["A", "B", "C"]) == {
        "A": Secret("from environment"),
        "B": Secret("from file"),
        "C": Secret("from command"),
    }


def test_nothing_is_read_that_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With everything in the environment, the state of the file and the commands is of no interest."""
    monkeypatch.setenv("A", "from environment")
    sources = config(tmp_path, "broken", A=("/no/such/program",))

    assert load_secrets(sources, ["A"]) == {"A": Secret("from environment")}


def test_missing_secrets_are_reported_all_at_once(tmp_path: Path) -> None:
    """Every missing name is reported, with where it could be set."""
    assert problems(config(tmp_path), "NOWHERE_A", "NOWHERE_B") == [
        "secret NOWHERE_A: is needed and not set (set it in the environment, or in .env)",
        "secret NOWHERE_B: is needed and not set (set it in the environment, or in .env)",
    ]


def test_an_optional_secret_may_be_missing(tmp_path: Path) -> None:
    """Optional ones come when they are there."""
    sources = config(tmp_path, "HERE=hidden1\n")

    assert load_secrets(sources, [], optional=["HERE", "NOWHERE"]) == {"HERE": Secret("hidden1")}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The message gives the command that repairs it, and not a value."""
    sources = config(tmp_path, "A=hidden1\n")
    (tmp_path / ".env").chmod(mode)

    assert problems(sources, "A") == [f".env: holds secrets and has mode {mode:04o} (chmod 600 .env)"]


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns the file can change what we send as a password."""
    sources = config(tmp_path, "A=hidden1\n")
    monkeypatch.setattr(os, "geteuid", lambda: 4242)

    assert problems(sources, "A") == [".env: belongs to another user, who could change it (chown 4242 .env)"]


def test_a_line_that_cannot_be_read_is_reported_by_number_only(tmp_path: Path) -> None:
    """The line itself may be a secret."""
    (reported,) = problems(config(tmp_path, "B=1\nA=hidden secret\n"), "A")

    assert reported == ".env:2: the value of A is not one plain or quoted word; put it in single quotes"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("/no/such/program",), "secret A: /no/such/program cannot be started: No such file or directory"),
        (("sh", "-c", "echo hidden1; echo hidden2 >&2; exit 3"), "secret A: sh ended with status 3"),
        (("sh", "-c", "sleep 60"), "secret A: sh did not answer within 0.3 s"),
        (("true",), "secret A: is needed and not set"),
    ],
)
def test_a_command_that_fails_is_reported_without_its_output(
    tmp_path: Path, command: tuple[str, ...], expected: str
) -> None:
    """The failure is named; what the command printed may hold the secret."""
    (reported,) = problems(config(tmp_path, A=command), "A")

    assert reported.startswith(expected)
    assert "hidden" not in reported


def test_a_command_past_its_deadline_is_ended_with_its_children(tmp_path: Path) -> None:
    """The whole process group goes, not only the shell in front: nobody holds the pipe open any more."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    waiting = select.poll()
    waiting.register(reader)

    sources = config(tmp_path, A=("sh", "-c", f"exec 3>{pipe}; echo >&3; sleep 60 & wait"))
    problems(replace(sources, timeouts=Timeouts(command=1.0)), "A")

    assert os.read(reader, 9) == b"\n"
    assert waiting.poll(10_000) == [(reader, select.POLLHUP)]
    os.close(reader)
