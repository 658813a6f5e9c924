"""The lab's emulation in this process: hosts of the example inventory with their files as a dict, and no SSH."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from tasks import lab as emulation
from tasks.lab import background
from tasks.lab.microk8s.node import nodes
from thinkube_nornir.lab import accounts
from thinkube_nornir.lab.emulation import Call, HostFiles, Lab, LabHost, Reply, Tool

T = TypeVar("T")

_QUIET = 2.0  # seconds for what goes on in the background
_LIMIT = 30.0  # seconds for one emulated command
TOOLS: Mapping[str, Tool] = {**accounts.TOOLS, **emulation.TOOLS}
COMMON = {
    "domain_name": "example.org",
    "system_username": "thinkube",
    "network_cidr": "192.168.1.0/24",
    "network_gateway": "192.168.1.1",
    "zerotier_cidr": "192.168.191.0/24",
    "dns_servers": ["8.8.8.8", "8.8.4.4"],
    "load_balancer_range": "192.168.191.200-192.168.191.205",
    "knative": True,
}
HOSTS = {
    "bcn1": ("101", None, "101", None, {"baremetal", "microk8s_workers"}),
    "bcn2": ("102", None, "102", None, {"baremetal"}),
    "dns1": ("100", "50", "1", "bcn2", {"dns"}),
    "tkc": ("110", "10", "110", "bcn2", {"microk8s_control_plane"}),
    "tkw1": ("111", "11", "111", "bcn1", {"microk8s_workers"}),
}


class FakeFiles:
    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.links: dict[str, str] = {}
        self.folders: set[str] = set()

    def _real(self, path: str) -> str:
        return self.links.get(path, path)

    def read(self, path: str) -> bytes:
        try:
            return self.content[self._real(path)]
        except KeyError:
            raise FileNotFoundError(path) from None

    def write(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        self.content[self._real(path)] = content.encode() if isinstance(content, str) else content

    def symlink(self, path: str, target: str) -> None:
        self.links[path] = target

    def exists(self, path: str) -> bool:
        path = self._real(path)
        return path in self.content or path in self.folders or any(p.startswith(f"{path}/") for p in self.content)

    def remove(self, path: str) -> None:
        self.links.pop(path, None)
        self.folders = {f for f in self.folders if f != path and not f.startswith(f"{path}/")}
        self.content = {p: c for p, c in self.content.items() if p != path and not p.startswith(f"{path}/")}

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        self.folders.add(path)

    def list(self, path: str) -> Sequence[str]:
        return sorted({p.removeprefix(f"{path}/").split("/")[0] for p in self.content if p.startswith(f"{path}/")})


class FakeLabHost:
    def __init__(self, lab: FakeLab, name: str, settings: Mapping[str, Any], groups: set[str]) -> None:
        self.lab: Lab = lab
        self.name = name
        self.settings: Mapping[str, Any] = dict(settings)
        self.groups = frozenset(groups)
        self.files: HostFiles = FakeFiles()
        self.files.mkdir("/dev/kmsg")
        self.state: dict[str, Any] = {}
        self.installed: dict[str, str] = {}

    def install(self, path: str, tool: str, *, stdin: bool = False) -> None:
        self.installed[path] = tool
        self.files.write(path, tool)

    async def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 60) -> Reply:
        """A pod's program: one of the lab's pod tools, else `true` and `echo`."""
        path = f"/opt/lab-pod/bin/{argv[0]}"
        if path in self.installed:
            call = Call(self, (path, *argv[1:]), env=dict(env or {}))
            return await TOOLS[self.installed[path]](call)
        return Reply(0, " ".join(argv[1:]) + "\n") if argv[0] == "echo" else Reply(127, "", f"{argv[0]}: not found\n")


class FakeLab:
    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.speed = 10_000.0
        self.ports: dict[tuple[str, str, int], tuple[str, int]] = {}
        self.fakes: dict[str, FakeLabHost] = {}
        for name, (lan, internal, overlay, parent, groups) in HOSTS.items():
            own: dict[str, Any] = {"lan_ip": f"192.168.1.{lan}", "zerotier_ip": f"192.168.191.{overlay}"}
            own |= {"parent_host": parent, "internal_ip": f"192.168.100.{internal}"} if parent else {}
            self.fakes[name] = FakeLabHost(self, name, {**COMMON, **own}, groups)
        self.hosts: Mapping[str, LabHost] = self.fakes

    def sh(self, host: str, *argv: str, user: str = "root", stdin: str = "") -> Reply:
        """Call a tool the host has, by name or path, as its lab would; stdout and stderr come back as text."""
        return self.do(self.call(host, *argv, user=user, stdin=stdin))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it where the API servers live, and wait for its end."""
        return asyncio.run_coroutine_threadsafe(work, loop()).result(_LIMIT)

    def act(self, function: Callable[[], T]) -> T:
        """Call it where the API servers live, and let their controllers end what follows."""

        async def work() -> T:
            result = function()
            await self._settled()
            return result

        return self.do(work())

    def close(self) -> None:
        """End API servers and what goes on in the background."""

        async def end() -> None:
            for host in self.hosts.values():
                background.end(host)
                for front in host.state.get("fronts", {}).values():
                    await front.stop()
            for node in nodes(self):
                await node.api.stop()

        self.do(end())

    async def _settled(self) -> None:
        for node in nodes(self):
            await node.api.settled()

    async def call(self, host: str, *argv: str, user: str = "root", stdin: str = "", settle: bool = True) -> Reply:
        """Without `settle` it returns when the tool does, and what goes on in the background goes on."""
        here = self.fakes[host]
        paths = [argv[0]] if "/" in argv[0] else [f"{d}/{argv[0]}" for d in ("/usr/bin", "/usr/sbin", "/snap/bin")]
        path = next((p for p in paths if p in here.installed and here.files.exists(p)), None)
        if path is None:
            return Reply(127, "", f"{argv[0]}: command not found\n")
        reply = await TOOLS[here.installed[path]](Call(here, (path, *argv[1:]), stdin.encode(), user=user))
        if settle:
            await background.quiet(self.hosts, _QUIET)
            await self._settled()
        return Reply(reply.status, _text(reply.stdout), _text(reply.stderr))


@cache
def loop() -> asyncio.AbstractEventLoop:
    """One for all labs of a test run; it ends with it."""
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, daemon=True).start()
    return made


def _text(text: bytes | str) -> str:
    return text if isinstance(text, str) else text.decode()


def prepared() -> FakeLab:
    """A lab that its maker closes."""
    made = FakeLab()
    for host in made.fakes.values():
        here = {f"{folder}/{tool}": tool for tool, folder in accounts.PLACES.items()}
        for path, tool in {**here, **emulation.INSTALLED}.items():
            host.install(path, tool)
    made.do(emulation.prepare(made))
    return made


_open: list[FakeLab] = []


def lab() -> FakeLab:
    """A lab that conftest.py closes after the test."""
    _open.append(prepared())
    return _open[-1]


def close_labs() -> None:
    while _open:
        _open.pop().close()
