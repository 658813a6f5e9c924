"""snap: install, hold, remove and the rest, for MicroK8s and for snaps that only have to be there."""

# ruff: noqa: ARG001
# The handlers of one table share a signature.

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from tasks.lab import systemd
from tasks.lab.channels import MINORS, RISKS, channel_of, release
from tasks.lab.microk8s import install as microk8s
from tasks.lab.state import Machine, Snap, machine
from tasks.lab.tool import Arguments, ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, LabHost, Reply, pause

_WORK = 20.0
"""Seconds that snapd works at an order, the download left aside.

Unproven: how long snapd takes to install, refresh or remove MicroK8s; 20 s is a guess.
"""
RETRY = 10  # the status of a command that cannot be carried out now


def unknown(verb: str) -> ToolError:
    return ToolError(1, f"error: unknown command \"{verb}\", see 'snap help'.\n")


@tool
async def snap(call: Call) -> Reply:
    verb, *rest = list(call.argv[1:]) or [""]
    if verb not in VERBS:
        raise unknown(verb)
    if verb in PRIVILEGED and call.user != "root":
        raise ToolError(1, "error: access denied (try with sudo)\n")
    if not machine(call.host).units["snapd"].active:
        raise ToolError(
            1, "error: cannot communicate with server: dial unix /run/snapd.socket: connect: connection refused\n"
        )
    return await VERBS[verb](call.host, rest)


def _parse(rest: list[str], flags: tuple[str, ...] = (), values: tuple[str, ...] = ()) -> Arguments:
    return parse(
        rest,
        flags=flags,
        values=values,
        unknown=lambda option: ToolError(1, f"error: unknown flag `{option.lstrip('-').partition('=')[0]}'\n"),
    )


def _in_progress(host: LabHost) -> dict[str, tuple[str, asyncio.Task[None]]]:
    changes: dict[str, tuple[str, asyncio.Task[None]]] = host.state.setdefault("snap changes", {})
    return changes


async def _change(host: LabHost, name: str, kind: str, work: Coroutine[Any, Any, None]) -> None:
    """snapd does the work: a `snap` that is killed meanwhile does not stop it, and a second change has to wait.

    Raises:
        ToolError: another change of this snap is in progress.
    """
    changes = _in_progress(host)
    if name in changes:
        work.close()
        raise ToolError(RETRY, f'error: snap "{name}" has "{changes[name][0]}" change in progress\n')
    task = asyncio.ensure_future(work)
    changes[name] = (kind, task)
    task.add_done_callback(lambda _: changes.pop(name))
    await asyncio.shield(task)


def _installed(now: Machine, name: str) -> Snap:
    if name not in now.snaps:
        raise ToolError(1, f'error: snap "{name}" is not installed\n')
    return now.snaps[name]


async def _install(host: LabHost, rest: list[str]) -> Reply:
    given = _parse(rest, flags=("--classic", "--stable", "--candidate", "--edge", "--no-wait"), values=("--channel",))
    if len(given.words) != 1:
        raise ToolError(1, "error: the required argument `<snap> (at least 1 argument)` was not provided\n")
    name = given.words[0]
    now = machine(host)
    if name in now.snaps:
        return Reply(0, "", f"snap \"{name}\" is already installed, see 'snap help refresh'\n")
    risk = next((f[2:] for f in given.flags if f[2:] in RISKS), "")
    channel = channel_of(name, given.value("--channel", risk))
    if name == "microk8s" and "--classic" not in given.flags:
        raise ToolError(
            1,
            'error: This revision of snap "microk8s" was published using classic confinement and thus may\n'
            "       perform arbitrary system changes outside of the security sandbox that snaps are\n"
            "       usually confined to, which may put your system at risk.\n\n"
            "       If you understand and want to proceed repeat the command including --classic.\n",
        )
    version, revision = release(name, channel)
    snap = Snap(name, version, revision, channel, classic="--classic" in given.flags)
    await _change(host, name, "install-snap", _do_install(host, snap))
    return Reply(0, f"{name} ({channel}) {version} from Canonical** installed\n")


async def _do_install(host: LabHost, snap: Snap) -> None:
    await pause(host.lab, _WORK)
    if snap.name == "microk8s":
        await microk8s.install(host, snap.version)
    machine(host).snaps[snap.name] = snap


