"""What config.yaml says, as a frozen Config; settings/config_file.py reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, MinLen

Seconds = Annotated[float, Gt(0)]
CLOSED = {"extra": "forbid", "allow_inf_nan": False}  # for pydantic, which is imported only when a file is read

INVENTORY_FILES = ("YAMLInventory", "SimpleInventory")
"""Plugins, of nornir-utils and of Nornir, whose files are read by this program, with the line of every mistake."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds."""

    __pydantic_config__ = CLOSED

    connect: Seconds = 10.0
    command: Seconds = 60.0
    step: Seconds = 900.0


@dataclass(frozen=True)
class SSHSettings:
    __pydantic_config__ = CLOSED

    config_file: Path | None = None
    """An ssh_config(5) file: HostName, Port, User, IdentityFile, ProxyJump, ProxyCommand are honoured."""
    known_hosts: Path = Path(".thinkube/known_hosts")
    """The project's own; `trust` writes it."""
    key_file: Path | None = None
    agent: bool = True
    keepalive: Seconds = 15.0


@dataclass(frozen=True)
class LoggingSettings:
    __pydantic_config__ = CLOSED

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_file: Path = Path(".thinkube/thinkube.log")


@dataclass(frozen=True)
class LabSettings:
    __pydantic_config__ = CLOSED

    idle: Seconds = 1800.0
    """Seconds without a command after which the lab ends by itself."""
    emulation: str = "lab"
    """Module below the tasks folder with the emulated tools."""
    speed: Annotated[float, Gt(0)] = 20.0
    """How many times faster than in reality emulated work goes: a join of 70 seconds takes 3.5; 1 is real time."""


@dataclass(frozen=True)
class SecretSources:
    """Where secrets come from: environment first, then the file, then a command's first output line."""

    __pydantic_config__ = CLOSED

    file: Path | None = None
    """NAME=value lines, mode 0600, owned by the operator."""
    commands: Mapping[str, Annotated[tuple[str, ...], MinLen(1)]] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    root: Path
    """The folder of config.yaml; every path below is absolute."""
    target: Literal["lab", "full-lab", "ssh"]
    tasks: Path
    templates: Path
    inventory: Path
    """Folder of the three files named below."""
    state: Path
    """`.thinkube/`: journal, known_hosts, kubeconfig, logs."""
    host_file: Path = Path("hosts.yaml")
    group_file: Path = Path("groups.yaml")
    defaults_file: Path = Path("defaults.yaml")
    """Relative ones stand in `inventory`."""
    inventory_plugin: str = INVENTORY_FILES[0]
    """Whose form the files have; any other plugin of Nornir's is asked for hosts, groups and defaults."""
    inventory_options: Mapping[str, Any] = field(default_factory=dict)
    """What such a plugin is given."""
    workers: Annotated[int, Ge(1)] = 64
    """Steps that may run at once, over all hosts."""
    concurrency: Mapping[str, Annotated[int, Ge(1)]] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)
    ssh: SSHSettings = field(default_factory=SSHSettings)
    lab: LabSettings = field(default_factory=LabSettings)
    secrets: SecretSources = field(default_factory=SecretSources)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
