"""NVIDIA cards of the lab's hosts, from their inventory, and the programs that show them: lspci, lsmod, nvidia-smi.

Source: pciutils/pciutils@v3.10.0 lspci.man
Unproven: statuses and words of nvidia-smi, whose sources are not public; they follow its documentation and reports.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from tasks.lab.tool import ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, LabHost, Reply

DRIVER = "570.133.20"
IN_VM = "0000:07:00.0"
"""Where a VM's own bus has the card that its parent has in another slot."""
MODULES = ("nvidia_uvm", "nvidia_drm", "nvidia_modeset", "nvidia")
MISMATCH, NO_DRIVER, NO_DEVICES = 18, 9, 6


@dataclass(frozen=True)
class Model:
    name: str
    device: str
    """PCI device id."""
    capability: str
    memory: int
    """MiB."""


MODELS: Mapping[str, Model] = {
    "RTX 3090": Model("NVIDIA GeForce RTX 3090", "2204", "8.6", 24576),
    "RTX 4090": Model("NVIDIA GeForce RTX 4090", "2684", "8.9", 24564),
    "GTX 1080 Ti": Model("NVIDIA GeForce GTX 1080 Ti", "1b06", "6.1", 11264),
}


@dataclass
class Card:
    slot: str
    model: Model
    uuid: str
    driver: str = "nvidia"
    """What the kernel has bound to it; empty for nothing."""
    on_bus: bool = True
    silent: bool = False
    """The driver has it, and gets no answer from it."""
    slices: int | None = None
    """How many MIG devices it is cut into; None when MIG is off."""
    fails: str = ""
    """What a CUDA program on it ends with; empty when it works."""

    @property
    def sliced(self) -> bool:
        return self.slices is not None

    @property
    def mig_capable(self) -> bool:
        return any(name in self.model.name for name in ("A100", "A30", "H100"))

    @property
    def mig(self) -> str:
        return "Enabled" if self.sliced else "Disabled" if self.mig_capable else "[N/A]"

    @property
    def works(self) -> bool:
        return self.on_bus and self.driver == "nvidia" and not self.silent


@dataclass
class Gpus:
    """A host's cards and what drives them. Set attributes to break it."""

    cards: list[Card] = field(default_factory=list)
    driver: str = DRIVER
    """The version of the host's own driver; empty when it has none."""
    brought: str = ""
    """The version of the driver that a container of the operator has loaded."""
    loaded: bool = True
    library: str = ""
    """Version of the driver's library where it is not the module's."""
    hangs: bool = False
    assigned: dict[str, list[str]] = field(default_factory=dict)
    """`namespace/name` of a pod to the UUIDs of the cards it was given."""
    offered: int | None = None
    """How many the device plugin finds; None for all that work."""
    shown_as: dict[str, str] = field(default_factory=dict)
    """UUIDs that containers see instead of a card's own."""

    @property
    def present(self) -> list[Card]:
        return [card for card in self.cards if card.on_bus]

    @property
    def driver_works(self) -> bool:
        return bool(self.driver or self.brought) and self.loaded and not self.library and not self.hangs

    @property
    def usable(self) -> list[Card]:
        return [card for card in self.cards if card.works] if self.driver_works else []


def gpus(host: LabHost) -> Gpus:
    if "gpus" not in host.state:
        host.state["gpus"] = _of(host)
    return cast(Gpus, host.state["gpus"])


def _of(host: LabHost) -> Gpus:
    settings = host.settings
    if "gpu_model" not in settings:
        return Gpus(driver="", loaded=False)
    if settings.get("parent_host"):
        return Gpus([_card(host, IN_VM)] if settings.get("gpu_passthrough") else [])
    reserved = [_card(host, slot, "vfio-pci") for slot in settings.get("assigned_pci_slots") or ()]
    kept = [_card(host, slot) for slot in settings.get("kept_pci_slots") or ()]
    return Gpus(reserved + kept, driver=DRIVER if kept else "", loaded=bool(kept))


def _card(host: LabHost, slot: str, driver: str = "nvidia") -> Card:
    name = str(host.settings["gpu_model"])
    model = MODELS.get(name, Model(f"NVIDIA {name}", "2330", "9.0", 81559))
    owner = host.settings.get("parent_host") or host.name
    number = hashlib.sha256(f"{owner} {host.settings.get('pci_slot', slot)}".encode()).hexdigest()
    parts = (number[:8], number[8:12], number[12:16], number[16:20], number[20:32])
    return Card(slot, model, f"GPU-{'-'.join(parts)}", driver)


@tool
async def lspci(call: Call) -> Reply:
    """`lspci -D -n -k -d 10de:`: each card with its audio function."""
    given = parse(
        call.argv[1:],
        flags=("-D", "-n", "-k"),
        values=("-d",),
        unknown=lambda option: ToolError(1, f"lspci: invalid option -- '{option.lstrip('-')}'\n"),
    )
    if given.value("-d") != "10de:" or given.flags != {"-D", "-n", "-k"}:
        raise ToolError(1, "lspci: this form is not in the lab: use -D -n -k -d 10de:\n")
    return Reply(0, "".join(_functions(card) for card in gpus(call.host).present))


