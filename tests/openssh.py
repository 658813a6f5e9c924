"""Throw-away OpenSSH servers on loopback, as the user who runs the tests, with keys of their own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from thinkube_nornir.config import SSHSettings
from thinkube_nornir.remote.connection import SSHHost
from thinkube_nornir.remote.ssh_route import Login, Route
from thinkube_nornir.secret import Secret

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
needs_sshd = pytest.mark.skipif(SSHD is None, reason="OpenSSH's sshd is not installed")


@dataclass
class Server:
    """One running sshd. It answers on all of 127/8."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def key_file(self) -> Path:
        return self.folder / "id"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def settings(self) -> SSHSettings:
        return SSHSettings(known_hosts=self.known_hosts, key_file=self.key_file, agent=False)

    def know(self, *addresses: str, key: str = "host") -> None:
        """Write known_hosts: `key` is the name of the key file in the server's folder."""
        kind, blob = (self.folder / f"{key}.pub").read_text().split()[:2]
        self.known_hosts.write_text("".join(f"[{a}]:{self.port} {kind} {blob}\n" for a in addresses))

    def login(
        self,
        address: str = "127.0.0.1",
        *,
        user: str | None = None,
        sudo_password: Secret | None = None,
        password: Secret | None = None,
    ) -> Login:
        route = Route("host1", address, self.port, user or getpass.getuser(), self.key_file)
        return Login(route, self.settings, 10.0, password, sudo_password)

    @contextmanager
    def host(self, login: Login | None = None) -> Iterator[SSHHost]:
        host = SSHHost(login or self.login())
        try:
            yield host
        finally:
            host.close()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def start_sshd(folder: Path, *options: str, port: int | None = None) -> Server:
    """Start one with the given lines of sshd_config; known_hosts knows 127.0.0.1."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    _make_keys(folder)
    number = port or free_port()
    lines = [
        f"Port {number}",
        "ListenAddress 0.0.0.0",
        f"HostKey {folder}/host",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        "PidFile none",
        "UsePAM no",
        "StrictModes no",
        "PasswordAuthentication no",
        "PermitRootLogin yes",
        "MaxStartups 200",
        "LogLevel VERBOSE",
        "SetEnv SHLVL=1",  # keeps bash from reading the tester's own ~/.bashrc, which may take a second
    ]
    (folder / "sshd_config").write_text("\n".join([*options, *lines]) + "\n")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    argv = [str(SSHD), "-D", "-f", f"{folder}/sshd_config", "-E", f"{folder}/log"]
    server = Server(folder, number, subprocess.Popen(argv))
    _wait_for(server)
    server.know("127.0.0.1")
    return server


def _make_keys(folder: Path) -> None:
    for name in ("host", "other", "id"):
        if not (folder / name).exists():
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
            subprocess.run(argv, check=True)
    shutil.copy(folder / "id.pub", folder / "authorized_keys")


def _wait_for(server: Server) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if server.process.poll() is not None:
            pytest.fail(f"sshd ended at once: {server.log}")
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    pytest.fail(f"sshd did not listen: {server.log}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
