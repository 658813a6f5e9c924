"""systemctl, for the units the lab knows: snapd, systemd-resolved, BIND, MicroK8s' services.

Source: systemd/systemd@0f42bd35594b src/systemctl/systemctl-is-active.c
Source: systemd/systemd@03b645833f09 src/systemctl/systemctl-is-enabled.c
Source: systemd/systemd@032b3f518ccd src/systemctl/systemctl-list-units.c
Source: systemd/systemd@2eb06e003777 src/systemctl/systemctl-reset-failed.c
Source: systemd/systemd@0080384ceacf src/systemctl/systemctl-util.c
Unproven: what systemctl says to a user who may not change a unit, and what `systemctl status` prints.
"""

# ruff: noqa: ARG001
# The handlers of one table share a signature.

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from tasks.lab import resolver
from tasks.lab.microk8s import services
from tasks.lab.state import Unit, machine
from tasks.lab.tool import Arguments, ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, LabHost, Reply

UNITS = {
    "snapd": "Snap Daemon",
    "snapd.socket": "Socket activation for snappy daemon",
    "systemd-resolved": "Network Name Resolution",
    "systemd-networkd": "Network Configuration",
    "systemd-timesyncd": "Network Time Synchronization",
    "ssh": "OpenBSD Secure Shell server",
    "zerotier-one": "ZeroTier One",
}
SUFFIXES = (".service", ".socket", ".timer")
FAILED_CHANGE = 5
NOT_ACTIVE, NO_SUCH_UNIT = 3, 4


def units_of(host: LabHost) -> dict[str, Unit]:
    known = dict(UNITS)
    if host.groups & {"dns", "dns_servers"}:
        known["named"] = "BIND Domain Name Server"
    return {name: Unit(name, description=text) for name, text in known.items()}


def full_name(name: str) -> str:
    return name if name.endswith(SUFFIXES) else f"{name}.service"


def find(host: LabHost, name: str) -> Unit | None:
    return machine(host).units.get(name.removesuffix(".service"))


def loaded(host: LabHost, name: str) -> Unit | None:
    unit = find(host, name)
    return unit if unit is not None and unit.loaded else None


async def start(host: LabHost, unit: Unit) -> None:
    """Start or restart a unit, with what its program does at start."""
    unit.restarts += unit.active
    unit.active, unit.failed, unit.started = True, False, time.time()
    if unit.name == "systemd-resolved":
        resolver.load(host)
    if unit.name.startswith(services.PREFIX):
        await services.started(host, unit.name.removeprefix(services.PREFIX))


async def stop(host: LabHost, unit: Unit) -> None:
    unit.active = False
    if unit.name.startswith(services.PREFIX):
        await services.stopped(host, unit.name.removeprefix(services.PREFIX))


@tool
async def systemctl(call: Call) -> Reply:
    given = parse(
        call.argv[1:],
        flags=(
            "--value",
            "--quiet",
            "-q",
            "--now",
            "--no-pager",
            "--no-legend",
            "--plain",
            "--all",
            "-a",
            "--wait",
            "--full",
            "-l",
        ),
        values=("-p", "--property", "--type", "-t", "--state", "--timestamp"),
        unknown=lambda option: ToolError(1, f"systemctl: unrecognized option '{option}'\n"),
        missing=lambda option: ToolError(1, f"systemctl: option '{option}' requires an argument\n"),
    )
    verb, *names = given.words or ["list-units"]
    if verb in _CHANGES:
        return await _change(call, verb, names, given)
    if verb in _READS:
        return _READS[verb](call.host, names, given)
    raise ToolError(1, f"Unknown command verb {verb}.\n")


async def _change(call: Call, verb: str, names: list[str], given: Arguments) -> Reply:
    if call.user != "root":
        raise ToolError(
            1, f"Failed to {verb} {full_name(names[0]) if names else ''}: Interactive authentication required.\n"
        )
    if not names:
        raise ToolError(1, "Too few arguments.\n")
    for name in names:
        unit = find(call.host, name) if verb == "reset-failed" else loaded(call.host, name)
        if unit is None:
            raise _no_such_unit(verb, full_name(name))
        if verb in ("enable", "disable"):
            unit.enabled = verb == "enable"
        if verb in ("enable", "disable") and "--now" not in given.flags:
            continue
        await _CHANGES[verb](call.host, unit)
    return Reply()


def _no_such_unit(verb: str, name: str) -> ToolError:
    if verb in ("enable", "disable"):
        return ToolError(1, f"Failed to {verb} unit: Unit file {name} does not exist.\n")
    if verb == "reset-failed":
        return ToolError(1, f"Failed to reset failed state of unit {name}: Unit {name} not loaded.\n")
    return ToolError(FAILED_CHANGE, f"Failed to {verb} {name}: Unit {name} not found.\n")


async def _try_restart(host: LabHost, unit: Unit) -> None:
    if unit.active:
        await start(host, unit)


async def _reset_failed(host: LabHost, unit: Unit) -> None:
    unit.failed = False
    if not unit.loaded:
        del machine(host).units[unit.name]


async def _nothing(host: LabHost, unit: Unit) -> None:
    """A reload of a unit here changes nothing that others see."""


