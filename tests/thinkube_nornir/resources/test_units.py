"""Unit: runs, starts at boot, and has loaded what its files say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.thinkube_nornir.resources.fake_systemd import FakeSystemd
from thinkube_nornir.command import Command, Completed
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.resources import File, NotAsDeclared, Unit
from thinkube_nornir.resources.units import Found, parse_unit

NTP = Unit("ntp.service")
CONF = File("/etc/ntp/ntp.conf", "server a\n")
READING = Unit("ntp.service", restart_on=(CONF,))
OFF = Unit("ntp.service", running=False, enabled=False)

# `systemctl show --timestamp=us+utc --property=...` of systemd 252, of a service, a unit without a main process that
# never ran, and one that is not there.
SERVICE = b"""UnitFileState=enabled
LoadState=loaded
ActiveState=active
NeedDaemonReload=no
ExecMainStartTimestamp=Fri 2026-11-27 17:24:53.123456 UTC
InactiveExitTimestamp=Fri 2026-11-27 17:24:52.000001 UTC
"""
TIMER = b"LoadState=loaded\nActiveState=inactive\nUnitFileState=static\nNeedDaemonReload=yes\nInactiveExitTimestamp=\n"
ABSENT = b"ExecMainStartTimestamp=\nInactiveExitTimestamp=\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n"


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        (SERVICE, Found("loaded", "active", "enabled", stale=False, started=1795800293.123456)),
        (
            SERVICE.replace(b"ExecMainStartTimestamp=Fri 2026-11-27 17:24:53.123456 UTC\n", b""),
            Found("loaded", "active", "enabled", stale=False, started=1795800292.000001),
        ),
        (TIMER, Found("loaded", "inactive", "static", stale=True, started=None)),
        (ABSENT, Found("not-found", "inactive", "", stale=False, started=None)),
    ],
)
def test_what_systemctl_shows_is_understood(shown: bytes, found: Found) -> None:
    """The main process counts, where there is one: what it read at its start is what it has loaded."""
    assert parse_unit(Completed(Command(("systemctl",)), 0, shown, b"")) == found


def _failure(systemd: FakeSystemd, unit: Unit) -> NotAsDeclared:
    systemd.host.facts.clear()
    error = systemd.host.apply(unit.check, read_only=True).exception
    assert isinstance(error, NotAsDeclared), error
    return error


WRONG: dict[str, tuple[Unit, dict[str, Any], str, list[str]]] = {
    "stopped": (NTP, {"active": "inactive"}, "ntp.service is inactive", ["start"]),
    "failed": (NTP, {"active": "failed"}, "ntp.service is failed", ["start"]),
    "disabled": (NTP, {"enabled": "disabled"}, "ntp.service is disabled", ["enable"]),
    "until reboot": (NTP, {"enabled": "enabled-runtime"}, "ntp.service is enabled-runtime", ["enable"]),
    "both": (NTP, {"active": "inactive", "enabled": "disabled"}, "ntp.service is inactive", ["enable", "start"]),
    "running": (OFF, {"enabled": "disabled"}, "ntp.service is active", ["stop"]),
    "enabled": (OFF, {"active": "inactive"}, "ntp.service is enabled", ["disable"]),
}


@pytest.mark.parametrize("way", WRONG)
def test_a_unit_that_is_not_as_declared_is_named_and_repaired(way: str) -> None:
    """With these orders and no other; then it is as declared, and a second set-up orders nothing."""
    unit, state, what, orders = WRONG[way]
    systemd = FakeSystemd(**state)

    error = _failure(systemd, unit)
    systemd.host.apply(unit)
    again = systemd.host.apply(unit)

    assert error.what == what
    assert error.seen == f"ntp.service is {state.get('active', 'active')}, {state.get('enabled', 'enabled')}"
    assert systemd.host.altering == [f"systemctl {verb} ntp.service" for verb in orders]
    assert outcome_of(again) is Outcome.UNCHANGED
    assert systemd.host.apply(unit.check).exception is None


@pytest.mark.parametrize(("unit", "says"), [(NTP, "active, starts at boot"), (OFF, "inactive, does not start at boot")])
def test_the_check_says_what_is_expected(unit: Unit, says: str) -> None:
    systemd = FakeSystemd() if unit.running else FakeSystemd(active="inactive", enabled="disabled")

    assert systemd.host.apply(unit.check).result == f"ntp.service is {says}"


@pytest.mark.parametrize("enabled", ["static", "alias", "indirect", "generated"])
def test_a_unit_that_cannot_be_enabled_is_as_declared(enabled: str) -> None:
    """It has nothing that `enable` could change, and `disable` neither."""
    for unit in (NTP, Unit("ntp.service", enabled=False)):
        assert outcome_of(FakeSystemd(enabled=enabled).host.apply(unit)) is Outcome.UNCHANGED


def test_a_unit_that_is_not_there_or_masked_is_named() -> None:
    """One that shall be off, and is not there at all, is as declared; a masked one could be started by nobody."""
    assert _failure(FakeSystemd(load="not-found"), NTP).what == "ntp.service is not there"
    assert _failure(FakeSystemd(load="masked", active="inactive"), NTP).what == "ntp.service is masked"
    for unit in (Unit("ntp.service", enabled=False), Unit("ntp.service", running=False)):
        assert _failure(FakeSystemd(load="not-found"), unit).what == "ntp.service is not there"
    assert outcome_of(FakeSystemd(load="not-found").host.apply(OFF)) is Outcome.UNCHANGED


def _set_up(systemd: FakeSystemd, *units: Unit) -> None:
    for resource in (CONF, *units):
        assert systemd.host.apply(resource).exception is None


def test_a_unit_is_restarted_for_what_was_written_after_its_start() -> None:
    """Once; also when the run that wrote was killed before, and when somebody else wrote."""
    systemd = FakeSystemd()
    systemd.host.apply(CONF)

    _set_up(systemd, READING, READING)
    assert systemd.host.altering == ["systemctl restart ntp.service"]
    assert systemd.host.apply(READING.check).exception is None

    systemd.host.files.touch("/etc/ntp/ntp.conf")
    error = _failure(systemd, READING)
    assert error.what == "ntp.service has not loaded what /etc/ntp/ntp.conf says now"
    assert error.seen == "ntp.service is active, enabled, and started before /etc/ntp/ntp.conf changed"
    assert outcome_of(systemd.host.apply(READING)) is Outcome.CHANGED


def test_a_unit_that_was_started_anyway_is_not_restarted() -> None:
    systemd = FakeSystemd(active="inactive")

    _set_up(systemd, READING)

    assert systemd.host.altering == ["systemctl start ntp.service"]


def test_a_unit_that_shall_not_run_is_not_restarted() -> None:
    systemd = FakeSystemd(active="inactive", enabled="disabled")

    _set_up(systemd, Unit("ntp.service", running=False, enabled=False, restart_on=(CONF,)))

    assert systemd.host.altering == []


def test_a_folder_counts_as_changed_when_something_in_it_did() -> None:
    systemd = FakeSystemd()
    unit = Unit("ntp.service", restart_on=("/etc/ntp", "/etc/no-such-file"))

    _set_up(systemd, unit, unit)

    assert systemd.host.altering == ["systemctl restart ntp.service"]


def test_a_plan_promises_the_restart_that_a_promised_file_needs() -> None:
    """And none for a file that this host shall not have, or that is right already."""
    systemd = FakeSystemd()

    planned = systemd.host.apply(READING, dry_run=True)
    assert (outcome_of(planned), planned.result) == (Outcome.PLANNED, "restart ntp.service")

    absent = Unit("ntp.service", restart_on=(File("/etc/ntp/other", "x", unless=lambda _: "no"),))
    assert outcome_of(systemd.host.apply(absent, dry_run=True)) is Outcome.UNCHANGED
    _set_up(systemd, READING)
    assert outcome_of(systemd.host.apply(READING, dry_run=True)) is Outcome.UNCHANGED


def test_a_unit_file_that_systemd_has_not_read_is_read_first() -> None:
    systemd = FakeSystemd(active="inactive")
    systemd.stale = True

    systemd.host.apply(NTP)

    assert systemd.host.altering == ["systemctl daemon-reload", "systemctl start ntp.service"]


def _rolled_back(systemd: FakeSystemd, unit: Unit) -> list[str]:
    """The orders of a rollback in a component's order: the unit, the file, then what is left for the unit."""
    systemd.host.commands.clear()
    last: list[Callable[..., Any]] = [unit.after_rollback] if unit.last_step else []
    for step in (unit.roll_back, CONF.roll_back, *last):
        assert systemd.host.apply(step).exception is None
    assert systemd.host.change_log.changes() == []
    return [command for command in systemd.host.altering if command != "true"]


