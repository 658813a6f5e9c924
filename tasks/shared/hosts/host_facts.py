"""What can be read about a machine before it becomes a node: its system, its size, who it is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from thinkube_nornir.command import Completed, Fact

Version = tuple[int, ...]


@dataclass(frozen=True)
class System:
    id: str
    """`ubuntu`, `debian`."""
    version: str
    """`24.04`; empty where there is none, as on rolling releases."""
    name: str
    """For people: `Ubuntu 24.04.3 LTS`."""


def parse_os_release(done: Completed) -> System | None:
    """Read os-release(5); None when there is no such file."""
    if done.status != 0:
        return None
    values = parse_assignments(done.text)
    found = values.get("ID", "linux"), values.get("VERSION_ID", "")
    return System(*found, values.get("PRETTY_NAME", " ".join(found).strip()))


def parse_assignments(text: str) -> Mapping[str, str]:
    """
    >>> parse_assignments('ID=ubuntu\\n# no\\nNAME="Ubuntu 24.04"\\n')
    {'ID': 'ubuntu', 'NAME': 'Ubuntu 24.04'}
    """
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value))
    except ValueError:  # a quotation mark without its partner
        return value


def parse_snapd_version(done: Completed) -> str:
    """The row `snapd` of `snap version`; empty when it does not answer, or is not installed."""
    rows = [line.split() for line in done.text.splitlines()]
    found = next((row[1] for row in rows if len(row) == 2 and row[0] == "snapd"), "")
    return found if found[:1].isdigit() else ""


def parse_sudo(done: Completed) -> str:
    """`sudo-rs 0.2.8` or `Sudo version 1.9.15p5`, the first line of `sudo --version`; empty where there is none."""
    return done.text.partition("\n")[0] if done.status == 0 else ""


@dataclass(frozen=True)
class Room:
    free: int
    """Bytes."""
    mount: str


def parse_room(done: Completed) -> Room | None:
    """The first row of `df --block-size=1 --output=avail,target`: of several paths, the first one that exists."""
    rows = [line.split(maxsplit=1) for line in done.text.splitlines()]
    return next((Room(int(row[0]), row[1]) for row in rows if len(row) == 2 and row[0].isdigit()), None)


def parse_memory(done: Completed) -> int:
    """Bytes that the system has in all, from `free --bytes`."""
    return next((int(line.split()[1]) for line in done.text.splitlines() if line.startswith("Mem:")), 0)


def version_of(text: str) -> Version:
    """The numbers that a version starts with.

    >>> version_of("2.66.1+24.04"), version_of("1.35/stable"), version_of("2.72~pre1")
    ((2, 66, 1), (1, 35), (2, 72))
    """
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(number) for number in found[0].split(".")) if found else ()


OS = Fact("operating system", ("cat", "/etc/os-release"), parse_os_release, accept=None)
SNAPD_VERSION = Fact("version of snapd", ("snap", "version"), parse_snapd_version, accept=None)
SUDO = Fact("version of sudo", ("sudo", "--version"), parse_sudo, accept=None)
MACHINE_ID: Fact[str] = Fact("machine id", ("cat", "/etc/machine-id"), lambda done: done.text.strip(), accept=(0, 1))
ROOM = Fact(
    "free disk", ("df", "--block-size=1", "--output=avail,target", "/var/snap", "/var"), parse_room, accept=(0, 1)
)
"""Where MicroK8s keeps its data; /var/snap is not there before the first snap on some systems."""
MEMORY = Fact("memory", ("free", "--bytes"), parse_memory)
KERNEL_LOG: Fact[bool] = Fact("kernel log", ("test", "-c", "/dev/kmsg"), lambda done: done.status == 0, accept=(0, 1))
