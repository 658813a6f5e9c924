"""Ctrl-C while the program starts: quiet, and 130, at whatever import it comes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_project import write_project

STARTED = """
import os, runpy, signal, sys

moment = sys.argv.pop(1)

class Moment:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Moment())
runpy.run_module("thinkube_nornir", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "moment",
    [
        "thinkube_nornir.program",
        "thinkube_nornir.cli",
        "click",
        "thinkube_nornir.cli.group",
        "thinkube_nornir.cli.inspect",
        "thinkube_nornir.project",
        "thinkube_nornir.settings.inventory",
        "pydantic",
        "steps",
        "steps.phase1_base.base",
    ],
)
def test_an_interrupted_start_is_quiet(tmp_path: Path, moment: str) -> None:
    """No traceback, and the exit code of a program that Ctrl-C ended."""
    write_project(tmp_path)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    ended = subprocess.run(
        [sys.executable, "-c", STARTED, moment, "inventory"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (ended.returncode, ended.stdout, ended.stderr.split()) == (130, "", ["interrupted"])
