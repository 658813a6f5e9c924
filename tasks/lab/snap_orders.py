"""snap install, refresh (with --hold and --unhold), enable and remove.

Source: canonical/snapd@2.66.1 cmd/snap/cmd_snap_op.go
Source: canonical/snapd@2.58 cmd/snap/cmd_snap_op.go
Source: canonical/snapd@2.66.1 cmd/snap/error.go
Source: canonical/snapd@2.66.1 daemon/api_snaps.go
Source: canonical/snapd@2.66.1 overlord/snapstate/snapstate.go
Source: canonical/snapd@2.66.1 snap/channel/channel.go
"""

from __future__ import annotations

from dataclasses import replace

from tasks.lab import internet, snap_changes
from tasks.lab.channels import RISKS, channel_of, minor_of, release
from tasks.lab.microk8s import install as microk8s
from tasks.lab.microk8s import traces
from tasks.lab.snap_client import arguments, failed, must_be_root, names_in, snapd_version
from tasks.lab.snap_reports import SNAPSHOTS
from tasks.lab.state import Machine, Snap, machine
from tasks.lab.tool import Arguments, ToolError
from thinkube_nornir.lab.emulation import Call, LabHost, Reply, pause

HOLDS = (2, 58)
"""The first version of snapd that can hold refreshes."""
_CHANNELS = tuple(f"--{risk}" for risk in RISKS)
_WORK = 20.0
"""Seconds that snapd works at an order, the download left aside.

Unproven: how long snapd takes to install, refresh or remove MicroK8s; 20 s is a guess.
"""
_NOT_CLASSIC = (
    'error: This revision of snap "{}" was published using classic confinement and thus may\n'
    "       perform arbitrary system changes outside of the security sandbox that snaps are\n"
    "       usually confined to, which may put your system at risk.\n\n"
    "       If you understand and want to proceed repeat the command including --classic.\n"
)


def _wanted_channel(given: Arguments, name: str, default: str = "") -> str:
    risk = next((flag[2:] for flag in _CHANNELS if flag in given.flags), "")
    if risk and given.value("--channel"):
        raise failed("Please specify a single channel")
    return channel_of(name, given.value("--channel", risk or default))


async def install(call: Call, rest: list[str]) -> Reply:
    given = arguments(rest, flags=("--classic", "--no-wait", *_CHANNELS), values=("--channel",))
    host, (name, *more) = call.host, names_in(given)
    if more:
        raise failed("the lab installs one snap at a time")
    must_be_root(call)
    channel = _wanted_channel(given, name)
    if name in machine(host).snaps:
        return Reply(0, "", f"snap \"{name}\" is already installed, see 'snap help refresh'\n")
    if name == "microk8s" and "--classic" not in given.flags:
        raise ToolError(1, _NOT_CLASSIC.format(name))
    if not internet.is_reached(host, internet.STORE):
        raise failed("unable to contact snap store")
    version, revision = release(name, channel)
    snap = Snap(name, version, revision, channel, classic="--classic" in given.flags)
    summary = f'Install "{name}" snap{_from(given)}'
    await snap_changes.run(host, "install-snap", summary, name, _install(host, snap))
    return Reply(0, f"{name}{_shown(channel)} {version} from Canonical** installed\n")


def _from(given: Arguments) -> str:
    return f' from "{given.value("--channel")}" channel' if given.value("--channel") else ""


def _shown(channel: str) -> str:
    return "" if channel == "latest/stable" else f" ({channel})"


async def _install(host: LabHost, snap: Snap) -> None:
    await pause(host.lab, _WORK)
    if snap.name == "microk8s":
        await microk8s.install(host, snap.version)
        traces.appear(host, minor_of(snap.version))
    machine(host).snaps[snap.name] = snap


def _installed(now: Machine, name: str) -> Snap:
    if name not in now.snaps:
        raise failed(f'snap "{name}" is not installed')
    return now.snaps[name]


async def refresh(call: Call, rest: list[str]) -> Reply:
    rest = ["--hold=forever" if word == "--hold" else word for word in rest]
    holds = tuple(map(int, snapd_version(call.host).split(".")[:2])) >= HOLDS
    given = arguments(
        rest,
        flags=(*["--unhold"] * holds, "--classic", "--no-wait", *_CHANNELS),
        values=(*["--hold"] * holds, "--channel", "--color"),
    )
    must_be_root(call)
    if "--hold" in given.values or "--unhold" in given.flags:
        return _hold(call.host, given)
    snaps = [_installed(machine(call.host), name) for name in given.words]
    if len(snaps) > 1 and (given.value("--channel") or given.flags & set(_CHANNELS)):
        raise failed("a single snap name is needed to specify mode or channel flags")
    if len(snaps) != 1:
        return Reply(0, "", "All snaps up to date.\n")
    return await _refresh_one(call.host, snaps[0], given)


