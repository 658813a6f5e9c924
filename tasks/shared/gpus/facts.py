"""What can be read about NVIDIA cards on a host: the PCI bus, the driver, slices of cards, and Secure Boot."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

from thinkube_nornir.command import Completed, Fact

RUNTIME = "nvidia"
TOOLKIT = "/usr/local/nvidia"
_SECONDS = "20"  # a card that fell off the bus leaves nvidia-smi hanging in the kernel
_DRIVER_ROOT = "/run/nvidia/driver"
_FIELDS = "index,uuid,pci.bus_id,name,compute_cap,driver_version,mig.mode.current"
_DISPLAY = "03"  # PCI class; a card's audio and USB functions have addresses of their own and are no cards
_TIMED_OUT = (124, 137)
_SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_NO_ROOT, _NO_PROGRAM = 125, 127  # of chroot; the operator's driver is not, or not yet, there


@dataclass(frozen=True)
class BusCard:
    """A display controller of NVIDIA on the PCI bus."""

    address: str
    """`0000:01:00.0`."""
    driver: str
    """The kernel's driver in use: `nvidia`, `nouveau`, `vfio-pci`; empty when none is bound."""


@dataclass(frozen=True)
class DriverCard:
    """A card as the driver tells it."""

    index: int
    uuid: str
    address: str
    name: str
    capability: float
    """CUDA compute capability; 0 when the driver does not tell."""
    version: str
    """Of the driver."""
    sliced: bool = False
    """Multi-Instance GPU is on: it computes in slices only."""

    @property
    def product(self) -> str:
        """As node labels spell it: `NVIDIA-GeForce-RTX-3090`."""
        return self.name.replace(" ", "-")

    def __str__(self) -> str:
        return f"{self.name} at {self.address} ({self.uuid})"


@dataclass(frozen=True)
class Driver:
    """What `nvidia-smi` says."""

    cards: tuple[DriverCard, ...] = ()
    said: str = ""
    """Everything but cards: why it does not answer, or for which card."""
    absent: bool = False
    """There is no such program."""


def normal_address(text: str) -> str:
    """
    >>> normal_address("00000000:0A:00.0")
    '0000:0a:00.0'
    """
    domain, bus, rest = text.strip().lower().split(":")
    return f"{domain[-4:]:0>4}:{bus}:{rest}"


def parse_bus(done: Completed) -> tuple[BusCard, ...]:
    """Read `lspci -D -n -k`: a line for each function, its details indented below it."""
    found: list[BusCard] = []
    for block in re.split(r"\n(?=\S)", done.text):
        head = re.match(rf"(\S+) {_DISPLAY}\d\d: ", block)
        driver = re.search(r"^\s+Kernel driver in use: (\S+)", block, re.MULTILINE)
        if head:
            found.append(BusCard(normal_address(head[1]), driver[1] if driver else ""))
    return tuple(found)


def parse_driver(done: Completed) -> Driver:
    """Read `nvidia-smi --query-gpu`; its errors come on stdout, with several statuses, between lines of good cards."""
    if done.status == _NO_PROGRAM or (done.status == _NO_ROOT and "chroot" in done.command.argv):
        return Driver(absent=True)
    if done.status in _TIMED_OUT:
        return Driver(said=f"nvidia-smi gave no answer within {_SECONDS} s")
    message = f"{done.text}\n{done.stderr.decode(errors='backslashreplace')}".splitlines()
    rows = {line: _card(line) for line in message if line.strip()}
    said = "\n".join(line for line, card in rows.items() if card is None)
    if done.status and not said:
        said = f"nvidia-smi ended with status {done.status}"
    return Driver(tuple(card for card in rows.values() if card), said)


def _card(line: str) -> DriverCard | None:
    fields = [field.strip() for field in next(csv.reader([line]))]
    if len(fields) != len(_FIELDS.split(",")) or not fields[0].isdigit() or not fields[1].startswith("GPU-"):
        return None
    index, uuid, address, name, capability, version, mig = fields
    number = float(capability) if re.fullmatch(r"\d+\.\d+", capability) else 0.0
    return DriverCard(int(index), uuid, normal_address(address), name, number, version, mig == "Enabled")


def parse_modules(done: Completed) -> frozenset[str]:
    """The names in `lsmod`."""
    return frozenset(line.split()[0] for line in done.text.splitlines()[1:] if line.strip())


def parse_slices(done: Completed) -> int:
    """Count the slices in `nvidia-smi -L`: each stands below its card, `  MIG 1g.5gb  Device  0: (UUID: MIG-...)`."""
    return len(re.findall(r"^\s+MIG .*\(UUID: MIG-", done.text, re.MULTILINE))


def parse_secure_boot(done: Completed) -> bool:
    """Read the bytes of the firmware's variable: four of attributes, then its own. Without UEFI there is none."""
    return done.status == 0 and done.text.split()[-1:] == ["1"]


def _smi(*arguments: str, root: tuple[str, ...] = ()) -> tuple[str, ...]:
    return ("timeout", "--kill-after=5", _SECONDS, *root, "nvidia-smi", *arguments)


_QUERY = (f"--query-gpu={_FIELDS}", "--format=csv,noheader")
_CHROOT = ("chroot", _DRIVER_ROOT)


BUS = Fact("NVIDIA cards on the PCI bus", ("lspci", "-D", "-n", "-k", "-d", "10de:"), parse_bus)
MODULES = Fact("kernel modules", ("lsmod",), parse_modules)
HOST_DRIVER = Fact("driver of the host", _smi(*_QUERY), parse_driver, accept=None)
OPERATOR_DRIVER = Fact("driver of the operator", _smi(*_QUERY, root=_CHROOT), parse_driver, root=True, accept=None)
"""The one that a container of the operator brings; its programs are below a root of their own."""
HOST_SLICES = Fact("slices of cards", _smi("-L"), parse_slices, accept=None)
OPERATOR_SLICES = Fact("slices of cards", _smi("-L", root=_CHROOT), parse_slices, root=True, accept=None)
SECURE_BOOT = Fact("Secure Boot", ("od", "-A", "n", "-t", "u1", _SECURE_BOOT), parse_secure_boot, accept=None)