_CHANGES: dict[str, Callable[[LabHost, Unit], Awaitable[None]]] = {
    "start": start,
    "restart": start,
    "stop": stop,
    "enable": start,
    "disable": stop,
    "try-restart": _try_restart,
    "reload-or-restart": start,
    "reload": _nothing,
    "reset-failed": _reset_failed,
}


def _is_active(host: LabHost, names: list[str], given: Arguments) -> Reply:
    units = [find(host, n) for n in names]
    shown = "".join(f"{u.state if u else 'inactive'}\n" for u in units)
    quiet = bool(given.flags & {"-q", "--quiet"})
    known = any(u and u.loaded for u in units)
    status = 0 if any(u and u.active for u in units) else NOT_ACTIVE if known else NO_SUCH_UNIT
    return Reply(status, "" if quiet else shown)


def _is_enabled(host: LabHost, names: list[str], given: Arguments) -> Reply:
    units = [find(host, n) for n in names]
    shown = "".join(f"{'not-found' if u is None else 'enabled' if u.enabled else 'disabled'}\n" for u in units)
    status = 0 if any(u and u.enabled for u in units) else 1 if any(units) else NO_SUCH_UNIT
    return Reply(status, "" if given.flags & {"-q", "--quiet"} else shown)


def _show(host: LabHost, names: list[str], given: Arguments) -> Reply:
    style = given.values.get("--timestamp", ["pretty"])[-1]
    if style not in _TIMES:
        raise ToolError(1, f"Invalid value: {style}.\n")
    wanted = [w for o in ("-p", "--property") for v in given.values.get(o, ()) for w in v.split(",")]
    shown = []
    for name in names:
        properties = _properties(name, find(host, name), _TIMES[style])
        lines = [(k, v) for k, v in properties.items() if not wanted or k in wanted]
        shown.append("".join(f"{v}\n" if "--value" in given.flags else f"{k}={v}\n" for k, v in lines))
    return Reply(0, "\n".join(shown))


_TIMES = {"pretty": "%a %Y-%m-%d %H:%M:%S UTC", "us+utc": "%a %Y-%m-%d %H:%M:%S.%f UTC"}
"""What `--timestamp=` takes, as far as it is used here, and what it makes of a time.

Source: systemd/systemd@0086ef19cb9f src/systemctl/systemctl-show.c
"""


def _properties(name: str, unit: Unit | None, times: str) -> dict[str, str]:
    if unit is None:
        return {
            "Id": full_name(name),
            "LoadState": "not-found",
            "ActiveState": "inactive",
            "SubState": "dead",
            "UnitFileState": "",
            "NeedDaemonReload": "no",
            "ExecMainStartTimestamp": "",
            "InactiveExitTimestamp": "",
        }
    started = datetime.fromtimestamp(unit.started, UTC).strftime(times)
    return {
        "Id": full_name(name),
        "LoadState": "loaded" if unit.loaded else "not-found",
        "ActiveState": unit.state,
        "SubState": unit.sub,
        "UnitFileState": "enabled" if unit.enabled else "disabled",
        "NeedDaemonReload": "no",
        "ExecMainStartTimestamp": started,
        "InactiveExitTimestamp": started,
        "NRestarts": "0",
        "Description": unit.description,
    }


def _status(host: LabHost, names: list[str], given: Arguments) -> Reply:
    text, worst = "", 0
    for name in names:
        unit = loaded(host, name)
        if unit is None:
            raise ToolError(NO_SUCH_UNIT, f"Unit {full_name(name)} could not be found.\n", text)
        sign, sub = ("●", "running") if unit.active else ("○", "dead")
        enabled = "enabled" if unit.enabled else "disabled"
        text += f"{sign} {full_name(name)} - {unit.description}\n     Loaded: loaded ({full_name(name)}; {enabled})\n"
        text += f"     Active: {unit.state} ({sub})\n"
        worst = worst if unit.active else NOT_ACTIVE
    return Reply(worst, text)


def _list_units(host: LabHost, names: list[str], given: Arguments) -> Reply:
    every = bool(given.flags & {"--all", "-a"})
    states = {state for text in given.values.get("--state", ()) for state in text.split(",")}
    chosen = [u for u in machine(host).units.values() if u.active or u.failed or every]
    if states:
        chosen = [u for u in chosen if u.state in states]
    if names:
        chosen = [u for u in chosen if any(_fits(full_name(u.name), n) for n in names)]
    rows = [
        f"{full_name(u.name)} {'loaded' if u.loaded else 'not-found'} {u.state} {u.sub} {u.description}\n"
        for u in sorted(chosen, key=lambda u: u.name)
    ]
    head = "" if "--no-legend" in given.flags else "UNIT LOAD ACTIVE SUB DESCRIPTION\n"
    tail = "" if "--no-legend" in given.flags else f"\n{len(rows)} loaded units listed.\n"
    return Reply(0, head + "".join(rows) + tail)


def _fits(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == full_name(pattern)


def _is_system_running(host: LabHost, names: list[str], given: Arguments) -> Reply:
    return Reply(0, "running\n")


def _daemon_reload(host: LabHost, names: list[str], given: Arguments) -> Reply:
    return Reply()


_READS: dict[str, Callable[[LabHost, list[str], Arguments], Reply]] = {
    "is-active": _is_active,
    "is-enabled": _is_enabled,
    "show": _show,
    "status": _status,
    "list-units": _list_units,
    "is-system-running": _is_system_running,
    "daemon-reload": _daemon_reload,
}
