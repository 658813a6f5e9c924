"""What goes on by itself on a host after a command has returned: services that come up, an agent that looks again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from thinkube_nornir.lab.emulation import LabHost

_log = logging.getLogger(__name__)


def begin(host: LabHost, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    _tasks(host).add(task)
    task.add_done_callback(lambda done: _ended(host, done))


def end(host: LabHost) -> None:
    """Whatever it was is no more: its snap was removed."""
    for task in list(_tasks(host)):
        task.cancel()


async def quiet(hosts: Mapping[str, LabHost], longest: float) -> None:
    """Wait until nothing goes on, or for so many seconds: an agent may repeat what fails for ever."""
    clock = asyncio.get_running_loop().time
    until = clock() + longest
    while (busy := [task for host in hosts.values() for task in _tasks(host)]) and clock() < until:
        await asyncio.wait(busy, timeout=until - clock(), return_when=asyncio.FIRST_COMPLETED)


def _tasks(host: LabHost) -> set[asyncio.Task[None]]:
    found: set[asyncio.Task[None]] = host.state.setdefault("background", set())
    return found


def _ended(host: LabHost, task: asyncio.Task[None]) -> None:
    _tasks(host).discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%s: what went on in the background failed", host.name, exc_info=error)
