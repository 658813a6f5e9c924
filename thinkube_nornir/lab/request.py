"""What the lab process is asked to stand up: plain values that travel as JSON from the command that starts it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nornir.core.inventory import Inventory

from thinkube_nornir.config import Config

LOCK = "lab.lock"
"""The lock beside the lab's folder; whoever makes or removes that holds it."""
_USER = "thinkube"
"""Logs in where the inventory names nobody."""


@dataclass(frozen=True)
class HostRequest:
    name: str
    hostname: str
    login_user: str
    groups: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class LabRequest:
    hosts: tuple[HostRequest, ...]
    tasks: str
    emulation: str
    idle: float
    speed: float

    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, default=str)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.text().encode()).hexdigest()


def request_for(config: Config, inventory: Inventory) -> LabRequest:
    hosts = []
    for name, host in sorted(inventory.hosts.items()):
        settings = host.extended_data()
        groups = tuple(sorted(group.name for group in host.extended_groups()))
        hosts.append(HostRequest(name, _hostname(name, groups, settings), host.username or _USER, groups, settings))
    return LabRequest(tuple(hosts), str(config.tasks), config.lab.emulation, config.lab.idle, config.lab.speed)


def parse(text: str) -> LabRequest:
    read = json.loads(text)
    hosts = tuple(HostRequest(**{**host, "groups": tuple(host["groups"])}) for host in read.pop("hosts"))
    return LabRequest(hosts, **read)


def _hostname(name: str, groups: tuple[str, ...], settings: Mapping[str, Any]) -> str:
    """Physical machines are called by their short name, the others by the full one, where there is a domain."""
    domain = settings.get("domain_name")
    return f"{name}.{domain}" if domain and "baremetal" not in groups else name
