"""Each change of a run once."""

from __future__ import annotations

from tests.fake_run import record, row
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.planned import PlannedChange, made, planned
from thinkube_nornir.reporting.record import Row


def promise(host: str, component: str = "phase5.coredns", message: str = "write /etc/x", diff: str = "+a\n") -> Row:
    return row("put", host, Outcome.PLANNED, component=component, chain="setup", message=message, diff=diff)


def test_what_is_promised_on_several_hosts_is_one_change() -> None:
    """Hosts keep the plan's order, and so do changes; other outcomes are none."""
    rows = [promise("bcn1"), promise("tkc", message="write /etc/y"), promise("tkc"), row("other")]

    assert planned(record(*rows)) == (
        PlannedChange("phase5.coredns", "put", "write /etc/x", "+a\n", ("bcn1", "tkc")),
        PlannedChange("phase5.coredns", "put", "write /etc/y", "+a\n", ("tkc",)),
    )


def test_another_diff_is_another_change() -> None:
    """Two hosts whose files differ are not told to get the same."""
    found = planned(record(promise("bcn1"), promise("tkc", diff="+b\n")))

    assert [(change.diff, change.hosts) for change in found] == [("+a\n", ("bcn1",)), ("+b\n", ("tkc",))]


def test_changes_of_a_component_stand_together() -> None:
    """Though independent components are mixed in a plan's order."""
    rows = [promise("a", "phase5.one"), promise("a", "phase5.two"), promise("b", "phase5.one", "write /etc/z")]

    assert [change.component for change in planned(record(*rows))] == ["phase5.one", "phase5.one", "phase5.two"]


def test_made_changes_are_told_alike() -> None:
    """What a run has done, not what it promised."""
    done = row("put", "tkc", Outcome.CHANGED, chain="setup", message="write /etc/x", diff="+a\n")

    assert made(record(done, promise("bcn1"))) == (
        PlannedChange("phase5.coredns", "put", "write /etc/x", "+a\n", ("tkc",)),
    )
