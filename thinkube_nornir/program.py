"""How this program was called, so that every command it prints can be typed as it stands."""

from __future__ import annotations

import getpass
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

NAME = "thinkube-nornir"
MODULE = "thinkube_nornir"

_config: Path | None = None

STEP_THREAD = "step"
"""How the names of the threads begin that carry steps out; at the end of the program they may be left over."""


def called_with(config: Path | None) -> None:
    """Keep the -c of this call for the commands that are printed; None when there was none."""
    global _config  # errors are worded far below, by who knows nothing of the command line
    _config = config


def program() -> str:
    """What the operator typed before the arguments: a console script, or Python with -m.

    The shell hands over what was typed, except that it looks names without a slash up: what PATH finds by its plain
    name is printed by that. In a process that was started otherwise it is the console script's name.
    """
    typed = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    if Path(sys.argv[0]).name == NAME:
        return _typed([sys.argv[0]])
    if typed and typed[-1].removeprefix("-m") == MODULE:
        return _typed(typed)
    return NAME


def _typed(words: Sequence[str]) -> str:
    first = Path(words[0])
    plain = first.is_absolute() and _on_path(first.name) == first
    return shlex.join([first.name if plain else words[0], *words[1:]])


def _on_path(name: str) -> Path | None:
    import shutil  # where it is needed: --help need not wait for it

    found = shutil.which(name)
    return Path(found) if found else None


def command(*arguments: str) -> str:
    """A command line to type, with the -c that this one had."""
    return f"{program()} {shlex.join([*arguments, *(['-c', str(_config)] if _config else [])])}"


def missing(error: ModuleNotFoundError) -> str:
    """What to install when it is another's package that is not there; empty when it is a module of our own."""
    package = (error.name or "").partition(".")[0]
    if package in ("", MODULE, "tasks"):
        return ""
    return f"Python has no package {package} (`{install_command()}`)"


def user_name() -> str:
    """Who runs this program; its number where nobody gave that a name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # Python 3.13 raises the latter
        return f"uid{os.getuid()}"


def install_command(extra: str = "") -> str:
    """The command line that installs what this program needs, and what one of its extras needs."""
    folder = Path(__file__).parents[1]
    source = ["-e", str(folder)] if (folder / "pyproject.toml").exists() else [NAME]
    source[-1] += f"[{extra}]" if extra else ""
    return shlex.join([sys.executable, "-m", "pip", "install", *source])
