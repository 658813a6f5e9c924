"""What the journal says of past durations."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.past_runs import PastRuns, failed, step
from thinkube_nornir.database import Database
from thinkube_nornir.journal import Journal


@pytest.fixture
def past(tmp_path: Path) -> PastRuns:
    return PastRuns(tmp_path)


def _runs(
    past: PastRuns, verb: str = "run", target: str = "ssh", word: str = "phase5", *, dry: bool = False
) -> list[int]:
    with closing(Database(past.path)) as database:
        found = Journal(database, "").past_steps(verb, target, ["all", word], dry_run=dry)
    return list(dict.fromkeys(each.run for each in found))


def test_only_what_is_comparable_counts(past: PastRuns) -> None:
    """The same kind of target, a selection with something in common, dry runs among themselves."""
    past.add(step())
    past.add(step(), scope="lab 1 2.0")
    past.add(step(), selection=("phase6",))
    past.add(step(), selection=("all",))
    past.add(step(outcome="planned", chain="setup"), verb="plan", dry_run=True)
    past.add(step(outcome="changed", chain="rollback"), verb="rollback")
    past.add(step(), verb="verify")

    assert _runs(past) == [7, 4, 1]
    assert _runs(past, "verify") == [7, 4, 1]
    assert _runs(past, target="lab") == [2]
    assert _runs(past, word="phase6") == [4, 3]
    assert _runs(past, dry=True) == [5]
    assert _runs(past, "rollback") == [6]


def test_what_did_not_end_well_is_no_measure(past: PastRuns) -> None:
    """Failed, skipped and unfinished steps; a skip in a dry run is one, as it will be one again."""
    past.add(failed(), step("a", outcome="skipped"), step("b", outcome=None), step("c", seconds=2.5))
    past.add(step("a", outcome="skipped"), verb="plan", dry_run=True)

    with closing(Database(past.path)) as database:
        journal = Journal(database, "")
        found = journal.past_steps("run", "ssh", ["phase5"], dry_run=False)
        rehearsed = journal.past_steps("run", "ssh", ["phase5"], dry_run=True)

    assert [(each.component, each.chain, each.step, each.host) for each in found] == [
        ("phase5.coredns", "verify", "c", "tkc")
    ]
    assert found[0].seconds == pytest.approx(2.5)
    assert [each.step for each in rehearsed] == ["a"]


def test_many_runs_without_work_do_not_hide_the_first_set_up(past: PastRuns) -> None:
    """Ten that altered, ten that did not, ten verifications: a new host is compared with what set-ups took."""
    past.add(step(outcome="changed", chain="setup"))
    for _ in range(12):
        past.add(step())
        past.add(step(), verb="verify")

    found = _runs(past)

    assert len(found) == 21
    assert found[-1] == 1
    assert found[0] == 25
