"""Whether a file can be written, asked before the work whose outcome it is to hold."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from thinkube_nornir.errors import ConfigError, Problem


def must_take(path: Path, option: str) -> None:
    """
    Raises:
        ConfigError: the folder is not there, or neither it nor the file lets us write.
    """
    folder = path.parent
    if not folder.is_dir():
        what, fix = f"there is no folder {folder}", "make it, or name another"
    elif os.path.isdir(path):  # noqa: PTH112  Path.is_dir raises where a name is too long
        what, fix = f"{path} is a folder", "name a file"
    elif error := _tried(path):
        what, fix = f"{path} cannot be written: {error.strerror}", "see the owner, mode and disk of its folder"
    else:
        return
    raise ConfigError([Problem(option, what, fix)])


def _tried(path: Path) -> OSError | None:
    """What keeps a file from being made there as it will be: beside itself, under a name of its own."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        return error
    os.close(handle)
    Path(name).unlink()
    return None
