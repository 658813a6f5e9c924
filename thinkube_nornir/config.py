"""config.yaml to a frozen Config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Timeouts:
    """Seconds."""

    connect: float = 10.0
    command: float = 60.0
    step: float = 900.0


@dataclass(frozen=True)
class SSHSettings:
    config_file: Path | None = None
    """An ssh_config(5) file: HostName, Port, User, IdentityFile, ProxyJump, ProxyCommand are honoured."""
    known_hosts: Path = Path(".thinkube/known_hosts")
    """The project's own; `trust` writes it."""
    key_file: Path | None = None
    agent: bool = True
    keepalive: float = 15.0


@dataclass(frozen=True)
class LabSettings:
    idle: float = 1800.0
    """Seconds without a command after which the lab ends by itself."""
    emulation: str = "lab"
    """Module below the tasks folder with the emulated tools."""


@dataclass(frozen=True)
class SecretSources:
    """Where secrets come from: environment first, then the file, then a command's first output line."""

    file: Path | None = None
    """NAME=value lines, mode 0600, owned by the operator."""
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    root: Path
    """The folder of config.yaml; every path below is absolute."""
    target: Literal["lab", "ssh"]
    tasks: Path
    templates: Path
    inventory: Path
    """Folder with hosts.yaml, groups.yaml, defaults.yaml."""
    state: Path
    """`.thinkube/`: journal, known_hosts, kubeconfig, logs."""
    workers: int = 64
    """Steps that may run at once, over all hosts."""
    tokens: Mapping[str, int] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)
    ssh: SSHSettings = field(default_factory=SSHSettings)
    lab: LabSettings = field(default_factory=LabSettings)
    secrets: SecretSources = field(default_factory=SecretSources)
