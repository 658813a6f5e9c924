"""Rows as the page groups them."""

from __future__ import annotations

from tests.fake_run import failed, record, row
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.html_steps import components, matrix, numbered

RECORD = record(
    row("sources_answer", component="phase6.x", chain="preconditions", host="a"),
    row("install", component="phase5.w", chain="setup", host="b", outcome=Outcome.CHANGED, duration=2.0),
    row("install", component="phase5.w", chain="setup", host="a", duration=1.0),
    row("runs", component="phase5.w", host="a", outcome=Outcome.PASSED),
    failed("runs", component="phase5.w", host="b"),
    row("answers", component="phase6.x", host="b", outcome=Outcome.SKIPPED),
    hosts=("a", "b"),
)
SHOWN = components(numbered(RECORD), RECORD.hosts)


def test_components_stand_in_the_order_in_which_they_are_verified() -> None:
    """A plan checks what it can of the last one before the first is set up."""
    assert [component.name for component in SHOWN] == ["phase5.w", "phase6.x"]


def test_a_step_stands_once_with_its_hosts() -> None:
    """In the order of hosts, with what became of it there."""
    install, runs = SHOWN[0].steps

    assert [(shown.number, shown.row.host) for shown in install.rows] == [(2, "a"), (1, "b")]
    assert install.counts == {"changed": 1, "passed": 1}
    assert not install.problem
    assert runs.problem


def test_the_matrix_has_the_checks_of_verify_alone() -> None:
    """A cell is empty where a check is not for a host."""
    made = matrix(SHOWN, RECORD.hosts)

    assert made.hosts == ("a", "b")
    cells = {c.title: [s.number if s else None for s in c.cells] for checks in made.components.values() for c in checks}
    assert cells == {"runs": [3, 4], "answers": [None, 5]}