def test_rollback_restarts_what_ran_before_with_what_it_read_before() -> None:
    """After the file is put back, and not before."""
    systemd = FakeSystemd()
    _set_up(systemd, READING)

    assert _rolled_back(systemd, READING) == ["systemctl restart ntp.service"]
    assert systemd.started > systemd.host.files.changed["/etc/ntp/ntp.conf"]


BEFORE: dict[str, tuple[Unit, dict[str, Any], list[str]]] = {
    "off": (NTP, {"active": "inactive", "enabled": "disabled"}, ["disable", "stop"]),
    "disabled": (NTP, {"enabled": "disabled"}, ["disable"]),
    "stopped": (NTP, {"active": "inactive"}, ["stop"]),
    "on": (OFF, {}, ["enable", "start"]),
    "reading, off": (READING, {"active": "inactive"}, ["stop"]),
    "as declared": (NTP, {}, []),
}


@pytest.mark.parametrize("state", BEFORE)
def test_rollback_gives_a_unit_back_its_state(state: str) -> None:
    """With these orders and no other; a second rollback has none."""
    unit, before, orders = BEFORE[state]
    systemd = FakeSystemd(**before)
    _set_up(systemd, unit)

    assert _rolled_back(systemd, unit) == [f"systemctl {verb} ntp.service" for verb in orders]
    assert (systemd.active, systemd.enabled) == (before.get("active", "active"), before.get("enabled", "enabled"))
    assert _rolled_back(systemd, unit) == []


