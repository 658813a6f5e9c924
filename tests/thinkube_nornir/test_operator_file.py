"""Files of the operator's that are none, or far too large, are refused at once, with file, what and why."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.small_project import write_project
from thinkube_nornir import operator_file
from thinkube_nornir.project import load_project

FIFO, DEVICE, HUGE = "it is a FIFO, and no file", "it is a device, and no file", "it has more than 5 MB"


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    path.write_text("x" * 10_000_000)
    path.chmod(0o600)


KINDS = [(fifo, FIFO), (device, DEVICE), (huge, HUGE)]
FILES = ["config.yaml", "inventory/hosts.yaml", "ssh_config", ".thinkube/known_hosts", ".env"]


def write(root: Path) -> None:
    config = write_project(root)
    config.write_text(config.read_text() + "ssh: {config_file: ssh_config}\nsecrets: {file: .env}\n")
    (root / "ssh_config").touch()
    (root / ".thinkube").mkdir()


ASKED = """
import sys
from thinkube_nornir.cli import run_command_line
sys.exit(run_command_line(["verify", "all"]))
"""


@pytest.mark.parametrize(("make", "why"), KINDS)
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None], why: str) -> None:
    """In processes of their own, which can be ended: reading such a file would wait for ever, or fill the memory."""
    asked: dict[str, subprocess.Popen[str]] = {}
    for file in FILES:
        project = tmp_path / str(len(asked))
        project.mkdir()
        write(project)
        (project / file).unlink(missing_ok=True)
        make(project / file)
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        asked[file] = subprocess.Popen(
            [sys.executable, "-c", ASKED], cwd=project, env=env, stderr=subprocess.PIPE, text=True
        )

    for file, process in asked.items():
        _, told = process.communicate(timeout=60)
        assert process.returncode == 2, told
        assert file.rpartition("/")[2] in told
        assert why.replace("5 MB", "1 MB" if file == ".env" else "5 MB") in told


def test_a_file_is_read(tmp_path: Path) -> None:
    """All of it, up to the limit."""
    write(tmp_path)

    assert operator_file.read(tmp_path / "config.yaml").startswith(b"target: ssh")
    assert operator_file.read(Path("/proc/self/stat"))  # its size is said to be 0
    load_project(tmp_path / "config.yaml", ["phase1"])
