"""Whether a file can be written, asked before the work whose outcome it is to hold."""

from __future__ import annotations

import os
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
    elif path.is_dir():
        what, fix = f"{path} is a folder", "name a file"
    elif not os.access(folder, os.W_OK | os.X_OK):
        what, fix = f"the folder {folder} cannot be written to", "see its owner and mode"
    else:
        return
    raise ConfigError([Problem(option, what, fix)])