def _hold(host: LabHost, given: Arguments) -> Reply:
    """snapd writes down a hold at once: no other change of the snap is in its way."""
    if "--hold" in given.values and "--unhold" in given.flags:
        raise failed("cannot use --hold with other flags")
    snaps = [_installed(machine(host), name) for name in names_in(given)]
    held, names = "--hold" in given.values, ", ".join(f'"{name}"' for name in given.words)
    for snap in snaps:
        snap.held = held
        message = f'Hold general refreshes for "{snap.name}"' if held else f'Remove refresh hold on "{snap.name}"'
        snap_changes.noted(host, "hold-snap" if held else "unhold-snap", message, snap.name)
    if not held:
        return Reply(0, f"Removed general refresh hold of {names}\n")
    until = "indefinitely" if given.value("--hold") == "forever" else f"until {given.value('--hold')}"
    return Reply(0, f"General refreshes of {names} held {until}\n")


async def _refresh_one(host: LabHost, snap: Snap, given: Arguments) -> Reply:
    channel = _wanted_channel(given, snap.name, snap.channel)
    version, revision = release(snap.name, channel)
    snap_changes.must_be_free(host, snap.name)
    if (version, channel) == (snap.version, snap.channel):
        return Reply(0, "", f'snap "{snap.name}" has no updates available\n')
    new = replace(snap, version=version, revision=revision, channel=channel)
    await snap_changes.run(
        host, "refresh-snap", f'Refresh "{snap.name}" snap{_from(given)}', snap.name, _refresh(host, new)
    )
    return Reply(0, f"{snap.name}{_shown(channel)} {version} from Canonical** refreshed\n")


async def _refresh(host: LabHost, snap: Snap) -> None:
    await pause(host.lab, _WORK)
    machine(host).snaps[snap.name] = snap
    if snap.name == "microk8s":
        await microk8s.refresh(host, snap.version)


async def enable(call: Call, rest: list[str]) -> Reply:
    given = arguments(rest, flags=("--no-wait",), values=())
    must_be_root(call)
    (name,) = names_in(given)
    snap = _installed(machine(call.host), name)
    if not snap.disabled:
        raise failed(f'cannot enable "{name}": snap "{name}" already enabled')
    snap.disabled = False
    return Reply(0, f"{name} enabled\n")


async def remove(call: Call, rest: list[str]) -> Reply:
    """A snap that is not there is no error, and no reason to remove the others."""
    given = arguments(rest, flags=("--purge", "--terminate", "--no-wait"), values=("--revision",))
    host, names = call.host, names_in(given)
    must_be_root(call)
    if missing := [name for name in names if name not in machine(host).snaps]:
        return Reply(0, "", f'snap "{missing[0]}" is not installed\n')
    _must_be_removable(host, names)
    for name in names:
        work = _remove(host, name, keep="--purge" not in given.flags)
        await snap_changes.run(host, "remove-snap", f'Remove "{name}" snap', name, work)
    return Reply(0, "".join(f"{name} removed\n" for name in names))


def _must_be_removable(host: LabHost, names: list[str]) -> None:
    """A base is in use while a snap is installed; which one, the lab knows of MicroK8s alone.

    Source: canonical/snapd@2.66.1 overlord/snapstate/policy/base.go
    """
    users = sorted(name for name in machine(host).snaps if name == "microk8s" and name not in names)
    for name in names:
        if name.startswith("core") and users:
            used = f"snap is being used by snap {users[0]}"
            raise failed(f'cannot remove "{name}": snap "{name}" is not removable: {used}.')


async def _remove(host: LabHost, name: str, *, keep: bool) -> None:
    await pause(host.lab, _WORK)
    if name == "microk8s":
        await microk8s.remove(host)
        traces.stay(host)
    snap = machine(host).snaps.pop(name)
    if keep:
        host.files.write(f"{SNAPSHOTS}/1_{name}_{snap.version}.zip", b"PK")
