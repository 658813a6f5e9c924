"""The Pythons of this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

LEAST = (3, 11)
"""What pyproject.toml requires."""
_VERSION = "import ssl, sys; print(sys.version_info[0], sys.version_info[1], sys.version_info.releaselevel)"


def pythons() -> dict[tuple[int, int], Path]:
    """By version, newest first: from pyenv, from PATH and from /usr. Only what runs, and no release candidates."""
    found: dict[tuple[int, int], Path] = {}
    for path in _candidates():
        version = (3, int(path.suffix[1:]))
        if version >= LEAST and version not in found and _runs(path, version):
            found[version] = path
    return dict(sorted(found.items(), reverse=True))


def _candidates() -> list[Path]:
    """An installation's own file before a shim, which may lead nowhere."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    folders = [*versions.glob("*/bin"), *map(Path, os.get_exec_path()), Path("/usr/bin"), Path("/usr/local/bin")]
    return [path for folder in folders for path in sorted(folder.glob("python3.[0-9]*")) if path.suffix[1:].isdigit()]


def _runs(path: Path, version: tuple[int, int]) -> bool:
    try:
        done = subprocess.run([str(path), "-c", _VERSION], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.split() == [str(version[0]), str(version[1]), "final"]
