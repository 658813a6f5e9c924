"""What a run says when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fake_run import failed, record, row
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting import summary
from thinkube_nornir.reporting.record import Row


def test_a_failure_says_where_what_why_fix_and_log() -> None:
    """One block, as an operator can act on it."""
    made = record(failed(host="tkw1"))

    assert "\n".join(summary.failures(made)) == (
        "\n"
        "FAILED  phase5.coredns  verify: coredns_answers  on tkw1\n"
        "  what  0 of 2 pods are ready\n"
        "  why   the Corefile has no forward line\n"
        "  fix   run: thinkube-nornir run phase5.coredns\n"
        "  log   .thinkube/logs/run.log"
    )


def test_further_lines_are_indented() -> None:
    """Evidence of several lines stays in its column."""
    made = record(failed(what="two\nlines"))

    assert "  what  two\n        lines" in "\n".join(summary.failures(made))


def test_the_same_failure_on_many_hosts_is_told_once() -> None:
    """Fifty hosts that fail alike are one block that names them."""
    told = summary.failures(record(*(failed(host=f"h{n}") for n in range(50))))

    assert [line for line in told if line.startswith("FAILED")] == [
        "FAILED  phase5.coredns  verify: coredns_answers  on " + ", ".join(f"h{n}" for n in range(50))
    ]


def test_a_flood_of_failures_is_counted() -> None:
    """After ten different failures the rest is a number, and where to find them."""
    told = summary.failures(record(*(failed(what=f"fault {n}") for n in range(25))))

    assert sum(line.startswith("FAILED") for line in told) == 10
    assert told[-1] == "\nand 15 more failures: see `show 7`"


def test_steps_that_fail_alike_on_the_same_hosts_are_told_once() -> None:
    """A cluster that is not there fails every check; one block says so, and others keep theirs."""
    alike = [failed(step, host) for step in ("a", "b", "c") for host in ("tkc", "tkw1")]
    told = summary.failures(record(*alike, failed("d", "tkc"), failed("a", "dns1", what="another")))

    assert [line for line in told if line.startswith("FAILED")] == [
        "FAILED  phase5.coredns  verify: a and 2 steps more  on tkc, tkw1",
        "FAILED  phase5.coredns  verify: d  on tkc",
        "FAILED  phase5.coredns  verify: a  on dns1",
    ]


def test_reasons_for_skipping_are_counted() -> None:
    """Each reason once, the most frequent first; the tail of them as a number."""
    rows = [row(f"s{n}", outcome=Outcome.SKIPPED, message="needs join, which failed") for n in range(12)]
    rows += [row(f"t{n}", outcome=Outcome.SKIPPED, message=f"reason {n}") for n in range(6)]

    told = summary.skips(record(*rows, row()))

    assert told[0] == "skipped    12  needs join, which failed"
    assert len(told) == 6
    assert told[-1] == "skipped     2  for other reasons: see `show 7`"
    assert summary.skips(record(row())) == []


def test_run_ends_with_hosts_and_components() -> None:
    """Counts per host, then how many of each component's checks hold."""
    made = record(row("install", chain="setup", outcome=Outcome.CHANGED), row(), failed(host="tkw1"))

    assert summary.hosts(made, width=80, unicode=True) == [
        "host  changed  passed  failed",
        "tkc         1       1       0",
        "tkw1        0       0       1",
        "",
        "                tkc  tkw1",
        "phase5.coredns  ✓ 1  ✗ 0/1",
    ]


def test_planned_changes_are_listed_with_their_diffs() -> None:
    """Only promises are listed; nothing to change is said."""
    promise = row("put", chain="setup", outcome=Outcome.PLANNED, message="write /etc/x", diff="-a\n+b\n")

    assert summary.planned(record(promise, row()), diffs=True) == [
        "tkc  phase5.coredns put: write /etc/x",
        "    -a\n    +b",
    ]
    assert summary.planned(record(promise), diffs=False) == ["tkc  phase5.coredns put: write /etc/x"]
    assert summary.planned(record(row()), diffs=True) == ["nothing to change"]


def test_the_verdict_counts() -> None:
    """How it ended, steps, hosts, time and outcomes, in one line."""
    assert summary.verdict(record(row(), failed("b"))) == "failed: 2 steps on 1 host in 1.5 s (1 failed, 1 passed)"


def test_tables_have_hosts_in_the_inventorys_order() -> None:
    """Not in the order in which steps happened to be planned."""
    made = record(row(host="tkw1"), row(host="tkc"), hosts=("tkc", "tkw1"))

    assert summary.checks(made, width=80, unicode=True)[0].split() == ["tkc", "tkw1"]
    assert [line.split()[0] for line in summary.hosts(made, width=80, unicode=True)[1:3]] == ["tkc", "tkw1"]


GREEN, RED = (row(),), (failed(),)
LACKING = (failed(prerequisite=True), row("install", component="phase6.ingress", outcome=Outcome.SKIPPED))
PENDING = (row("a", chain="setup", outcome=Outcome.PLANNED),)


@pytest.mark.parametrize(
    ("rows", "given", "later", "expected"),
    [
        (GREEN, {"verb": "run"}, "phase6", "run phase6"),
        (GREEN, {"verb": "run"}, None, "verify phase5"),
        (GREEN, {"verb": "run", "limit": "tkc"}, "phase6", "verify phase5 -l tkc"),
        (RED, {"verb": "run", "limit": "tkc"}, "phase6", "run phase5 -l tkc"),
        (RED, {"verb": "verify"}, None, "verify phase5"),
        (GREEN, {"verb": "verify"}, "phase6", "run phase6"),
        (GREEN, {"verb": "verify"}, None, ""),
        (GREEN, {"verb": "rollback"}, "phase6", "plan phase5"),
        (GREEN, {"verb": "plan", "dry_run": True}, None, "verify phase5"),
        (PENDING, {"verb": "plan", "dry_run": True}, None, "run phase5"),
        (PENDING, {"verb": "rollback", "dry_run": True}, None, "rollback phase5"),
        (RED, {"verb": "plan", "dry_run": True}, None, "plan phase5"),
        (RED, {"verb": "run", "dry_run": True}, None, "run phase5 --dry-run"),
        (GREEN, {"verb": "run", "interrupted": True}, None, "resume"),
        (LACKING, {"verb": "run", "selection": ("phase6.ingress",)}, None, "run phase5 phase6.ingress"),
        (LACKING, {"verb": "plan", "selection": ("phase6",), "dry_run": True}, None, "run phase5 phase6"),
        ((*LACKING, failed()), {"verb": "run", "selection": ("phase6",)}, None, "run phase6"),
        (LACKING, {"verb": "run", "selection": ("phase6",), "limit": "tkc"}, None, "run phase6 -l tkc"),
    ],
)
def test_the_next_command(rows: tuple[Row, ...], given: dict[str, Any], later: str | None, expected: str) -> None:
    """The last line is what an operator would type now."""
    assert " ".join(summary.next_arguments(record(*rows, **given), later)) == expected


def test_what_a_filter_leaves_out_is_named_once() -> None:
    """Components that miss the same hosts share a line."""
    made = record(row(), left_out={"phase5.a": ("w1", "w2"), "phase5.b": ("w1", "w2"), "phase5.c": ("w2",)})

    assert summary.left_out(made) == ["left out by -l: phase5.a, phase5.b on w1, w2", "left out by -l: phase5.c on w2"]
    assert summary.left_out(record(row())) == []
