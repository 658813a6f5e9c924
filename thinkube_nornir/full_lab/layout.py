"""What the full lab consists of, as the tasks package says: plain values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

from nornir.core.inventory import Inventory

from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.task_modules import import_module


@dataclass(frozen=True)
class Network:
    """A bridge that machines are connected to; this machine is in it, too."""

    name: str
    """Of the bridge: at most 15 characters."""
    address: str
    """This machine's, with the length of the prefix: `192.168.1.1/24`."""


@dataclass(frozen=True)
class Link:
    """A machine's way into a network."""

    network: str
    address: str
    """With the length of the prefix: `192.168.1.101/24`."""
    gateway: str = ""
    """The default route; empty for none."""


@dataclass(frozen=True)
class Machine:
    name: str
    """In the inventory."""
    hostname: str
    user: str
    """Logs in by key, and may do all by sudo."""
    links: tuple[Link, ...]
    """eth0, eth1 and so on."""
    sudo_password: str = ""
    """What sudo asks for; it asks for nothing when this is empty."""


@dataclass(frozen=True)
class Layout:
    networks: tuple[Network, ...]
    machines: tuple[Machine, ...]
    packages: tuple[str, ...] = ()
    """What Ubuntu's image of a server has, beside what every lab machine needs."""
    emulated: tuple[str, ...] = ()
    """What these machines do not have, or have from the lab."""

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def layout_of(package: ModuleType, inventory: Inventory) -> Layout:
    """As the tasks package says: `FULL_LAB = "full_lab"` in its `__init__` names the module with `layout(inventory)`.

    Raises:
        ConfigError: it says nothing.
    """
    name = getattr(package, "FULL_LAB", None)
    if name is None or package.__file__ is None:
        what = "FULL_LAB is missing: the module whose layout(inventory) says what machines the full lab has"
        raise ConfigError([Problem(f"{package.__name__}/__init__.py", what)])
    module = import_module(Path(package.__file__).parent, f"{package.__name__}.{name}")
    lay_out: Callable[[Inventory], Layout] = module.layout
    return lay_out(inventory)
