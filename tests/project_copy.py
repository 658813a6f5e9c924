"""A copy of the project to run commands in, with its own configuration, inventory and lab; the rest is linked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thinkube_nornir.lab.client import lab_down
from thinkube_nornir.settings.config_file import load_config

ROOT = Path(__file__).parents[1]


@contextmanager
def copied_project(folder: Path) -> Iterator[Path]:
    """Ends the lab that commands in it may have started."""
    shipped = (ROOT / "config.yaml").read_text()
    assert "  speed: 20 " in shipped
    (folder / "config.yaml").write_text(shipped.replace("  speed: 20 ", "  speed: 10000 "))
    shutil.copytree(ROOT / "inventory", folder / "inventory")
    shutil.copy(ROOT / "START_HERE.md", folder)
    for name in ("tasks", "templates"):
        (folder / name).symlink_to(ROOT / name)
    try:
        yield folder
    finally:
        lab_down(load_config(folder / "config.yaml"))