def _functions(card: Card) -> str:
    bound = f"\tKernel driver in use: {card.driver}\n" if card.driver else ""
    sound = card.slot.removesuffix(".0") + ".1"
    audio = "vfio-pci" if card.driver == "vfio-pci" else "snd_hda_intel"
    return (
        f"{card.slot} 0300: 10de:{card.model.device} (rev a1)\n\tSubsystem: 1462:3884\n{bound}"
        "\tKernel modules: nvidiafb, nouveau, nvidia_drm, nvidia\n"
        f"{sound} 0403: 10de:1aef (rev a1)\n\tSubsystem: 1462:3884\n\tKernel driver in use: {audio}\n"
    )


@tool
async def lsmod(call: Call) -> Reply:
    if call.argv[1:]:
        raise ToolError(1, "Usage: lsmod\n")
    now = gpus(call.host)
    names = ["vfio_pci"] * any(c.driver == "vfio-pci" for c in now.present)
    names += ["nouveau"] * any(c.driver == "nouveau" for c in now.present)
    names += MODULES if now.loaded and (now.driver or now.brought) else ()
    return Reply(0, "Module                  Size  Used by\n" + "".join(f"{n:<24}16384  0\n" for n in names))


@tool
async def nvidia_smi(call: Call) -> Reply:
    """The host's own."""
    if not gpus(call.host).driver:
        raise ToolError(127, "nvidia-smi: command not found\n")
    return _queried(call.host, call.argv[1:])


@tool
async def chroot(call: Call) -> Reply:
    """Only into the root of the operator's driver."""
    root, *argv = call.argv[1:] or ("",)
    if root != "/run/nvidia/driver":
        raise ToolError(125, f"chroot: this directory is not in the lab: '{root}'\n")
    if not gpus(call.host).brought:
        raise ToolError(125, f"chroot: cannot change root directory to '{root}': No such file or directory\n")
    if argv[:1] != ["nvidia-smi"]:
        raise ToolError(127, f"chroot: failed to run command '{''.join(argv[:1])}': No such file or directory\n")
    return _queried(call.host, argv[1:])


def _queried(host: LabHost, argv: Iterable[str]) -> Reply:
    now = gpus(host)
    if now.hangs:
        return Reply(124)  # as `timeout` ends it: the lab does not wait for what never comes
    if not now.loaded:
        message = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
        return Reply(NO_DRIVER, f"{message}Make sure that the latest NVIDIA driver is installed and running.\n\n")
    if now.library:
        version = now.library.rpartition(".")[0]
        message = f"Failed to initialize NVML: Driver/library version mismatch\nNVML library version: {version}\n"
        return Reply(MISMATCH, message)
    driven = [card for card in now.present if card.driver == "nvidia"]
    if not driven:
        return Reply(NO_DEVICES, "No devices were found\n")
    return listed(driven, argv, now.driver or now.brought)


def listed(cards: list[Card], argv: Iterable[str], version: str) -> Reply:
    """`--query-gpu=FIELD,... --format=csv[,noheader]`, or `-L`; a silent card is an error line."""
    argv = list(argv)
    if argv == ["-L"]:
        return Reply(0, "".join(_with_slices(index, card) for index, card in enumerate(cards)))
    given = parse(
        argv,
        values=("--query-gpu", "--format"),
        unknown=lambda option: ToolError(2, f'Invalid combination of input arguments. "{option}" is not in the lab.\n'),
    )
    fields = given.value("--query-gpu").split(",")
    unknown = [name for name in fields if name not in _VALUES]
    if unknown or given.words:
        raise ToolError(2, f'Field "{(unknown or given.words)[0]}" is not a valid field to query.\n\n')
    rows = [", ".join(fields)] * ("noheader" not in given.value("--format"))
    for index, card in enumerate(cards):
        values = {name: form.format(card=card, index=index, version=version) for name, form in _VALUES.items()}
        address = f"0000{card.slot}".upper()
        message = f"Unable to determine the device handle for GPU{card.slot}: Unknown Error"
        rows.append(message if card.silent else ", ".join((values | {"pci.bus_id": address})[name] for name in fields))
    return Reply(255 if any(card.silent for card in cards) else 0, "".join(f"{row}\n" for row in rows))


def _with_slices(index: int, card: Card) -> str:
    slices = (f"  MIG 1g.10gb     Device {n:>2}: (UUID: MIG-{n}{card.uuid[5:]})\n" for n in range(card.slices or 0))
    return f"GPU {index}: {card.model.name} (UUID: {card.uuid})\n{''.join(slices)}"


_VALUES = {
    "index": "{index}",
    "uuid": "{card.uuid}",
    "pci.bus_id": "",
    "name": "{card.model.name}",
    "compute_cap": "{card.model.capability}",
    "driver_version": "{version}",
    "memory.total": "{card.model.memory} MiB",
    "mig.mode.current": "{card.mig}",
}
TOOLS = {"lspci": lspci, "lsmod": lsmod, "nvidia-smi": nvidia_smi, "chroot": chroot}
INSTALLED = {
    "/usr/bin/lspci": "lspci",
    "/usr/sbin/lsmod": "lsmod",
    "/usr/bin/nvidia-smi": "nvidia-smi",
    "/usr/sbin/chroot": "chroot",
}
