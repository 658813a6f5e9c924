"""A light lab of a test's own: three hosts, a small emulation, and a plain SSH client to look at them with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from nornir.core.inventory import Defaults, Group, Groups, Host, Hosts, Inventory, ParentGroups

from thinkube_nornir.config import Config, LabSettings
from thinkube_nornir.lab.client import LabInfo, ensure_lab, lab_down

EMULATION = """
import asyncio
from thinkube_nornir.lab.emulation import Reply

async def snap(call):
    match call.argv[1:]:
        case ("version",):
            return Reply(stdout="snap 2.63\\n")
        case ("echo", *words):
            return Reply(3, stdout=call.stdin, stderr=f"{call.user} {call.cwd} {call.env.get('GREETING')} {words!r}")
        case ("hang",):
            call.host.state["hung"] = "began"
            try:
                await asyncio.sleep(600)
            finally:
                call.host.state["hung"] = "ended"
        case ("hung",):
            return Reply(stdout=call.host.state.get("hung", "never"))
        case ("run", *argv):
            return await call.host.run(argv, timeout=0.5)
        case ("crash",):
            raise ValueError("no such state")
    return Reply(64, stderr="error: unknown command\\n")

TOOLS = {"snap": snap}
INSTALLED = {"/usr/bin/snap": "snap", "/snap/bin/deep.tool": "snap"}
EMULATED = ("snapd",)

async def prepare(lab):
    async def hello(reader, writer):
        writer.write(b"hello")
        writer.close()
    server = await asyncio.start_server(hello, "127.0.0.1", 0)
    lab.ports["*", "10.0.0.1", 16443] = server.sockets[0].getsockname()
    for host in lab.hosts.values():
        host.files.write("/etc/prepared", host.name)
        host.install("/usr/bin/snap-stdin", "snap", stdin=True)
        host.files.write("/usr/bin/multi", "#!/bin/sh\\necho multi\\n", 0o755)
        host.files.symlink("/usr/bin/one-of-many", "multi")
        host.install("/usr/bin/one-of-many", "snap")

def snapshot(lab):
    return {name: dict(host.state) for name, host in lab.hosts.items()}
"""


def project(root: Path, *, idle: float = 300, emulation: str = EMULATION) -> Config:
    """A config whose tasks folder holds nothing but the emulation."""
    (root / "tasks/emulated").mkdir(parents=True)
    (root / "tasks/__init__.py").touch()
    (root / "tasks/emulated/__init__.py").write_text(emulation)
    lab = LabSettings(idle=idle, emulation="emulated")
    return Config(root, "lab", root / "tasks", root, root / "inventory", root / "state", lab=lab)


def inventory(**settings: object) -> Inventory:
    """bcn1 (baremetal, sudo asks for a password), tkc and tkw1 in the domain example.org; `settings` are for all."""
    defaults = Defaults(data={"domain_name": "example.org", **settings})
    groups = {name: Group(name, defaults=defaults) for name in ("baremetal", "vms")}
    hosts = {
        name: Host(name, username="ops", groups=ParentGroups([groups[group]]), data=data, defaults=defaults)
        for name, group, data in (
            ("bcn1", "baremetal", {"lab_sudo_password": "correct horse"}),
            ("tkc", "vms", {}),
            ("tkw1", "vms", {}),
        )
    }
    return Inventory(hosts=Hosts(hosts), groups=Groups(groups), defaults=defaults)


@dataclass(frozen=True)
class Answer:
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode().removesuffix("\n")


@dataclass
class RunningLab:
    config: Config
    info: LabInfo
    clients: dict[str, paramiko.SSHClient] = field(default_factory=dict)

    @contextmanager
    def connected(self, host: str) -> Iterator[paramiko.SSHClient]:
        """A new connection, which ends with the block."""
        client = self._connect(host)
        try:
            yield client
        finally:
            client.close()

    def ssh(self, host: str, command: str, stdin: bytes = b"") -> Answer:
        """Run a command on a connection that is kept."""
        if host not in self.clients or not _is_alive(self.clients[host]):
            self.clients[host] = self._connect(host)
        return run(self.clients[host], command, stdin)

    def _connect(self, host: str) -> paramiko.SSHClient:
        """A client that knows the lab's host keys and accepts no other."""
        place = self.info.hosts[host]
        client = paramiko.SSHClient()
        client.load_host_keys(str(self.info.known_hosts))
        client.connect(
            place.address, place.port, place.user,
            key_filename=str(self.info.key_file), look_for_keys=False, allow_agent=False, timeout=10,
        )  # fmt: skip
        return client


def _is_alive(client: paramiko.SSHClient) -> bool:
    transport = client.get_transport()
    return transport is not None and transport.is_active()


def run(client: paramiko.SSHClient, command: str, stdin: bytes = b"") -> Answer:
    feed, out, err = client.exec_command(command, timeout=20)
    feed.write(stdin)
    feed.channel.shutdown_write()
    stdout, stderr = out.read(), err.read()
    return Answer(out.channel.recv_exit_status(), stdout, stderr)


@contextmanager
def running_lab(root: Path, *, idle: float = 300) -> Iterator[RunningLab]:
    config = project(root, idle=idle)
    try:
        lab = RunningLab(config, ensure_lab(config, inventory(), lambda _: None))
        yield lab
        for client in lab.clients.values():
            client.close()
    finally:
        lab_down(config)


def eventually(holds: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether it came to hold in time."""
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.02)
    return held


def processes(tag: str) -> list[str]:
    """Command lines, on the whole machine, in which `tag` occurs."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it has ended meanwhile
                continue
            if tag in line:
                found.append(line)
    return found
