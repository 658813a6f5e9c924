"""What an emulated tool sees: the interface between the lab (generic) and `tasks/lab/` (what snap or MicroK8s do).

A tool is an executable in a lab host that hands its argument list to the lab process over a socket; an `async` handler
there answers as the real tool would. An option or verb that a handler does not know is an error with the real tool's
usage status, never a silent success.

`tasks/lab/__init__.py` (config.yaml `lab.emulation`) exports:

    TOOLS: Mapping[str, Tool]        handlers by tool name: "snap", "microk8s", "systemctl" ...
    INSTALLED: Mapping[str, str]     executables every host starts with: path -> tool name, {"/usr/bin/snap": "snap"}
    EMULATED: tuple[str, ...]        what a report names as emulated: "snapd", "MicroK8s", "systemd" ...
    async def prepare(lab: Lab) -> None     the state the hosts start in (files, DNS zone, addresses)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Call:
    """One invocation of an emulated tool."""

    host: LabHost
    argv: tuple[str, ...]
    """argv[0] is the path or name under which it was called."""
    stdin: bytes = b""
    """Empty unless the tool was installed with stdin=True."""
    cwd: str = "/"
    user: str = "root"
    """Who calls: `root` through sudo, else the login user."""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    status: int = 0
    stdout: bytes | str = b""
    stderr: bytes | str = b""


Tool = Callable[[Call], Awaitable[Reply]]


class HostFiles(Protocol):
    """A lab host's file system, from the lab process. Absolute paths as the host sees them; symlinks stay inside it."""

    def read(self, path: str) -> bytes:
        """Raises FileNotFoundError."""
        ...

    def write(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        """Atomic; makes missing parent directories."""
        ...

    def symlink(self, path: str, target: str) -> None: ...
    def exists(self, path: str) -> bool: ...
    def remove(self, path: str) -> None:
        """A file or a whole directory; absent is fine."""
        ...

    def mkdir(self, path: str, mode: int = 0o755) -> None: ...
    def list(self, path: str) -> Sequence[str]:
        """Names in a directory, sorted; empty when it is absent."""
        ...


class LabHost(Protocol):
    name: str
    settings: Mapping[str, Any]
    """The host's inventory data, merged with groups' and defaults'."""
    groups: frozenset[str]
    files: HostFiles
    state: dict[str, Any]
    """The emulation's own memory about this host; gone with the lab."""
    lab: Lab

    def install(self, path: str, tool: str, *, stdin: bool = False) -> None:
        """Put an executable at `path` that calls the handler `tool`."""
        ...

    async def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 60) -> Reply:
        """Run a real program in the host's namespaces, as root; for pods' commands."""
        ...


class Lab(Protocol):
    hosts: Mapping[str, LabHost]
    state: dict[str, Any]
    """The emulation's own memory about the whole: DNS zones, the cluster."""
    speed: float
    """How many times faster than the real thing emulated work is; 1 is real time."""
    ports: dict[tuple[str, str, int], tuple[str, int]]
    """SSH forwards: (host or "*", address, port) as asked for on a host -> (address, port) on loopback that answers."""


async def pause(lab: Lab, seconds: float) -> None:
    """Let time pass as the real thing would, at the lab's speed.

    Args:
        seconds: what it takes in reality. What happens meanwhile happens in the real order at any speed.
    """
    await asyncio.sleep(seconds / lab.speed)
