"""The lab inside its process: hosts, links, SSH servers, emulation, control socket."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncssh

from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.lab import accounts
from thinkube_nornir.lab.control import Control
from thinkube_nornir.lab.emulation import LabHost, Tool
from thinkube_nornir.lab.host import PATH, Host
from thinkube_nornir.lab.link import Link
from thinkube_nornir.lab.request import LabRequest
from thinkube_nornir.lab.ssh import server_options
from thinkube_nornir.lab.supervisor import REFUSED, Supervisor
from thinkube_nornir.lab.tools import ToolServer

PORTS = (2222, 22022, 42222)
_BLOCK = 256
_LAST_BLOCK = 127 * 2**24 + 250 * 2**16
_FIRST = 127 * 2**24 + 77 * 2**16
"""127.77.0.0: all of 127/8 answers on loopback."""

_log = logging.getLogger(__name__)


class LightLab:
    """Lab of emulation.py, with what keeps it alive."""

    def __init__(self, request: LabRequest, supervisor: Supervisor, folder: Path) -> None:
        self.request = request
        self.folder = folder
        self.state: dict[str, Any] = {}
        self.speed = request.speed
        self.ports: dict[tuple[str, str, int], tuple[str, int]] = {}
        self.since = time.time()
        self.links: dict[str, Link] = {}
        self.ended = asyncio.Event()
        self.emulation = _emulation(request)
        self._supervisor = supervisor
        self._used = time.monotonic()
        self.machines = {
            h.name: Host(self, h.name, h.login_user, h.settings, frozenset(h.groups), supervisor.channels[h.name])
            for h in request.hosts
        }
        self.hosts: Mapping[str, LabHost] = self.machines
        self.tools: Mapping[str, Tool] = {**accounts.TOOLS, **self.emulation.TOOLS}

    def used(self) -> None:
        """The lab is not idle."""
        self._used = time.monotonic()

    async def start(self) -> None:
        """Everything there and listening; what a client needs to know is then in `lab.json`."""
        try:
            await asyncio.gather(*(self._open(host) for host in self.machines.values()))
        except ConnectionResetError as error:
            why, refused, advice = self._supervisor.error().partition(REFUSED.splitlines()[0])
            raise ThinkubeError(
                "the lab could not make its hosts", why=why or str(error), fix=refused + advice
            ) from None
        await self.emulation.prepare(self)
        await self._link()
        keys = self._serve()
        await Control(self).open(self.folder / "control")
        self._describe(keys)

    async def until_idle(self) -> None:
        """Return when nothing has happened for the idle time, or somebody asks for the end."""
        while (left := self._used + self.request.idle - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self.ended.wait()
            except TimeoutError:
                continue
            return

    async def _open(self, host: Host) -> None:
        tools = await host.open()
        server = ToolServer(host, self.tools, self.used)
        await asyncio.start_unix_server(server.answer, sock=tools)
        accounts.install(host, PATH)
        for path, tool in self.emulation.INSTALLED.items():
            host.install(path, tool)

    async def _link(self) -> None:
        """Take the first port and block of addresses that no other lab, and nothing else, listens on."""
        for port in PORTS:
            for block in range(_FIRST, _LAST_BLOCK, _BLOCK):
                links = {name: Link(_dotted(block + i), port, self.used) for i, name in enumerate(self.machines, 1)}
                if await _opened(links):
                    self.links = links
                    return
        raise ThinkubeError(
            "no loopback address is free for the lab", why=f"ports {PORTS} are taken on all of 127.77-249.x.x"
        )

    def _serve(self) -> dict[str, asyncssh.SSHKey]:
        client_key = asyncssh.generate_private_key("ssh-ed25519")
        keys = {}
        for name, host in self.machines.items():
            keys[name] = asyncssh.generate_private_key("ssh-ed25519")
            self.links[name].serve(server_options(host, keys[name], client_key))
        self._write("key", client_key.export_private_key().decode(), 0o600)
        return keys

    def _describe(self, keys: dict[str, asyncssh.SSHKey]) -> None:
        lines = [
            f"[{self.links[n].address}]:{self.links[n].port} {k.export_public_key().decode().strip()}\n"
            for n, k in keys.items()
        ]
        self._write("known_hosts", "".join(lines), 0o600)
        self._write("lab.json", json.dumps(self.description()), 0o600)

    def description(self) -> dict[str, Any]:
        return {
            "fingerprint": self.request.fingerprint,
            "since": self.since,
            "emulated": list(self.emulation.EMULATED),
            "changed": self._changed_module(),
            "killed": [name for name, host in self.machines.items() if host.killed],
            "hosts": {
                name: {"address": link.address, "port": link.port, "user": self.machines[name].login_user}
                for name, link in self.links.items()
            },
        }

    def _changed_module(self) -> str:
        """A module whose file is newer than what runs here; empty when none is."""
        prefixes = (f"{Path(self.request.tasks).name}.", "thinkube_nornir.lab.")
        files = [Path(m.__file__) for n, m in list(sys.modules.items()) if n.startswith(prefixes) and m.__file__]
        newer = (file for file in files if file.exists() and file.stat().st_mtime > self.since)
        return next((f"{file.parent.name}/{file.name}" for file in newer), "")

    def _write(self, name: str, text: str, mode: int) -> None:
        new = self.folder / f".{name}"
        new.touch(mode=mode)
        new.write_text(text)
        new.replace(self.folder / name)


def _emulation(request: LabRequest) -> ModuleType:
    tasks = Path(request.tasks)
    sys.path.insert(0, str(tasks.parent))
    return importlib.import_module(f"{tasks.name}.{request.emulation}")


def _dotted(number: int) -> str:
    return ".".join(str(byte) for byte in number.to_bytes(4, "big"))


async def _opened(links: Mapping[str, Link]) -> bool:
    """Whether all of them could listen; else none does."""
    try:
        for link in links.values():
            await link.open()
    except OSError as error:
        _log.info("addresses taken: %s", error)
        for link in links.values():
            await link.close()
        return False
    return True
