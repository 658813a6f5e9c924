"""Failures folded by cause. The recorded runs are of the lab, broken in one way each; only their red rows are kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.fake_run import failed, record, row
from thinkube_nornir.blocked_reason import BlockedReason, blocked_reason_in
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.causes import Cause, causes
from thinkube_nornir.reporting.record import Failure, Record, Row

RECORDED = Path(__file__).parent / "recorded"
_ID = re.compile(r"(?P<component>.+)/(?P<chain>.+)/(?P<step>.+)@(?P<host>.+)")


def recorded(name: str) -> Record:
    told = json.loads((RECORDED / f"{name}.json").read_text())
    errors = [Failure(**error) for error in told["errors"]]
    return record(*(_row(node, what, errors) for node, what in told["rows"]))


def _row(node: str, what: int | str, errors: list[Failure]) -> Row:
    parts = _ID.fullmatch(node)
    assert parts
    if isinstance(what, str):
        return row(**parts.groupdict(), outcome=Outcome.SKIPPED, message=what)
    return row(**parts.groupdict(), outcome=Outcome.FAILED, message=errors[what].what, failure=errors[what])


def red(step: str = "a", host: str = "tkc", *, kind: str = "CheckFailed", **error: str) -> Row:
    failure = Failure(kind, **{"what": "it is wrong", "why": "because", "fix": "mend it", **error})
    return row(step, host, Outcome.FAILED, failure=failure)


def test_a_dead_host_is_one_cause() -> None:
    """What could not be started on it, or asked about it from elsewhere, belongs to it."""
    made = recorded("host_dead_verify_phase6")
    (cause,) = causes(made)

    assert cause.failure.kind == "Unreachable"
    assert (len(cause.rows), len(cause.not_run)) == (5, 9)
    assert set(cause.hosts) == {"tkc", "tkw1"}
    assert cause.others == ("the GPU node tkw1 is unreachable",)


def test_a_dead_control_plane_is_one_cause() -> None:
    """Every other host's checks ask its API, and quote why it cannot be reached."""
    (cause,) = causes(recorded("control_plane_dead_verify_phase5"))

    assert cause.failure.what == "no SSH connection to [127.77.2.4]:2222"
    assert (len(cause.rows), len(cause.not_run)) == (36, 28)


def test_a_run_stopped_by_a_dead_host_is_one_cause() -> None:
    """All that waits for the host, on whichever host, directly or not."""
    made = recorded("host_dead_run_all")
    (cause,) = causes(made)

    assert (len(cause.rows), len(cause.not_run)) == (2, made.counts["skipped"])
    assert {blocked.host for blocked in cause.not_run} == {"bcn1", "tkc", "tkw1"}


def test_an_api_that_fails_is_one_cause() -> None:
    """Eleven kinds of objects that could not be looked up, in three components, have one reason."""
    (cause,) = causes(recorded("api_500_verify_phase6"))

    assert (len(cause.rows), len(cause.others)) == (42, 10)
    assert cause.components == ("phase6.cert_manager", "phase6.ingress", "phase6.gpu_operator")


def test_what_has_a_fix_of_its_own_is_a_cause_of_its_own() -> None:
    """Stopped services silence the API, and turn red what says so in other words and with another fix."""
    found = causes(recorded("microk8s_stopped_verify_phase5"))

    assert [len(cause.rows) for cause in found] == [1, 1, 1, 1, 49, 1]
    assert len({cause.failure.fix for cause in found}) == 5


def test_two_independent_causes_stay_two() -> None:
    """A dead host and a snap that is not held: each with its own rows, and only the host has any that were not run."""
    held, dead = causes(recorded("host_dead_and_snap_not_held_verify_phase5"))

    assert (held.failure.kind, len(held.rows), len(held.not_run)) == ("CheckFailed", 1, 0)
    assert (dead.failure.kind, len(dead.rows), len(dead.not_run)) == ("Unreachable", 2, 24)