def test_rollback_of_a_unit_that_somebody_stopped_starts_what_ran_before() -> None:
    systemd = FakeSystemd()
    _set_up(systemd, READING)
    systemd.active = "inactive"

    assert _rolled_back(systemd, READING)[0] == "systemctl start ntp.service"


@pytest.mark.parametrize("unit", [NTP, READING])
def test_rollback_forgets_a_unit_that_has_gone(unit: Unit) -> None:
    """Its package went, and the unit with it, before or after the unit's own turn."""
    for gone in (0, 1):
        systemd = FakeSystemd(enabled="disabled")
        _set_up(systemd, unit)
        for turn, step in enumerate((unit.roll_back, CONF.roll_back, unit.after_rollback)):
            systemd.load = "not-found" if turn >= gone else "loaded"
            systemd.host.facts.clear()
            assert systemd.host.apply(step).exception is None
        assert systemd.host.change_log.changes() == []
        assert not [command for command in systemd.host.altering if "restart" in command[10:]] or unit is READING


def test_starting_may_take_long() -> None:
    """systemd itself waits for 90 s, and a stop comes before."""
    systemd = FakeSystemd(active="inactive", enabled="disabled")
    _set_up(systemd, NTP)
    _rolled_back(systemd, NTP)
    reading = FakeSystemd()
    _set_up(reading, READING)
    _rolled_back(reading, READING)

    orders = {**systemd.host.timeouts, **reading.host.timeouts}
    found = {line.rpartition("systemctl ")[2]: s for line, s in orders.items() if "systemctl " in line}
    assert {verb for verb, s in found.items() if round(s) == 150} == {
        f"{verb} ntp.service" for verb in ("start", "stop", "enable", "disable", "restart")
    }


def test_a_unit_with_nothing_to_read_asks_for_no_times() -> None:
    assert [fact.name for fact in NTP.facts(None)] == ["unit ntp.service"]  # type: ignore[arg-type]
    assert [fact.name for fact in READING.facts(None)] == [  # type: ignore[arg-type]
        "unit ntp.service",
        "changes of /etc/ntp/ntp.conf",
    ]


def test_a_plan_of_a_rollback_changes_nothing() -> None:
    systemd = FakeSystemd(active="inactive")
    _set_up(systemd, READING)
    systemd.host.commands.clear()

    planned = systemd.host.apply(READING.roll_back, dry_run=True)

    assert outcome_of(planned) is Outcome.PLANNED
    assert systemd.host.altering == []
