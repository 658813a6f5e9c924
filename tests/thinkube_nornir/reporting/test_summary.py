"""What a run says when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fake_run import failed, record, row
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting import summary
from thinkube_nornir.reporting.record import Failure, Row


def test_a_failure_says_where_what_why_and_fix() -> None:
    """One block, as an operator can act on it."""
    made = record(failed(host="tkw1"))

    assert "\n".join(summary.failures(made)) == (
        "\n"
        "FAILED  phase5.coredns  verify: coredns_answers  on tkw1\n"
        "  what  0 of 2 pods are ready\n"
        "  why   the Corefile has no forward line\n"
        "  fix   run: thinkube-nornir run phase5.coredns"
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


def _fault(number: int, host: str = "tkc", **more: Any) -> Row:
    return row(f"s{number}", host, Outcome.FAILED, failure=Failure("CheckFailed", "w", "y", f"fix {number}"), **more)


def test_a_flood_of_causes_is_counted() -> None:
    """After ten different causes the rest is a number, and the command that shows them; that one shows them all."""
    made = record(*map(_fault, range(25)))
    told = summary.failures(made, "thinkube-nornir show 7 --failed")

    assert sum(line.startswith("FAILED") for line in told) == 10
    assert told[-1] == "and 15 more: thinkube-nornir show 7 --failed"
    assert sum(line.startswith("FAILED") for line in summary.failures(made)) == 25


def test_what_has_one_cause_is_told_once() -> None:
    """A cluster that is not there fails every check, in all components; one block says so, and others keep theirs."""
    alike = [failed(step, host, f"{step} is not there") for step in ("a", "b", "c") for host in ("tkc", "tkw1")]
    further = [failed("a", component=f"phase6.{name}") for name in ("ingress", "gpu")]
    told = summary.failures(record(*alike, *further, _fault(1)))

    assert told[1:4] == [
        "FAILED  phase5.coredns and 2 components more  verify: a and 2 steps more  on tkc, tkw1",
        "  what  a is not there",
        "        and 3 statements more like it",
    ]
    assert told[7] == "FAILED  phase5.coredns  verify: s1  on tkc"


def test_what_came_of_a_cause_is_said() -> None:
    """The host that is down is named; what failed elsewhere because of it, and what did not run, is counted."""
    down = Failure("Unreachable", "no connection", "refused", "see that it is up")
    asks = Failure("ClusterError", "tkc is silent", "no connection\nrefused\nsee that it is up", "make it so")
    told = summary.failures(
        record(
            row("a", "tkc", Outcome.FAILED, failure=down),
            row("b", "tkc", Outcome.SKIPPED, message="tkc is unreachable"),
            *(row("c", host, Outcome.FAILED, failure=asks) for host in ("bcn1", "tkw1")),
        )
    )

    assert told[1] == "FAILED  phase5.coredns  verify: a  on tkc"
    assert told[-1] == "  also  2 steps on bcn1, tkw1 failed because of it; 1 step did not run because of it"


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


def _skipped(step: str, message: str, *, chain: str = "setup") -> Row:
    return row(step, outcome=Outcome.SKIPPED, chain=chain, message=message)


def test_planned_changes_are_listed_with_their_diffs() -> None:
    """Each once, with its hosts, below its component; nothing to change is said."""
    promises = [
        row("put", host, Outcome.PLANNED, chain="setup", message="write /etc/x", diff="-a\n+b\n") for host in ("a", "b")
    ]
    told = ["phase5.coredns", "  put: write /etc/x  on a, b"]

    assert summary.planned(record(*promises, row()), diffs=True) == [*told, "      -a", "      +b"]
    assert summary.planned(record(*promises), diffs=False) == told
    assert summary.planned(record(row()), diffs=True) == ["nothing to change"]


def test_a_plan_says_what_it_cannot_know() -> None:
    """By component, with the reason; a plan that failed never says that there is nothing to change."""
    unknown = [
        _skipped("join", "needs phase5.x/setup/y@a, which failed"),
        _skipped("label", "needs phase5.x/setup/y@a, which failed"),
        _skipped("token", "cannot be foreseen: 2 changes are only planned (no API)"),
        _skipped("is_there", "not run: 2 changes are only planned", chain="verify"),
    ]
    lines = [
        "  phase5.coredns  join and 1 step more on tkc: what it needs failed",
        "  phase5.coredns  token on tkc: 2 changes are only planned (no API)",
    ]
    promise = row("put", chain="setup", outcome=Outcome.PLANNED, message="write /etc/x")

    nothing = summary.planned(record(failed(), *unknown), diffs=False)
    something = summary.planned(record(failed(), promise, *unknown), diffs=False)

    assert nothing == ["what would change is not known:", *lines]
    assert something[2:] == ["not known yet, and so not in this list:", *lines]


def test_a_failed_step_of_a_plan_is_one_of_which_nothing_is_known() -> None:
    """Though all others have nothing to change."""
    assert summary.planned(record(failed("put", chain="setup")), diffs=False) == [
        "what would change is not known:",
        "  phase5.coredns  put on tkc: it failed",
    ]


def test_a_plan_has_one_line_for_all_checks_of_what_is_planned() -> None:
    """However many changes each of them waits for; what cannot be foreseen is in the plan itself."""
    checks = [_skipped(f"s{n}", f"not run: {n} changes are only planned", chain="verify") for n in range(2, 9)]
    step = _skipped("x", "cannot be foreseen: 1 change is only planned (y)")

    told = summary.skips(record(*checks, step, dry_run=True))

    assert told == ["skipped     7  not run: what they need is only planned"]


def test_what_failed_says_itself_what_it_held_up() -> None:
    """It is not among the reasons for skipping as well."""
    waiting = _skipped("b", "needs phase5.coredns/verify/coredns_answers@tkc, which failed")

    assert summary.skips(record(failed(), waiting)) == []


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
DEAD = (row(outcome=Outcome.FAILED, failure=Failure("Unreachable", "x", "y", "z"), prerequisite=True),)
ASKED = (row(outcome=Outcome.FAILED, failure=Failure("ClusterUnreachable", "x", "y", "z")),)
PENDING = (row("a", chain="setup", outcome=Outcome.PLANNED),)


@pytest.mark.parametrize(
    ("rows", "given", "later", "expected"),
    [
        (GREEN, {"verb": "run"}, "phase6", "run phase6"),
        (GREEN, {"verb": "run"}, None, "verify phase5"),
        (GREEN, {"verb": "run", "limit": "tkc"}, "phase6", "verify phase5 -l tkc"),
        (RED, {"verb": "run", "limit": "tkc"}, "phase6", "run phase5 -l tkc"),
        (RED, {"verb": "verify"}, None, "run phase5"),
        (RED, {"verb": "verify", "limit": "tkc"}, None, "run phase5 -l tkc"),
        (DEAD, {"verb": "verify"}, None, "verify phase5"),
        (ASKED, {"verb": "verify", "limit": "tkw1"}, None, "verify phase5 -l tkw1"),
        (DEAD, {"verb": "run", "selection": ("phase6",)}, None, "run phase6"),
        (RED, {"verb": "rollback"}, None, "rollback phase5"),
        (GREEN, {"verb": "verify", "interrupted": True}, None, "verify phase5"),
        (GREEN, {"verb": "plan", "dry_run": True, "interrupted": True}, None, "plan phase5"),
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
        (LACKING, {"verb": "run", "selection": ("phase5.dns", "phase6")}, None, "run phase5 phase6"),
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


def test_the_next_command_keeps_the_number_of_workers() -> None:
    """Who limited them once has a reason; and where nothing is next, nothing is."""
    assert summary.next_arguments(record(*RED, verb="run"), None, 2) == ["run", "phase5", "--workers", "2"]
    assert summary.next_arguments(record(*GREEN, verb="run", interrupted=True), None, 2) == ["resume", "--workers", "2"]
    assert summary.next_arguments(record(*GREEN, verb="verify"), None, 2) == []


@pytest.mark.parametrize(("limit", "hint"), [("", "mend it; `-l '!tkw1'` goes on without it"), ("tkw1", "mend it")])
def test_how_to_go_on_without_a_dead_host_is_said(limit: str, hint: str) -> None:
    """Where there are others, and none of them failed because of it."""
    dead = row("a", "tkw1", Outcome.FAILED, failure=Failure("Unreachable", "tkw1 is unreachable", "refused", "mend it"))
    told = summary.failures(record(dead, row("a", "tkc"), limit=limit, hosts=("tkc", "tkw1")))

    assert told[-1] == f"  fix   {hint}"
