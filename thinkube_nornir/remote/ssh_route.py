"""How to get to a host: address, port, user, key and the hosts to pass, from the inventory and ssh_config(5)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from thinkube_nornir import operator_file
from thinkube_nornir.config import SSHSettings
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.program import user_name
from thinkube_nornir.secret import Secret

if TYPE_CHECKING:
    from paramiko import SSHConfig


@dataclass(frozen=True)
class Route:
    """One host and the way there. Equal routes are the same connection."""

    name: str = field(compare=False)
    """The inventory's name, for messages."""
    hostname: str
    port: int
    username: str
    key_file: Path | None
    via: Route | None = None
    """The jump host before this one."""
    proxy_command: str = ""

    @property
    def known_name(self) -> str:
        """The name under which known_hosts keeps its key."""
        return self.hostname if self.port == 22 else f"[{self.hostname}]:{self.port}"

    def __str__(self) -> str:
        return f"{self.username}@{self.known_name}"


@dataclass(frozen=True)
class Login:
    """All that is needed to open connections to one host."""

    route: Route
    ssh: SSHSettings
    connect_timeout: float
    password: Secret | None = None
    sudo_password: Secret | None = None


def route_to(
    name: str,
    hostname: str | None,
    *,
    port: int | None,
    username: str | None,
    ssh: SSHSettings,
    key_file: Path | None = None,
    jump: str | None = None,
    passed: tuple[str, ...] = (),
) -> Route:
    """The route to an inventory host. The inventory wins over ssh_config, as the command line wins with ssh(1).

    Args:
        key_file: of this host alone; else ssh_config's IdentityFile, else config.yaml's.
        jump: as ssh_config's ProxyJump, `user@host:port`, several with commas; `none` for no jump at all.
        passed: names of the hosts this one is a jump host for.

    Raises:
        ThinkubeError: ssh_config cannot be read, or hosts jump over each other in a cycle.
    """
    alias = hostname or name
    if alias in passed:
        cycle = " -> ".join((*passed, alias))
        raise ThinkubeError(f"jump hosts in a cycle: {cycle}", fix=f"correct ProxyJump in {ssh.config_file}")
    options = _options(ssh.config_file, alias)
    jumps = jump or options.get("proxyjump", "none")
    return Route(
        name,
        options.get("hostname", alias),
        port or int(options.get("port", "22")),
        username or options.get("user") or user_name(),
        key_file or _identity(options) or ssh.key_file,
        None if jumps.lower() == "none" else _jump(jumps, ssh, (*passed, alias)),
        "" if jump else options.get("proxycommand", ""),
    )


def _jump(jumps: str, ssh: SSHSettings, passed: tuple[str, ...]) -> Route:
    """The last of the hops, reached through those before it."""
    before, _, last = jumps.strip().rpartition(",")
    user, _, address = last.strip().rpartition("@")
    host, port = _split_port(address)
    route = route_to(host, host, port=port, username=user or None, ssh=ssh, jump=before or None, passed=passed)
    return Route(f"jump host {host}", route.hostname, route.port, route.username, route.key_file, route.via)


def _split_port(address: str) -> tuple[str, int | None]:
    """
    >>> _split_port("[::1]:2222"), _split_port("bastion"), _split_port("bastion:22")
    (('::1', 2222), ('bastion', None), ('bastion', 22))
    """
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        return address.strip("[]"), None
    if not port.isdigit():
        raise ThinkubeError(f"the jump host {address!r} has no usable port", fix="write user@host:port")
    return host.strip("[]"), int(port)


def _identity(options: Mapping[str, str]) -> Path | None:
    files = [Path(file).expanduser() for file in options.get("identityfile", "").split("\n") if file]
    return next((file for file in files if file.is_file()), None)


def _options(config_file: Path | None, alias: str) -> dict[str, str]:
    """What ssh_config says about a host; IdentityFile's several values joined by newlines."""
    if config_file is None:
        return {}
    try:
        found = _parsed(config_file, config_file.stat().st_mtime_ns).lookup(alias)
    except Exception as error:  # paramiko's parser raises bare Exceptions too
        raise ThinkubeError(f"{config_file}: not usable", why=str(error), fix="correct ssh.config_file") from error
    return {key: "\n".join(value) if isinstance(value, list) else str(value) for key, value in found.items()}


@functools.lru_cache
def _parsed(config_file: Path, _changed: int) -> SSHConfig:
    from paramiko import SSHConfig

    return SSHConfig.from_text(operator_file.read(config_file).decode())
