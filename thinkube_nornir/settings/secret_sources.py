"""Where secrets come from: the environment, then a file only the operator can read, then a command."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from thinkube_nornir import operator_file
from thinkube_nornir.config import Config
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.secret import Secret
from thinkube_nornir.settings.env_file import parse_env
from thinkube_nornir.settings.yaml_source import shown

_MOST = 1_000_000  # bytes of the file


def load_secrets(config: Config, names: Collection[str], *, optional: Collection[str] = ()) -> dict[str, Secret]:
    """Return the named secrets; of the optional ones those that are to be had. Nothing is read that is not asked for.

    An empty value is no secret: the next source is asked.

    Raises:
        ConfigError: every one of `names` that no source has, a file that others can read or that cannot be parsed, a
            command that fails. Names only, never a value.
    """
    wanted = list(dict.fromkeys([*names, *optional]))
    found = {name: os.environ[name] for name in wanted if os.environ.get(name)}
    problems: list[Problem] = []
    if config.secrets.file and len(found) < len(wanted):
        values = _read_file(config.secrets.file, problems)
        found |= {name: values[name] for name in wanted if name not in found and values.get(name)}
    for name in wanted:
        if name not in found and name in config.secrets.commands:
            value = _ask(name, config.secrets.commands[name], config.timeouts.command, problems)
            found |= {name: value} if value else {}
    if not problems:
        problems = [_missing(config, name) for name in names if name not in found]
    if problems:
        raise ConfigError(problems)
    return {name: Secret(value) for name, value in found.items()}


def _missing(config: Config, name: str) -> Problem:
    file = config.secrets.file
    places = f"set it in the environment, or in {shown(file)}" if file else "set it in the environment"
    return Problem(f"secret {name}", "is needed and not set", places)


def _read_file(path: Path, problems: list[Problem]) -> Mapping[str, str]:
    """The file need not exist. Its mode is read from the open file, so that it cannot be exchanged in between."""
    name = shown(path)
    try:
        content, status = operator_file.read_with_status(path, _MOST)
        problems.extend(_open_to_others(name, status))
        parsed = parse_env(content.decode())
    except FileNotFoundError:
        return {}
    except OSError as error:
        problems.append(Problem(name, f"cannot be read: {error.strerror}"))
        return {}
    except UnicodeDecodeError:
        problems.append(Problem(name, "not UTF-8 text"))
        return {}
    problems.extend(Problem(f"{name}:{line}", what) for line, what in parsed.mistakes)
    return parsed.values


def _open_to_others(name: str, status: os.stat_result) -> list[Problem]:
    problems = []
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        problems.append(Problem(name, "belongs to another user, who could change it", f"chown {os.geteuid()} {name}"))
    if mode & 0o077:
        problems.append(Problem(name, f"holds secrets and has mode {mode:04o}", f"chmod 600 {name}"))
    return problems


def _ask(name: str, command: tuple[str, ...], timeout: float, problems: list[Problem]) -> str:
    """The first line the command prints. What it says about a failure is not repeated: it may hold the secret."""
    where = f"secret {name}"
    by_hand = "run the command of secrets.commands by hand to see why"
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        problems.append(Problem(where, f"{command[0]} cannot be started: {error.strerror}"))
        return ""
    with process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            problems.append(Problem(where, f"{command[0]} did not answer within {timeout:g} s", by_hand))
            return ""
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        problems.append(Problem(where, f"{command[0]} ended with status {process.returncode}", by_hand))
        return ""
    lines = output.decode(errors="surrogateescape").splitlines()
    return lines[0] if lines else ""