def test_every_red_row_has_exactly_one_cause() -> None:
    """Nothing that failed is lost in folding, and nothing is counted twice."""
    for path in RECORDED.glob("*.json"):
        made = recorded(path.stem)
        rows = [failed.id for cause in causes(made) for failed in cause.rows]
        assert sorted(rows) == sorted(failed.id for failed in made.failures)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (red("a"), red("b", what="that is wrong")),
        (red(host="tkc", fix="restart tkc"), red("b", "tkw1", fix="restart tkw1")),
        (red(why="nothing came after 12.5 s"), red("b", why="nothing came after 30 s")),
        (red(why="/var has 3 GB free"), red(host="tkw1", why="/var has 11 GB free")),
        (red(why="", fix=""), red("b", why="", fix="")),
        (red(kind="Unreachable", fix="try ssh 10.0.0.1"), red(host="tkw1", kind="Unreachable", fix="try ssh 10.0.0.2")),
        (red(kind="Cancelled", what="ended at x", why="", fix=""), red("b", kind="Cancelled", why="", fix="")),
        (red(), red("b", kind="ClusterError", why="it is wrong\nbecause\nmend it", fix="first mend it")),
    ],
    ids=["statement", "host in the fix", "time", "number in one step", "nothing said", "address", "operator", "quoted"],
)
def test_one_cause(one: Row, other: Row) -> None:
    """What differs here is no difference; the order in which they failed is none either."""
    assert len(causes(record(one, other))) == 1
    assert len(causes(record(other, one))) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (red(), red("b", fix="mend that")),
        (red(), red("b", why="for another reason")),
        (red(), red("b", kind="ClusterError")),
        (red(fix="open port 25000"), red("b", fix="open port 16443")),
        (red(why="port 25000 is closed"), red("b", why="port 16443 is closed")),
        (red(why="", fix="run again"), red("b", what="that is wrong", why="", fix="run again")),
        (red(why="no word", fix=""), red("b", what="that is wrong", why="no word", fix="")),
        (red(host="tk", fix="restart tk"), red("b", "tkw1", fix="restart tkw2")),
    ],
    ids=["fix", "reason", "kind", "number in the fix", "number", "no reason", "no fix", "another host"],
)
def test_two_causes(one: Row, other: Row) -> None:
    """What has to be mended in two ways, or in two places, is never merged."""
    assert len(causes(record(one, other))) == 2


def test_the_same_cause_is_found_through_a_third_row() -> None:
    """What bcn1 says of tkc and what tkx says of itself come together when tkc says it of itself; others follow."""
    said = (("bcn1", "tkc"), ("tkx", "tkx"), ("tkc", "tkc"), ("bcn2", "tkx"))
    rows = [red(host=host, fix=f"see the log on {api}") for host, api in said]

    assert [len(cause.rows) for cause in causes(record(*rows))] == [4]


def test_a_quoting_failure_is_not_the_face_of_its_cause() -> None:
    """Also when it comes first in the plan: the operator reads what to mend."""
    quoting = red("a", kind="ClusterError", what="x is unreachable", why="no link\nrefused\nsee it", fix="make it so")
    quoted = red("b", "x", kind="Unreachable", what="no link", why="refused", fix="see it")
    (cause,) = causes(record(quoting, quoted))

    assert cause.failure.what == "no link"


def test_what_was_not_run_for_another_reason_has_no_cause() -> None:
    """A dry run's check, an interruption and a choice of the step's own are nobody's fault."""
    reasons = ("interrupted", "not run: 2 changes are only planned", "needs no driver", "no cards here")
    skipped = [row(f"s{n}", outcome=Outcome.SKIPPED, message=reason) for n, reason in enumerate(reasons)]

    assert [cause.not_run for cause in causes(record(red(), *skipped))] == [()]


def test_two_thousand_failures_are_folded_at_once() -> None:
    """Fifty hosts with forty checks, each with words of its own, are no quadratic amount of work."""
    rows = [red(f"s{step}", f"h{host}", fix=f"fix {step}") for step in range(40) for host in range(50)]

    assert len(causes(record(*rows))) == 40


@pytest.mark.parametrize(
    "blocked_reason",
    [
        BlockedReason("phase5.a/setup/b@tkc"),
        BlockedReason(unreachable="tkc"),
        BlockedReason("phase5.a/setup/b@tkc", "tkc"),
    ],
)
def test_an_obstacle_is_read_back_as_it_was_written(blocked_reason: BlockedReason) -> None:
    """The runner's words, in a journal or a report, lead back to the node or host."""
    assert blocked_reason_in(str(blocked_reason)) == blocked_reason


def test_what_was_never_set_up_is_one_cause() -> None:
    """Before the first run: one cause and one command for all of it, though each check has an error of its own."""
    places = frozenset({("p.a", "h1"), ("p.b", "h1")})
    checks = [failed(f"c{n}", "h1", f"{n} is missing", component=name) for n in range(3) for name in ("p.a", "p.b")]

    (cause,) = causes(record(*checks, row("fine", "h1", component="p.a"), never_set_up=places))

    assert cause.failure.what == "not set up yet\np.a: h1\np.b: h1"
    assert "run phase5`" in cause.failure.fix
    assert cause.rows == tuple(checks)


def test_what_was_set_up_by_others_keeps_its_causes() -> None:
    """Most checks hold: what does not is said. And a host that is dead is dead, whatever was set up there."""
    dead = row("c", "h2", Outcome.FAILED, component="p.a", failure=Failure("Unreachable", "no route to h2"))
    red, green = failed("c1", "h1", component="p.a"), [row(f"g{n}", "h1", component="p.a") for n in range(3)]

    found = causes(record(red, *green, dead, never_set_up=frozenset({("p.a", "h1"), ("p.a", "h2")})))

    assert [(cause.failure.kind, cause.rows) for cause in found] == [("CheckFailed", (red,)), ("Unreachable", (dead,))]


def test_a_green_run_has_no_causes() -> None:
    """No failure, no cause."""
    assert causes(record(row())) == ()


def test_values_can_be_compared() -> None:
    """A cause is a plain value."""
    failed: Any = red()
    assert causes(record(failed)) == (Cause(failed.failure, (failed,)),)
