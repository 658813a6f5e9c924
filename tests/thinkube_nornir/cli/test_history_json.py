"""What history, show and diff write for machines is what docs/history.schema.json promises."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import get_args

import pytest
from jsonschema import Draft202012Validator

from tests.past_runs import PastRuns, failed, step
from tests.thinkube_nornir.cli.conftest import Cli
from thinkube_nornir.cli import history
from thinkube_nornir.component import ChainName
from thinkube_nornir.history.runs import VERDICTS
from thinkube_nornir.outcome import Outcome

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "history.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)


ASKED = ("history", "history -n 1", "show 2", "show 3", "show 4", "diff 1 2", "diff 2 3")


@pytest.mark.parametrize("asked", ASKED)
def test_what_is_written_is_what_is_promised(cli: Cli, project: Path, asked: str) -> None:
    """For every verb, with every outcome a step and a run can have."""
    runs = PastRuns(project / ".thinkube")
    outcomes = ("changed", "planned", "unchanged", "skipped", "failed", None)
    runs.add(*(step(f"s{n}", chain="setup", outcome=outcome) for n, outcome in enumerate(outcomes)), failed())
    runs.add(*(step(f"s{n}", chain="setup", seconds=9.0) for n in range(3, 9)), step(), outcome="failed", limit="tkc")
    runs.add(step(outcome=None), outcome=None, verb="rollback", scope="lab 1 2.0")
    runs.add(step(outcome="planned", chain="setup"), verb="plan", dry_run=True)
    runs.add(step(), outcome=None, pid=os.getpid())

    told = json.loads(cli(*asked.split(), "--json").out)

    errors = [error.message for error in VALIDATOR.iter_errors(told)]
    assert not errors
    assert VALIDATOR.is_valid(told | {"more": 1}) is False


def test_json_is_json_on_any_stream(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither wrapped nor coloured on a terminal, nor spelt in another way where there is no UTF-8."""
    message = "changed to naïve ✓ " + "word " * 100
    PastRuns(project / ".thinkube").add(step("a", chain="setup", outcome="changed", message=message))
    monkeypatch.setattr("thinkube_nornir.reporting.terminal._width", lambda _: 40)
    monkeypatch.setattr(
        "thinkube_nornir.reporting.terminal._in_encoding", lambda text, _: text.encode("ascii").decode()
    )

    for asked in (("show",), ("history",)):
        told = json.loads(cli(*asked, "--json").out)
        assert VALIDATOR.is_valid(told)

    assert json.loads(cli("show", "--json").out)["nodes"][0]["message"] == message


def test_words_of_options_are_those_that_are_written() -> None:
    """They stand in the verbs' module a second time, so that help needs no journal."""
    assert history._VERDICTS == VERDICTS
    assert set(history._OUTCOMES) == {*Outcome, "unfinished"}
    assert set(history._CHAINS) == set(get_args(ChainName))
