"""What a node should offer and what it has: the inventory's cards, the bus and the driver, joined by PCI address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from nornir.core.inventory import Host
from nornir.core.task import Task

from tasks.shared.cluster.control_plane import Object, expect, internal_ip, kube
from tasks.shared.gpus.facts import (
    BUS,
    HOST_DRIVER,
    HOST_SLICES,
    MODULES,
    OPERATOR_DRIVER,
    OPERATOR_SLICES,
    SECURE_BOOT,
    BusCard,
    Driver,
    DriverCard,
)
from tasks.shared.settings.gpus import EVERY_PRODUCT, cards_of
from thinkube_nornir.context import absent, active, hosts_in, lost, on, setting
from thinkube_nornir.errors import CheckFailed, Refused, Unreachable
from thinkube_nornir.remote import read

NODES = "microk8s"
RESERVED, MODULE = "vfio-pci", "nvidia"


class Source(StrEnum):
    """Whose driver serves a node's cards."""

    HOST = "the host's own driver"
    OPERATOR = "the operator's driver"


@dataclass(frozen=True)
class Hardware:
    """The cards of one node."""

    bus: tuple[BusCard, ...]
    """Without those reserved for VMs."""
    reserved: tuple[str, ...]
    driver: Driver
    source: Source
    modules: frozenset[str]

    def by_address(self) -> dict[str, DriverCard]:
        return {card.address: card for card in self.driver.cards}


def count(task: Task) -> int:
    """How many cards the inventory expects this node to offer."""
    names = ("gpu_count", "gpu_passthrough", "kept_pci_slots", "gpu_model")
    return cards_of({name: value for name in names if (value := setting(task, name, None)) is not None}) or 0


def slots(task: Task) -> tuple[str, ...]:
    """At which addresses; none where only the number is known, as in a VM, whose bus is its own."""
    return tuple(setting(task, "kept_pci_slots", ())) if not setting(task, "gpu_passthrough", False) else ()


def hardware(task: Task) -> Hardware:
    bus, modules, own, brought = read(task, BUS, MODULES, HOST_DRIVER, OPERATOR_DRIVER)
    source = Source.OPERATOR if own.absent else Source.HOST
    kept = slots(task)
    reserved = tuple(card.address for card in bus if card.driver == RESERVED and card.address not in kept)
    cards = tuple(card for card in bus if card.address not in reserved)
    return Hardware(cards, reserved, brought if own.absent else own, source, modules)


def driver_source(task: Task) -> Source:
    """Whose driver it is to be: never the operator's on a host that has one.

    Raises:
        Refused: the operator should bring one, and the host has its own, or starts with Secure Boot.
        CheckFailed: the host should have one, and has not.
    """
    wanted, found = setting(task, "gpu_driver"), hardware(task)
    name = task.host.name
    if wanted == "operator" and found.source is Source.HOST:
        raise Refused(
            f"{name} has a driver of its own, and gpu_driver asks for the operator's",
            why="two drivers on one host fight for the cards",
            fix="set gpu_driver to auto or host, or remove the driver's packages and reboot",
        )
    if wanted == "host" and found.source is Source.OPERATOR:
        raise CheckFailed(
            f"{name} has no driver of its own, and gpu_driver asks for it",
            why="there is no nvidia-smi",
            fix="install the driver's packages, or set gpu_driver to auto",
        )
    if found.source is Source.OPERATOR and MODULE in found.modules and not found.driver.cards:
        raise CheckFailed(
            f"{name} has half a driver",
            why="module nvidia is loaded, and neither the host nor a container of the operator has its programs",
            fix="install the driver's packages as a whole, or remove what is left of them and reboot",
        )
    if found.source is Source.OPERATOR and count(task) and read(task, SECURE_BOOT):
        raise Refused(
            f"{name} starts with Secure Boot, and the operator's driver would be built on it",
            why="the kernel loads signed modules only, and a module that a container builds has no signature",
            fix="install Ubuntu's signed driver, `apt install nvidia-driver-580-server`, or switch Secure Boot off",
        )
    return found.source


def left_out(task: Task) -> str:
    """Why the policy keeps this node from offering its cards; empty when it does not.

    Raises:
        CheckFailed: some of its cards are too old and others are not, and they cannot be offered apart.
    """
    oldest = float(setting(task, "gpu_minimum_capability"))
    old = [card for card in hardware(task).driver.cards if 0 < card.capability < oldest]
    if not old:
        return ""
    message = ", ".join(f"{card.name} has compute capability {card.capability}" for card in old)
    expect(
        len(old) == len(hardware(task).driver.cards),
        f"{task.host.name} has cards below and above gpu_minimum_capability {oldest}",
        why=f"{message}; a node offers all of its cards or none",
        fix="lower gpu_minimum_capability on this host, or take the old card out",
    )
    return f"{message}, and gpu_minimum_capability is {oldest}"


def offers(task: Task) -> bool:
    return count(task) > 0 and not left_out(task)


def replicas(task: Task) -> int:
    """How many pods may share each card of this node."""
    sharing = setting(task, "gpu_time_slicing", {})
    return max((sharing.get(product, sharing.get(EVERY_PRODUCT, 1)) for product in products(task)), default=1)


def sliced(task: Task) -> bool:
    """Whether its cards compute in slices (MIG).

    Raises:
        CheckFailed: some do and others do not: the device plugin offers none then.
    """
    cards = hardware(task).driver.cards
    whole = [str(card) for card in cards if not card.sliced]
    expect(
        len(whole) in (0, len(cards)),
        f"{task.host.name} has cards with and without MIG",
        why=f"without: {', '.join(whole)}; the device plugin's strategy `single` wants all alike, and offers none now",
        fix="switch MIG on or off on all of them: `nvidia-smi -i NUMBER -mig 1`",
    )
    return len(whole) < len(cards)


def units(task: Task) -> int:
    """How many pods this node can serve without sharing: its cards, or the slices of all of them."""
    if not sliced(task):
        return count(task)
    return read(task, HOST_SLICES if hardware(task).source is Source.HOST else OPERATOR_SLICES)


def products(task: Task) -> tuple[str, ...]:
    return tuple(dict.fromkeys(card.product for card in hardware(task).driver.cards))


def with_cards(task: Task) -> list[Host]:
    """All nodes that should have cards, whether they take part in this run or not."""
    return [host for host in hosts_in(task, NODES) if count(on(task, host))]


def gpu_hosts(task: Task) -> list[Task]:
    """The step on each node that should have cards and takes part in this run, by name."""
    return [there for host in active(task, NODES) if count(there := on(task, host))]


def absent_gpu_hosts(task: Task) -> dict[str, str]:
    """The other nodes that should have cards, with the reason."""
    return {host: why for host, why in absent(task, NODES).items() if count(on(task, host))}


def absent_nodes(task: Task) -> list[Object]:
    """The Nodes of those, as far as there are any: by address, because nobody can be asked for a name."""
    addresses = {setting(on(task, host), "lan_ip") for host in absent_gpu_hosts(task)}
    return [node for node in kube(task).list("v1", "Node") if internal_ip(node) in addresses] if addresses else []


def answering(task: Task, question: Callable[[Task], object]) -> list[Task]:
    """Those of gpu_hosts for which the answer is yes; one that gives none takes part no longer."""
    found = []
    for there in gpu_hosts(task):
        try:
            if question(there):
                found.append(there)
        except Unreachable as error:
            if there.host.name == task.host.name:
                raise
            lost(there, error)
    return found
