"""Imports the modules of a tasks folder; what is wrong in one is an error with its file and line."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType

from thinkube_nornir.errors import ConfigError, Problem


def import_package(folder: Path) -> ModuleType:
    """The tasks package at `folder`; another one of the same name, loaded before, makes way.

    Raises:
        ConfigError: no such package, or it cannot be imported.
    """
    if not (folder / "__init__.py").is_file():
        raise ConfigError([Problem(str(folder), "is not a tasks folder: it has no __init__.py")])
    loaded = sys.modules.get(folder.name)
    if loaded is not None and Path(loaded.__file__ or "").parent != folder:
        for name in [n for n in sys.modules if n == folder.name or n.startswith(f"{folder.name}.")]:
            del sys.modules[name]
    if str(folder.parent) not in sys.path:
        sys.path.insert(0, str(folder.parent))
    importlib.invalidate_caches()
    return import_module(folder, folder.name)


def import_module(folder: Path, name: str) -> ModuleType:
    """The module `name` of the tasks package at `folder`.

    Raises:
        ConfigError: with the line of the folder's own code that cannot be read or run.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ConfigError([_problem(folder, name, error)]) from error


def _problem(folder: Path, name: str, error: Exception) -> Problem:
    if isinstance(error, SyntaxError) and error.filename:
        return Problem(_shown(folder, error.filename, error.lineno), f"is no Python: {error.msg}", "correct that line")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(folder)]
    where = _shown(folder, frames[-1].filename, frames[-1].lineno) if frames else name
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith(folder.name):
        return Problem(where, f"needs the Python package {error.name}, which is not installed", "install it with pip")
    return Problem(where, f"cannot be imported: {type(error).__name__}: {error}", "correct that line")


def _shown(folder: Path, file: str, line: int | None) -> str:
    path = Path(file)
    shown = path.relative_to(folder.parent) if path.is_relative_to(folder) else path
    return f"{shown}:{line}" if line else str(shown)
