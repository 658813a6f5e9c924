"""What history, show and diff write for machines is what docs/history.schema.json promises."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.past_runs import PastRuns, failed, step
from tests.thinkube_nornir.cli.conftest import Cli

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
