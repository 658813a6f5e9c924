"""snap services, start, stop and restart: changes of the kind service-control, which do not say of which snap.

Source: canonical/snapd@2.66.1 cmd/snap/cmd_services.go
Source: canonical/snapd@2.66.1 daemon/api_apps.go
Source: canonical/snapd@2.66.1 overlord/servicestate/servicestate.go
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tasks.lab import snap_changes, systemd
from tasks.lab.snap_client import arguments, failed, must_be_root, names_in, table
from tasks.lab.state import Unit, machine
from thinkube_nornir.lab.emulation import Call, LabHost, Reply, pause

SUMMARY = "Running service command"
_EACH = 2.0  # seconds


async def services(call: Call, rest: list[str]) -> Reply:
    given = arguments(rest, flags=("--global", "-g", "--user", "-u"))
    words = given.words or sorted(machine(call.host).snaps)
    units = [unit for word in words for unit in _units(call.host, word, named=bool(given.words))]
    if not units:
        return Reply(0, "", "There are no services provided by installed snaps.\n")
    rows = [("Service", "Startup", "Current", "Notes")]
    for unit in sorted(units, key=lambda unit: unit.name):
        startup = "enabled" if unit.enabled else "disabled"
        rows.append((unit.name.removeprefix("snap."), startup, "active" if unit.active else "inactive", "-"))
    return Reply(0, table(*rows))


async def start(call: Call, rest: list[str]) -> Reply:
    given = arguments(rest, flags=("--enable", "--no-wait"))

    async def each(unit: Unit) -> None:
        unit.enabled = unit.enabled or "--enable" in given.flags
        await systemd.start(call.host, unit)

    return await _control(call, names_in(given), each, "Started.\n")


async def stop(call: Call, rest: list[str]) -> Reply:
    given = arguments(rest, flags=("--disable", "--no-wait"))

    async def each(unit: Unit) -> None:
        unit.enabled = unit.enabled and "--disable" not in given.flags
        await systemd.stop(call.host, unit)

    return await _control(call, names_in(given), each, "Stopped.\n")


async def restart(call: Call, rest: list[str]) -> Reply:
    """A service named alone is started if it was not running; a whole snap restarts only what runs."""
    given = arguments(rest, flags=("--reload", "--no-wait"))

    async def each(unit: Unit) -> None:
        if unit.active or unit.name.removeprefix("snap.") in given.words:
            await systemd.start(call.host, unit)

    return await _control(call, names_in(given), each, "Restarted.\n")


async def _control(call: Call, words: list[str], each: Callable[[Unit], Awaitable[None]], message: str) -> Reply:
    must_be_root(call)
    units = [unit for word in words for unit in _units(call.host, word)]
    snaps = sorted({word.partition(".")[0] for word in words})
    for snap in snaps:
        mine = [unit for unit in units if unit.name.startswith(f"snap.{snap}.")]
        await snap_changes.run(call.host, snap_changes.SERVICES, SUMMARY, snap, _do(call.host, mine, each))
    return Reply(0, message)


async def _do(host: LabHost, units: list[Unit], each: Callable[[Unit], Awaitable[None]]) -> None:
    """Unproven: how long a service takes; two seconds each is a guess."""
    await pause(host.lab, _EACH * len(units))
    for unit in units:
        await each(unit)


def _units(host: LabHost, word: str, *, named: bool = True) -> list[Unit]:
    snap, _, service = word.partition(".")
    if snap not in machine(host).snaps:
        raise failed(f'snap "{snap}" not found')
    wanted = f"snap.{snap}.{service}" if service else ""
    found = [u for n, u in machine(host).units.items() if n.startswith(f"snap.{snap}.") and wanted in ("", n)]
    if not found and service:
        raise failed(f'snap "{snap}" has no service "{service}"')
    if not found and named:
        raise failed(f'snap "{snap}" has no services')
    return found
