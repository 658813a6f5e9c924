"""A state folder that cannot be written: who alters nothing goes on and says what is not kept; who alters does not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engine import config
from tests.thinkube_nornir.cli.conftest import Cli
from thinkube_nornir.lab import client, request

NOTE = "note   .thinkube cannot be written: of this run no record is kept, and its log is "


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Also for root, whom a mode does not keep from writing."""
    if os.geteuid():
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    bound = [["mount", "--bind", str(folder), str(folder)], ["mount", "-o", "remount,ro,bind", str(folder)]]
    if any(subprocess.run(command, check=False, capture_output=True).returncode for command in bound):
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_verify_and_plan_work_and_say_what_they_cannot_keep(
    cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what the journal knows; the folder stays as it is."""
    monkeypatch.setattr("tempfile.tempdir", str(project / "hosts"))
    assert cli("run", "phase1").code == 0
    before = content(project / ".thinkube")

    with read_only(project / ".thinkube"):
        verified, planned, history = cli("verify", "phase1"), cli("plan", "phase1"), cli("history")

    assert (verified.code, planned.code, history.code) == (0, 0, 0)
    assert verified.lines[0].startswith(NOTE)
    assert planned.lines[0].startswith(NOTE)
    assert Path(verified.lines[0].removeprefix(NOTE)).exists()
    assert [line.split()[0] for line in history.lines] == ["run", "1"]
    assert content(project / ".thinkube") == before


def test_a_run_is_refused_before_it_changes_anything(cli: Cli, project: Path) -> None:
    """Without a record nothing could be rolled back."""
    (project / ".thinkube").mkdir()

    with read_only(project / ".thinkube"):
        ended = cli("run", "phase1")

    assert ended.code != 0
    assert ".thinkube" in ended.err
    assert not (project / "hosts").exists()


def test_a_report_that_cannot_be_written_after_all_is_no_wrong_request(
    cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2 means that nothing was changed: a disk that fills up meanwhile ends with 1, and the summary is printed."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("thinkube_nornir.reporting.report._replace", full)

    ended = cli("run", "phase1", "--report", "r.json")

    assert ended.code == 1
    assert "cannot write r.json: No space left on device" in ended.err
    assert (project / "hosts").exists()
    assert ended.lines[-1].startswith("next   ")


def test_a_running_lab_is_found_in_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """What keeps two commands from starting it needs no right to write."""
    (tmp_path / request.LOCK).touch()

    with read_only(tmp_path), client._alone(config(tmp_path, state=tmp_path)):
        pass
