"""snapd's changes: it does the work, one change of a snap at a time, and remembers what it did.

A `snap` that is killed does not stop a change. A change of a snap that another one is at work on is refused; a snap's
own (install, refresh, remove) with exit status 10, one of its services with 1.

Source: canonical/snapd@2.66.1 overlord/snapstate/conflict.go
Source: canonical/snapd@2.66.1 daemon/api_apps.go
Source: canonical/snapd@2.66.1 overlord/hookstate/ctlcmd/helpers.go
Source: canonical/snapd@2.66.1 cmd/snap/cmd_changes.go
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from tasks.lab.snap_client import FAILED, RETRY, failed
from tasks.lab.tool import ToolError
from thinkube_nornir.lab.emulation import LabHost, pause

SERVICES = "service-control"
DAY = 86400.0


@dataclass
class SnapChange:
    number: int
    kind: str
    summary: str
    status: str = "Doing"
    affects: frozenset[str] = frozenset()
    """Snaps of which no other change is accepted meanwhile."""
    listed: frozenset[str] = frozenset()
    """Snaps under whose name `snap changes NAME` shows it; what snapctl asks for is under none."""
    spawned: float = field(default_factory=time.time)
    ready: float | None = None
    error: str = ""
    work: asyncio.Task[None] | None = None


def changes(host: LabHost) -> list[SnapChange]:
    """All since yesterday, oldest first."""
    found: list[SnapChange] = host.state.setdefault("snap changes", _history())
    return found


def _history() -> list[SnapChange]:
    """A server that was set up yesterday, where somebody's MicroK8s could not be installed."""
    then = time.time() - DAY
    entries = (
        ("seed", "Initialize system state", "Done"),
        ("become-operational", "Initialize device", "Done"),
        ("install-snap", 'Install "microk8s" snap from "1.30/stable" channel', "Error"),
        ("auto-refresh", 'Auto-refresh snap "snapd"', "Undone"),
        ("refresh-snap", 'Refresh "snapd" snap', "Hold"),
    )
    return [
        SnapChange(number, kind, summary, status, spawned=then + number, ready=then + number + 1)
        for number, (kind, summary, status) in enumerate(entries, 1)
    ]


def must_be_free(host: LabHost, *snaps: str, status: int = RETRY) -> None:
    """Raises ToolError: a change of one of these snaps is in progress."""
    for change in changes(host):
        busy = sorted(change.affects & set(snaps))
        if change.ready is None and busy:
            raise failed(f'snap "{busy[0]}" has "{change.kind}" change in progress', status)


def begin(
    host: LabHost, kind: str, summary: str, snap: str, work: Coroutine[Any, Any, None], *, listed: bool = True
) -> SnapChange:
    """Raises ToolError: another change of this snap is in progress."""
    try:
        must_be_free(host, snap, status=FAILED if kind == SERVICES else RETRY)
    except ToolError:
        work.close()
        raise
    names = frozenset({snap})
    change = SnapChange(len(changes(host)) + 1, kind, summary, affects=names, listed=names if listed else frozenset())
    changes(host).append(change)
    change.work = asyncio.ensure_future(_do(change, work))
    return change


async def _do(change: SnapChange, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
        change.status = "Done"
    except ToolError as error:
        change.status, change.error = "Error", str(error.reply.stderr)
    finally:
        change.status = "Error" if change.status == "Doing" else change.status
        change.ready = time.time()


async def finished(change: SnapChange) -> None:
    """Wait as `snap` does: whoever waits may be killed.

    Raises:
        ToolError: the change failed.
    """
    if change.work is not None:
        await asyncio.shield(change.work)
    if change.error:
        raise ToolError(FAILED, change.error)


async def run(host: LabHost, kind: str, summary: str, snap: str, work: Coroutine[Any, Any, None]) -> None:
    await finished(begin(host, kind, summary, snap, work))


def noted(host: LabHost, kind: str, summary: str, snap: str) -> None:
    """A change without tasks: done at once, and refused by nothing."""
    names = frozenset({snap})
    changes(host).append(
        SnapChange(len(changes(host)) + 1, kind, summary, "Done", listed=names, ready=time.time()),
    )


def goes_on(host: LabHost, snap: str, seconds: float) -> None:
    """snapctl waits for a service for half of a hook's time and then gives up; snapd goes on with it.

    Unproven: how long services of MicroK8s are still being started after a join or a leave that has returned.
    """
    if all(change.ready for change in changes(host) if snap in change.affects):
        begin(
            *(host, SERVICES, f'Running service command for snap "{snap}"', snap),
            pause(host.lab, seconds),
            listed=False,
        )
