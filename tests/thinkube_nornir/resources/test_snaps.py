"""Snap: installed, on its channel, held; what was there before gets back what it had."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fake_host import FakeHost, Reply
from thinkube_nornir.command import Command, Completed
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.resources import NotAsDeclared, Snap, from_setting
from thinkube_nornir.resources.snaps import Found, parse_snap

LXD = Snap("lxd", from_setting("channel"), held=True)
HEAD = "Name  Version  Rev  Tracking  Publisher  Notes\n"


class Snapd:
    """One snap; the channel is empty while it is not installed."""

    def __init__(self, channel: str = "", *notes: str) -> None:
        self.channel, self.notes = channel, set(notes)
        self.host = FakeHost(
            answers={
                "snap list lxd": lambda _: self._listed(),
                "snap changes": "ID   Status  Spawn  Ready  Summary\n",
                "snap wait system seed.loaded": "",
                "snap install lxd": self._install,
                "snap refresh lxd": self._install,
                "snap refresh --hold": lambda _: self._note("held", there=True),
                "snap refresh --unhold": lambda _: self._note("held", there=False),
                "snap enable": lambda _: self._note("disabled", there=False),
                "snap disable": lambda _: self._note("disabled", there=True),
                "snap remove": self._remove,
                "true": "",
            },
            settings={"channel": "5.21/stable"},
        )

    def _listed(self) -> Reply | str:
        row = f"lxd   5.21.3   999  {self.channel}  canonical✓  {','.join(sorted(self.notes)) or '-'}\n"
        return HEAD + row if self.channel else Reply(1, stderr="error: no matching snaps installed\n")

    def _install(self, command: Command) -> str:
        self.channel = command.argv[-1].removeprefix("--channel=")
        return ""

    def _note(self, note: str, *, there: bool) -> str:
        (self.notes.add if there else self.notes.discard)(note)
        return ""

    def _remove(self, _: Command) -> str:
        self.channel, self.notes = "", set()
        return ""

    def orders(self) -> list[str]:
        """What altered, since it was asked for last."""
        found = [command for command in self.host.altering if command != "true"]
        self.host.commands.clear()
        return found


@pytest.mark.parametrize(
    ("text", "status", "found"),
    [
        (
            "Name      Version  Rev   Tracking     Publisher   Notes\n"
            "microk8s  v1.35.0  8511  1.35/stable  canonical✓  classic,held\n",
            0,
            Found("v1.35.0", "1.35/stable", frozenset({"classic", "held"})),
        ),
        (HEAD + "lxd  5.21.3  999  -  canonical✓  -\n", 0, Found("5.21.3", "-", frozenset())),
        ("", 1, None),
        (HEAD, 0, None),
        (HEAD + "lxd  5.21.3  999  -  canonical✓  -\n", 1, None),
    ],
)
def test_columns_are_read_by_place(text: str, status: int, found: Found | None) -> None:
    """A snap that is not installed is None."""
    assert parse_snap(Completed(Command(()), status, text.encode(), b"")) == found


def test_a_snap_is_installed_and_held_once_and_rollback_removes_it() -> None:
    snapd = Snapd()

    snapd.host.apply(LXD)
    assert snapd.orders() == ["snap install lxd --channel=5.21/stable", "snap refresh --hold lxd"]

    checked = snapd.host.apply(LXD.check)
    assert outcome_of(snapd.host.apply(LXD)) is Outcome.UNCHANGED
    assert checked.result == "lxd follows 5.21/stable, refreshes held"
    assert checked.seen == "lxd 5.21.3 follows 5.21/stable, notes: held"  # type: ignore[attr-defined]

    for orders in (["snap remove --purge lxd"], []):
        snapd.host.apply(LXD.roll_back)
        assert snapd.orders() == orders
    assert snapd.host.change_log.changes() == []


BROKEN: dict[str, tuple[tuple[str, ...], str, str, list[str]]] = {
    "other channel": (
        ("5.0/stable", "held"),
        "lxd follows 5.0/stable, not 5.21/stable",
        "lxd 5.21.3 follows 5.0/stable, notes: held",
        ["snap refresh lxd --channel=5.21/stable"],
    ),
    "unheld": (
        ("5.21/stable",),
        "refreshes of lxd are not held",
        "lxd 5.21.3 follows 5.21/stable, notes: none",
        ["snap refresh --hold lxd"],
    ),
    "disabled": (
        ("5.21/stable", "disabled", "held"),
        "lxd is disabled",
        "lxd 5.21.3 follows 5.21/stable, notes: disabled, held",
        ["snap enable lxd"],
    ),
    "all": (
        ("5.0/stable", "disabled"),
        "lxd is disabled",
        "lxd 5.21.3 follows 5.0/stable, notes: disabled",
        ["snap enable lxd", "snap refresh lxd --channel=5.21/stable", "snap refresh --hold lxd"],
    ),
    "removed": ((), "lxd is not installed", "not installed", []),
}
BACK = {
    "other channel": ["snap refresh lxd --channel=5.0/stable"],
    "unheld": ["snap refresh --unhold lxd"],
    "disabled": ["snap disable lxd"],
    "all": ["snap refresh --unhold lxd", "snap refresh lxd --channel=5.0/stable", "snap disable lxd"],
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_snap_that_is_not_as_declared_is_named_and_repaired(way: str) -> None:
    """With these orders and no other."""
    state, what, seen, orders = BROKEN[way]
    snapd = Snapd(*state)

    error = snapd.host.apply(LXD.check).exception
    snapd.host.apply(LXD)

    assert isinstance(error, NotAsDeclared)
    assert (error.what, error.seen) == (what, seen)
    assert snapd.orders()[-len(orders or [1, 2]) :] == (
        orders or ["snap install lxd --channel=5.21/stable", "snap refresh --hold lxd"]
    )
    assert snapd.host.apply(LXD.check).exception is None


@pytest.mark.parametrize("way", BACK)
def test_a_snap_of_before_stays_and_gets_back_what_it_had(way: str) -> None:
    """Channel, hold, being disabled; it is never removed."""
    before = BROKEN[way][0]
    snapd = Snapd(*before)
    snapd.host.apply(LXD)
    snapd.orders()

    for orders in (BACK[way], []):
        assert snapd.host.apply(LXD.roll_back).exception is None
        assert snapd.orders() == orders

    assert (snapd.channel, snapd.notes) == (before[0], set(before[1:]))
    assert snapd.host.change_log.changes() == []


def test_a_snap_of_before_that_has_gone_is_forgotten() -> None:
    snapd = Snapd("5.0/stable")
    snapd.host.apply(LXD)
    snapd.orders()
    snapd.channel = ""
    snapd.host.facts.clear()

    snapd.host.apply(LXD.roll_back)

    assert snapd.orders() == []
    assert snapd.host.change_log.changes() == []


def test_what_changes_after_our_installation_has_no_record_of_its_own() -> None:
    """It goes as a whole."""
    snapd = Snapd()
    snapd.host.apply(LXD)
    snapd.host.apply(LXD, settings={"channel": "6/stable"})

    assert [change.key for change in snapd.host.change_log.changes()] == ["snap:lxd"]
    assert snapd.channel == "6/stable"


def test_a_record_may_be_kept_for_steps_that_clear_up() -> None:
    """With what was noted before the installation; a second rollback leaves it, too."""
    noting = Snap("lxd", "5.21/stable", classic=True, note=lambda _: {"links": ["lo"]}, keeps_record=True)
    snapd = Snapd()
    snapd.host.apply(noting)
    assert snapd.orders() == ["snap install lxd --classic --channel=5.21/stable"]

    for orders in (["snap remove --purge lxd"], []):
        snapd.host.apply(noting.roll_back)
        assert snapd.orders() == orders

    (kept,) = snapd.host.change_log.changes()
    assert (kept.key, kept.before) == (noting.key, {"links": ["lo"]})


@pytest.mark.parametrize("step", ["set_up", "roll_back"])
def test_what_snapd_works_on_is_waited_for(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read about a snap while it is being installed or removed is not what will be."""
    monkeypatch.setattr("thinkube_nornir.resources.snapd._EVERY", 0.01)
    snapd = Snapd()
    snapd.host.apply(LXD)
    snapd.host.facts.clear()
    busy = 'ID   Status  Spawn  Ready  Summary\n7    Doing   today at 10:02 UTC  -  Refresh "lxd" snap\n'
    answers: Any = [busy, busy, "ID   Status  Spawn  Ready  Summary\n"]
    snapd.host.answers["snap changes"] = answers
    snapd.host.commands.clear()

    assert snapd.host.apply(getattr(LXD, step)).exception is None

    assert snapd.host.sent.count("snap changes") >= 3


def test_orders_may_take_long() -> None:
    """Hundreds of megabytes over a slow line; a machine that was just installed; gigabytes to delete."""
    for state in ((), ("5.0/stable", "disabled")):
        snapd = Snapd(*state)
        snapd.host.apply(LXD)
        snapd.host.apply(LXD.roll_back)

        for line, seconds in snapd.host.timeouts.items():
            wrapped = line.removeprefix("thinkube:change ").removeprefix("thinkube:undo ")
            if "snap list" not in line and "snap changes" not in line:
                assert round(seconds) == (300 if "seed.loaded" in line else 900), wrapped


def test_a_plan_of_what_is_missing_promises_both() -> None:
    snapd = Snapd()

    planned = snapd.host.apply(LXD, dry_run=True)

    assert planned.result == "install lxd 5.21/stable; hold refreshes of lxd"
    assert outcome_of(planned) is Outcome.PLANNED
    assert snapd.orders() == []


def test_all_of_it_is_read_together() -> None:
    assert [fact.name for fact in LXD.facts(None)] == ["snap lxd", "work of snapd"]  # type: ignore[arg-type]
    assert LXD.name == "snap_lxd"
