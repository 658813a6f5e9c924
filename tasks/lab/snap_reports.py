"""What snap shows: list, info, changes, tasks, saved, version; and wait.

All but `wait` is open to everybody: snapd lets nobody but root read a snap's configuration.

Source: canonical/snapd@2.66.1 cmd/snap/cmd_list.go
Source: canonical/snapd@2.66.1 cmd/snap/notes.go
Source: canonical/snapd@2.66.1 cmd/snap/cmd_changes.go
Source: canonical/snapd@2.66.1 cmd/snap/cmd_wait.go
Source: canonical/snapd@2.66.1 cmd/snap/cmd_version.go
Source: canonical/snapd@2.66.1 cmd/snap/cmd_debug_connectivity_check.go
Source: canonical/snapd@2.66.1 cmd/snap/cmd_snapshot.go
Source: canonical/snapd@2.66.1 daemon/api_snap_conf.go
Source: canonical/snapd@2.66.1 timeutil/human.go
Unproven: what `snap info` prints, but for the lines that name channels.
"""

# The handlers of one table share a signature.

from __future__ import annotations

import time

from tasks.lab import internet
from tasks.lab.channels import MINORS, release
from tasks.lab.snap_changes import changes
from tasks.lab.snap_client import USAGE, arguments, failed, must_be_root, snapd_version, table
from tasks.lab.state import Snap, machine
from thinkube_nornir.lab.emulation import Call, Reply, pause

SNAPSHOTS = "/var/lib/snapd/snapshots"
_POLL = 0.5  # seconds


def notes(snap: Snap) -> str:
    base = snap.name.startswith("core")
    shown = (("base", base), ("disabled", snap.disabled), ("classic", snap.classic), ("held", snap.held))
    return ",".join(word for word, on in shown if on) or ("snapd" if snap.name == "snapd" else "-")


async def list_snaps(call: Call, rest: list[str]) -> Reply:
    given = arguments(rest, flags=("--all",), values=("--color", "--unicode"))
    snaps = machine(call.host).snaps
    chosen = [snap for name, snap in sorted(snaps.items()) if not given.words or name in given.words]
    if not snaps and not given.words:
        return Reply(0, "", "No snaps are installed yet. Try 'snap install hello-world'.\n")
    if not chosen:
        raise failed("no matching snaps installed")
    rows = [(s.name, s.version, str(s.revision), s.channel, s.publisher, notes(s)) for s in chosen]
    return Reply(0, table(("Name", "Version", "Rev", "Tracking", "Publisher", "Notes"), *rows))


async def info(call: Call, rest: list[str]) -> Reply:
    given = arguments(rest, flags=("--verbose", "--abs-time"))
    name = given.words[0] if given.words else ""
    text = f"name:      {name}\nsummary:   Kubernetes for workstations and appliances\npublisher: Canonical**\n"
    if name in machine(call.host).snaps:
        snap = machine(call.host).snaps[name]
        text += f"tracking:     {snap.channel}\n"
        text += f"installed:          {snap.version}    ({snap.revision}) 180MB {notes(snap)}\n"
    if name != "microk8s":
        raise failed(f'no snap found for "{name}"')
    lines = [
        f"  {c}:      {release(name, c)[0]} ({release(name, c)[1]}) 180MB classic\n"
        for c in (f"1.{m}/stable" for m in MINORS)
    ]
    return Reply(0, f"{text}channels:\n{''.join(lines)}")


async def list_changes(call: Call, rest: list[str]) -> Reply:
    given = arguments(rest, flags=("--abs-time",))
    wanted = given.words[0] if given.words else ""
    if wanted.isdigit():
        raise failed(f"'snap changes' command expects a snap name, try 'snap tasks {wanted}'")
    chosen = [change for change in changes(call.host) if not wanted or wanted in change.listed]
    if not chosen:
        return Reply(0, "", "no changes found\n")
    rows = [(str(c.number), c.status, _human(c.spawned), _human(c.ready), c.summary) for c in chosen]
    return Reply(0, table(("ID", "Status", "Spawn", "Ready", "Summary"), *rows) + "\n")


async def tasks(call: Call, rest: list[str]) -> Reply:
    """Unproven: the tasks of a change; the lab shows one."""
    given = arguments(rest, flags=("--abs-time",), values=("--last",))
    found = next((change for change in changes(call.host) if str(change.number) in given.words), None)
    if found is None:
        raise failed(f'cannot find change with id "{(given.words or ["?"])[0]}"')
    row = (found.status, _human(found.spawned), _human(found.ready), found.summary)
    return Reply(0, table(("Status", "Spawn", "Ready", "Summary"), row) + "\n")


def _human(then: float | None) -> str:
    if then is None:
        return "-"
    here, today = time.localtime(then), time.localtime()
    day = "today" if here[:3] == today[:3] else "yesterday"
    return f"{day} at {time.strftime('%H:%M', here)} {time.strftime('%Z', here)}"


async def wait(call: Call, rest: list[str]) -> Reply:
    """Wait until a setting is true, for ever if need be; a host of the lab is seeded."""
    given = arguments(rest)
    if not given.words:
        raise failed("the required argument `<snap>` was not provided", USAGE)
    if given.words[1:] == []:
        raise failed("the required argument `<key>` was not provided")
    must_be_root(call)
    while given.words != ["system", "seed.loaded"]:
        await pause(call.host.lab, _POLL)
    return Reply()


async def version(call: Call, rest: list[str]) -> Reply:
    arguments(rest)
    own = f"{snapd_version(call.host)}+24.04"
    rows = (("snap", own), ("snapd", own), ("series", "16"), ("ubuntu", "24.04"))
    return Reply(0, table(*rows, ("kernel", "6.8.0-51-generic")))


async def debug(call: Call, rest: list[str]) -> Reply:
    """`snap debug connectivity`: snapd asks the store, and the host that it would download from."""
    if rest != ["connectivity"]:
        raise failed(f"unknown command \"{' '.join(rest[:1])}\", see 'snap help debug'.", USAGE)
    if internet.is_reached(call.host, internet.STORE):
        return Reply(0, "Connectivity status:\n * PASS\n")
    message = f"Connectivity status:\n * {internet.STORE}: unreachable\n"
    return Reply(1, message, "error: 1 servers unreachable\n")


async def saved(call: Call, rest: list[str]) -> Reply:
    arguments(rest)
    found = call.host.files.list(SNAPSHOTS)
    if not found:
        return Reply(0, "No snapshots found.\n")
    parts = [name.removesuffix(".zip").split("_") for name in found]
    rows = [(number, name, "0s", version, "-", "2B", "auto") for number, name, version in parts]
    return Reply(0, table(("Set", "Snap", "Age", "Version", "Rev", "Size", "Notes"), *rows))
