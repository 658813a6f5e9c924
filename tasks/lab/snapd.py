"""snap, for MicroK8s and for snaps that only have to be there; each verb stands in a module snap_*.py.

Source: canonical/snapd@2.66.1 cmd/snap/main.go
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tasks.lab import snap_orders, snap_reports, snap_services
from tasks.lab.snap_client import USAGE, failed
from tasks.lab.state import machine
from tasks.lab.tool import tool
from thinkube_nornir.lab.emulation import Call, Reply

VERBS: dict[str, Callable[[Call, list[str]], Awaitable[Reply]]] = {
    "install": snap_orders.install,
    "refresh": snap_orders.refresh,
    "remove": snap_orders.remove,
    "enable": snap_orders.enable,
    "list": snap_reports.list_snaps,
    "info": snap_reports.info,
    "changes": snap_reports.list_changes,
    "tasks": snap_reports.tasks,
    "change": snap_reports.tasks,
    "wait": snap_reports.wait,
    "version": snap_reports.version,
    "debug": snap_reports.debug,
    "saved": snap_reports.saved,
    "services": snap_services.services,
    "start": snap_services.start,
    "stop": snap_services.stop,
    "restart": snap_services.restart,
}


@tool
async def snap(call: Call) -> Reply:
    verb, *rest = list(call.argv[1:]) or [""]
    if verb not in VERBS:
        raise failed(f"unknown command \"{verb}\", see 'snap help'.", USAGE)
    units = machine(call.host).units
    if not units["snapd"].active and not units["snapd.socket"].active:
        refused = "dial unix /run/snapd.socket: connect: connection refused"
        raise failed(f"cannot communicate with server: {refused}")
    return await VERBS[verb](call, rest)
