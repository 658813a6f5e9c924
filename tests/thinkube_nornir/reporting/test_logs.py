"""The log file."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from thinkube_nornir.reporting.logs import log_fault, logging_to
from thinkube_nornir.secret import MASK, Secret


def test_the_log_is_private_and_redacted(tmp_path: Path) -> None:
    """Only the operator can read it; secrets are masked, also where a traceback quotes them."""
    Secret("open-sesame")
    path = tmp_path / "state" / "x.log"

    with logging_to(path):
        try:
            int("open-sesame")
        except ValueError:
            logging.getLogger("x").exception("with %s", "open-sesame")
    logging.getLogger("x").error("after the run")

    text = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "open-sesame" not in text
    assert text.count(MASK) == 3
    assert "Traceback" in text
    assert "after the run" not in text


def test_a_long_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run begins a new file; both are the operator's alone."""
    monkeypatch.setattr("thinkube_nornir.reporting.logs._LONGEST", 100)
    path = tmp_path / "x.log"

    for text in ("first " * 50, "second", "third"):
        with logging_to(path):
            logging.getLogger("x").info(text)

    assert "first" in (tmp_path / "x.log.1").read_text()
    assert "second" in path.read_text()
    assert "third" in path.read_text()
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_the_level_holds_while_the_run_lasts(tmp_path: Path) -> None:
    """DEBUG on request; the level from before comes back."""
    before = logging.getLogger().level
    with logging_to(tmp_path / "x.log", "DEBUG"):
        logging.getLogger("x").debug("a detail")

    assert "a detail" in (tmp_path / "x.log").read_text()
    assert logging.getLogger().level == before


def test_a_fault_is_logged_somewhere(tmp_path: Path) -> None:
    """Where the project's folder cannot be written, another file is taken and named."""
    (tmp_path / "file").write_text("")

    path = log_fault(RuntimeError("boom"), tmp_path / "file" / "x.log")

    assert "RuntimeError: boom" in path.read_text()
    path.unlink()


def test_a_full_disk_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """/dev/full takes nothing; the run goes on, and its end is no error either."""
    (tmp_path / "x.log").symlink_to("/dev/full")

    with logging_to(tmp_path / "x.log"):
        for number in range(3):
            logging.getLogger("x").error("line %d", number)

    assert capsys.readouterr().err == f"log    {tmp_path}/x.log cannot be written: No space left on device\n"
