"""The tables that people read."""

from __future__ import annotations

import pytest

from tests.fake_run import failed, row
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.matrix import check_matrix, component_matrix, host_table, marks, table


def test_matrix_shows_each_check_on_each_host() -> None:
    """A line for each check below its component, a column for each host; blank where a check is not for a host."""
    rows = [
        row("coredns_answers", "tkc"),
        failed("pods_run", "tkc"),
        row("pods_run", "tkw1", Outcome.SKIPPED, component="phase5.coredns"),
        row("node_is_ready", "tkw1", component="phase5.microk8s_workers"),
    ]

    assert check_matrix(rows, width=80) == [
        "                         tkc  tkw1",
        "phase5.coredns",
        "  coredns_answers        ✓",
        "  pods_run               ✗    –",  # noqa: RUF001 the mark
        "phase5.microk8s_workers",
        "  node_is_ready               ✓",
    ]


def test_matrix_keeps_a_components_checks_together() -> None:
    """Independent components come mixed in a plan's order; in the matrix each has one section."""
    mixed = [row("a"), row("b", component="phase5.microk8s_workers"), row("c")]

    assert [line.split()[0] for line in check_matrix(mixed, width=80)[1:]] == [
        "phase5.coredns", "a", "c", "phase5.microk8s_workers", "b",
    ]  # fmt: skip


def test_matrix_is_ascii_where_it_must_be() -> None:
    """A stream that cannot say ✓ gets words that every encoding has."""
    rows = [row(), failed(host="tkw1"), row(host="tkw2", outcome=None)]

    lines = check_matrix(rows, width=80, unicode=False)

    assert lines[-1].split() == ["coredns_answers", "ok", "FAIL", "-"]
    assert all(line.isascii() for line in lines)


@pytest.mark.parametrize("outcome", [None, Outcome.SKIPPED, Outcome.FAILED])
def test_nothing_but_a_check_that_held_is_marked_passed(outcome: Outcome | None) -> None:
    """A missing, skipped or failed check never has the mark of one that held."""
    for unicode in (True, False):
        mark = marks(unicode)
        assert mark.of(row(outcome=outcome)) != mark.passed
        assert mark.passed not in component_matrix([row(outcome=outcome)], width=80, unicode=unicode)[-1].split()


def test_matrix_fits_the_width() -> None:
    """Hosts that do not fit beside each other follow in further blocks, none is lost."""
    hosts = [f"gpu-node-{n:02d}" for n in range(50)]
    lines = check_matrix([row(host=host) for host in hosts], width=80)

    assert max(map(len, lines)) <= 80
    assert [word for line in lines for word in line.split() if word.startswith("gpu")] == hosts
    assert sum(line.count("✓") for line in lines) == 50


def test_component_matrix_counts_checks_that_hold() -> None:
    """A cell says how many checks held, and of how many when not all did."""
    rows = [row("a"), row("b"), row("a", "tkw1"), failed("b", "tkw1")]

    assert component_matrix(rows, width=80)[1].split("  ") == ["phase5.coredns", "✓ 2", "✗ 1/2"]


def test_host_table_leaves_out_what_nobody_had() -> None:
    """Outcomes are counted per host; a column of zeros is not shown."""
    rows = [row("a", outcome=Outcome.CHANGED), row("b"), failed("c", "tkw1")]

    assert host_table(rows) == [
        "host  changed  passed  failed",
        "tkc         1       1       0",
        "tkw1        0       0       1",
    ]


def test_table_is_cut_at_the_width() -> None:
    """A long last column does not break the lines of a table."""
    assert table(("name", "title"), [("x", "word " * 40)], width=30)[1] == "x     word word word word w..."