def _notes(snap: Snap) -> str:
    notes = [w for w, on in (("disabled", snap.disabled), ("classic", snap.classic), ("held", snap.held)) if on]
    return ",".join(notes) or "-"


async def _list(host: LabHost, rest: list[str]) -> Reply:
    given = _parse(rest, flags=("--all",))
    now = machine(host)
    for name in given.words:
        if name not in now.snaps:
            raise ToolError(1, "error: no matching snaps installed\n")
    chosen = [s for n, s in sorted(now.snaps.items()) if not given.words or n in given.words]
    if not chosen:
        return Reply(0, "", "No snaps are installed yet. Try 'snap install hello-world'.\n")
    rows = [("Name", "Version", "Rev", "Tracking", "Publisher", "Notes")]
    rows += [(s.name, s.version, str(s.revision), s.channel, s.publisher, _notes(s)) for s in chosen]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return Reply(
        0, "".join("  ".join([*(c.ljust(w) for c, w in zip(r, widths, strict=False)), r[5]]) + "\n" for r in rows)
    )


async def _info(host: LabHost, rest: list[str]) -> Reply:
    given = _parse(rest)
    name = given.words[0] if given.words else ""
    text = f"name:      {name}\nsummary:   Kubernetes for workstations and appliances\npublisher: Canonical**\n"
    if name in machine(host).snaps:
        snap = machine(host).snaps[name]
        text += f"tracking:     {snap.channel}\n"
        text += f"installed:          {snap.version}    ({snap.revision}) 180MB {_notes(snap)}\n"
    if name != "microk8s":
        raise ToolError(1, f'error: no snap found for "{name}"\n')
    lines = [
        f"  {c}:      {release(name, c)[0]} ({release(name, c)[1]}) 180MB classic\n"
        for c in (f"1.{m}/stable" for m in MINORS)
    ]
    return Reply(0, f"{text}channels:\n{''.join(lines)}")


async def _refresh(host: LabHost, rest: list[str]) -> Reply:
    rest = ["--hold=forever" if w == "--hold" else w for w in rest]
    given = _parse(rest, flags=("--unhold", "--classic"), values=("--channel", "--hold"))
    now = machine(host)
    snaps = [_installed(now, name) for name in given.words]
    if "--hold" in given.values or "--unhold" in given.flags:
        for snap in snaps:
            snap.held = "--hold" in given.values
        names = ", ".join(f'"{s.name}"' for s in snaps)
        until = f"held {'indefinitely' if given.value('--hold') == 'forever' else 'for ' + given.value('--hold')}"
        return Reply(0, f"General refreshes of {names} {until if '--hold' in given.values else 'unheld'}\n")
    if len(snaps) != 1:
        return Reply(0, "", "All snaps up to date.\n")
    return await _to_channel(host, snaps[0], channel_of(snaps[0].name, given.value("--channel", snaps[0].channel)))


async def _to_channel(host: LabHost, snap: Snap, channel: str) -> Reply:
    version, revision = release(snap.name, channel)
    if (version, channel) == (snap.version, snap.channel):
        return Reply(0, "", f'snap "{snap.name}" has no updates available\n')
    new = replace(snap, version=version, revision=revision, channel=channel)
    await _change(host, snap.name, "refresh-snap", _do_refresh(host, new))
    return Reply(0, f"{snap.name} ({channel}) {version} from Canonical** refreshed\n")


async def _do_refresh(host: LabHost, snap: Snap) -> None:
    await pause(host.lab, _WORK)
    machine(host).snaps[snap.name] = snap
    if snap.name == "microk8s":
        await microk8s.refresh(host, snap.version)


async def _remove(host: LabHost, rest: list[str]) -> Reply:
    given = _parse(rest, flags=("--purge",))
    now = machine(host)
    if not given.words:
        raise ToolError(1, "error: the required argument `<snap> (at least 1 argument)` was not provided\n")
    shown, told = "", ""
    for name in given.words:
        if name not in now.snaps:
            told += f'snap "{name}" is not installed\n'
            continue
        await _change(host, name, "remove-snap", _do_remove(host, name, keep="--purge" not in given.flags))
        shown += f"{name} removed\n"
    return Reply(0, shown, told)


