"""The lab process's control socket: one JSON request per connection, one JSON answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.lab import faults

if TYPE_CHECKING:
    from thinkube_nornir.lab.server import LightLab


class Control:
    def __init__(self, lab: LightLab) -> None:
        self._lab = lab

    async def open(self, path: Path) -> None:
        os.chdir(path.parent)  # a socket's path must be short; the folder's may be long
        await asyncio.start_unix_server(self._answer, path.name)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            request = json.loads(await reader.readline())
            try:
                answer = await self._do(request)
            except ThinkubeError as error:
                answer = {"error": {"what": error.what, "why": error.why, "fix": error.fix}}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
            if request["do"] == "end":
                self._lab.ended.set()
                await reader.read()  # open until the process has ended, which tells the client so

    async def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        do = request["do"]
        if do == "snapshot":
            return self._snapshot(request["host"])
        if do == "fault":
            self._lab.used()
            await self._fault(**request["fault"])
        return self._lab.description()

    def _snapshot(self, name: str) -> dict[str, Any]:
        emulation = self._lab.emulation
        state = emulation.snapshot(self._lab) if hasattr(emulation, "snapshot") else {}
        return {"files": self._lab.machines[name].disk_state(), "emulation": state}

    async def _fault(self, *, host: str, kind: str, seconds: float = faults.RESTART, count: int = 0) -> None:
        if host not in self._lab.machines:
            raise ThinkubeError(f"the lab has no host {host}", fix=did_you_mean(host, self._lab.machines))
        link, machine = self._lab.links[host], self._lab.machines[host]
        match kind:
            case faults.REPAIR:
                await link.repair()
                machine.fill(full=False)
            case "dead":
                await link.close()
            case "silent":
                link.silence()
            case "slow":
                link.slow(seconds)
            case "cut" if count:
                link.cut_after(count)
            case "cut":
                link.cut()
            case "sshd":
                await link.close()
                asyncio.get_running_loop().call_later(seconds, lambda: self._back(host))
            case "full":
                machine.fill(full=True)
            case _:
                raise ThinkubeError(f"the lab knows no fault {kind}", fix=did_you_mean(kind, faults.FAULTS))

    def _back(self, host: str) -> None:
        self._repairs = asyncio.ensure_future(self._lab.links[host].repair())