async def _do_remove(host: LabHost, name: str, *, keep: bool) -> None:
    await pause(host.lab, _WORK)
    if name == "microk8s":
        await microk8s.remove(host)
    snap = machine(host).snaps.pop(name)
    if keep:
        host.files.write(f"/var/lib/snapd/snapshots/1_{name}_{snap.version}.zip", b"PK")


def _service_units(host: LabHost, word: str) -> list[str]:
    name, _, service = word.partition(".")
    _installed(machine(host), name)
    units = [
        u
        for u in machine(host).units
        if u.startswith(f"snap.{name}.") and (not service or u == f"snap.{name}.{service}")
    ]
    if not units:
        raise ToolError(1, f'error: snap "{name}" has no service "{service}"\n')
    return units


async def _services(host: LabHost, rest: list[str]) -> Reply:
    given = _parse(rest)
    units = [u for w in given.words or list(machine(host).snaps) for u in _service_units(host, w)]
    rows = [("Service", "Startup", "Current", "Notes")]
    for name in sorted(units):
        unit = machine(host).units[name]
        rows.append((name.removeprefix("snap."), "enabled" if unit.enabled else "disabled", unit.state, "-"))
    widths = [max(len(r[i]) for r in rows) for i in range(3)]
    return Reply(
        0, "".join("  ".join([*(c.ljust(w) for c, w in zip(r, widths, strict=False)), r[3]]) + "\n" for r in rows)
    )


async def _start(host: LabHost, rest: list[str]) -> Reply:
    given = _parse(rest, flags=("--enable",))
    for name in [u for w in given.words for u in _service_units(host, w)]:
        unit = machine(host).units[name]
        unit.enabled = unit.enabled or "--enable" in given.flags
        await systemd.start(host, unit)
    return Reply(0, "Started.\n")


async def _stop(host: LabHost, rest: list[str]) -> Reply:
    given = _parse(rest, flags=("--disable",))
    for name in [u for w in given.words for u in _service_units(host, w)]:
        unit = machine(host).units[name]
        unit.enabled = unit.enabled and "--disable" not in given.flags
        await systemd.stop(host, unit)
    return Reply(0, "Stopped.\n")


async def _restart(host: LabHost, rest: list[str]) -> Reply:
    """A service named alone is started if it was not running; a whole snap restarts only what runs."""
    given = _parse(rest, flags=("--reload",))
    for word in given.words:
        for name in _service_units(host, word):
            unit = machine(host).units[name]
            if unit.active or "." in word:
                await systemd.start(host, unit)
    return Reply(0, "Restarted.\n")


async def _wait(host: LabHost, rest: list[str]) -> Reply:
    if rest != ["system", "seed.loaded"]:
        raise ToolError(1, f'error: snap "{rest[0] if rest else ""}" has no configuration to wait for in the lab\n')
    return Reply()


async def _changes(host: LabHost, rest: list[str]) -> Reply:
    """Only the changes that are in progress: finished ones are forgotten at once."""
    rows = [f"1    Doing   today at 10:00 UTC  -       {kind} {n}\n" for n, (kind, _) in _in_progress(host).items()]
    if not rows:
        return Reply(1, "", "error: no changes found\n")
    return Reply(0, "ID   Status  Spawn               Ready   Summary\n" + "".join(rows))


async def _version(host: LabHost, rest: list[str]) -> Reply:
    return Reply(0, "snap    2.66.1+24.04\nsnapd   2.66.1+24.04\nseries  16\nubuntu  24.04\n")


async def _saved(host: LabHost, rest: list[str]) -> Reply:
    found = host.files.list("/var/lib/snapd/snapshots")
    if not found:
        return Reply(0, "", "No snapshots found.\n")
    rows = [f"1    {n.split('_')[1]}  0s   {n.split('_')[2].removesuffix('.zip')}  -    2B    auto\n" for n in found]
    return Reply(0, "Set  Snap  Age  Version  Rev  Size  Notes\n" + "".join(rows))


VERBS = {
    "install": _install,
    "list": _list,
    "info": _info,
    "refresh": _refresh,
    "remove": _remove,
    "services": _services,
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "wait": _wait,
    "changes": _changes,
    "version": _version,
    "saved": _saved,
}
PRIVILEGED = {"install", "refresh", "remove", "start", "stop", "restart"}
