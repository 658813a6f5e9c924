"""The settings of cards: which of them a machine keeps, gives to a VM, or offers to the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from tasks.shared.settings.values import Amount, Product, Slot, Text
from thinkube_nornir.settings.schema import Hosts, HostSettings, Mistake

EVERY_PRODUCT = "any"


class Settings:
    """GPUs."""

    gpu_model: Text
    """The cards, for people."""
    gpu_passthrough: bool
    """The VM gets a card of its machine."""
    pci_slot: Slot
    """Which one: its slot on the machine, among that one's assigned_pci_slots."""
    configure_gpu_passthrough: bool
    """The machine is prepared to give cards to VMs."""
    assigned_pci_slots: list[Slot]
    """Cards that are reserved for VMs."""
    kept_pci_slots: list[Slot]
    """Cards that the machine keeps; as a Kubernetes node it offers these."""
    host_gpu_type: Literal["amd", "intel", "nvidia"]
    """Make of the GPU that the machine keeps for its display."""
    host_gpu_index: Annotated[int, Ge(0), Le(63)]
    """Which of them, when there are several."""
    gpu_count: Annotated[int, Ge(0), Le(64)]
    """How many cards the node offers, where slots do not say it."""
    gpu_driver: Literal["auto", "host", "operator"] = "auto"
    """Whose driver a node uses: its own where it has one (auto), always its own, or the operator's."""
    gpu_minimum_capability: Annotated[float, Ge(1), Le(99)] = 6.0  # the oldest cards that images of CUDA 12 run on
    """Nodes with cards of a lower compute capability offer none."""
    gpu_time_slicing: dict[Product, Amount]
    """How many pods share a card: `{any: 4}`, or by product as the nodes' label nvidia.com/gpu.product has it."""


def cards_of(settings: Mapping[str, Any]) -> int | None:
    """How many cards the host offers as a Kubernetes node; None when its settings do not say.

    A VM has the card of its `pci_slot`; a machine keeps those in `kept_pci_slots`; `gpu_count` overrides both.
    """
    if "gpu_count" in settings:
        return int(settings["gpu_count"])
    if settings.get("gpu_passthrough"):
        return 1
    if "kept_pci_slots" in settings:
        return len(settings["kept_pci_slots"])
    return None if "gpu_model" in settings else 0


def gpu_has_a_slot_of_its_own(hosts: Hosts) -> Iterator[Mistake]:
    taken: dict[tuple[str, str], str] = {}
    for vm in hosts.values():
        passed, slot = vm.settings.get("gpu_passthrough", False), vm.settings.get("pci_slot")
        if passed != ("gpu_passthrough_vms" in vm.groups) and "gpu_passthrough" not in vm.mistaken:
            what = f"{vm.name}: gpu_passthrough is {str(passed).lower()}, but group gpu_passthrough_vms says otherwise"
            yield Mistake(what, "set both or none", vm.name, "gpu_passthrough")
        if passed and vm.lacks("pci_slot"):
            yield Mistake(f"{vm.name}: gpu_passthrough needs a pci_slot", "see `lspci` on the parent", vm.name)
        if slot and not passed and "gpu_passthrough" not in vm.mistaken:
            yield Mistake(f"{vm.name}: pci_slot is set, and gpu_passthrough is not", "", vm.name, "pci_slot")
        if slot:
            yield from _slot(hosts, vm, slot, taken)


def _slot(hosts: Hosts, vm: HostSettings, slot: str, taken: dict[tuple[str, str], str]) -> Iterator[Mistake]:
    parent = vm.settings.get("parent_host", "")
    other = taken.setdefault((parent, slot), vm.name)
    if other != vm.name:
        yield Mistake(f"{vm.name} and {other} both get {slot} of {parent}", "", vm.name, "pci_slot")
    reserved = hosts[parent].settings.get("assigned_pci_slots") if parent in hosts else None
    if reserved is not None and slot not in reserved:
        what = f"{vm.name}: {slot} is not among {parent}'s assigned_pci_slots ({', '.join(reserved) or 'none'})"
        yield Mistake(what, "", vm.name, "pci_slot")


def nodes_say_how_many_cards(hosts: Hosts) -> Iterator[Mistake]:
    """A machine may keep some of its cards and reserve others for VMs: only its owner knows."""
    for host in hosts.values():
        if "microk8s" in host.groups and not host.mistaken and cards_of(host.settings) is None:
            what = f"{host.name} has GPUs, and neither kept_pci_slots nor gpu_count says which of them the cluster gets"
            fix = 'list their slots in kept_pci_slots, ["0000:08:00.0"], or [] when VMs get all of them'
            yield Mistake(what, fix, host.name, "gpu_model")


def counts_agree(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        count, kept = host.settings.get("gpu_count"), host.settings.get("kept_pci_slots")
        if count is not None and kept is not None and count != len(kept):
            what = f"{host.name}: gpu_count is {count}, and kept_pci_slots has {len(kept)}"
            yield Mistake(what, "one of the two is enough", host.name, "gpu_count")
        if count == 0 and host.settings.get("gpu_passthrough"):
            yield Mistake(
                f"{host.name}: gpu_count is 0, and gpu_passthrough gives it a card", "", host.name, "gpu_count"
            )


def kept_cards_are_not_given_away(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        kept = host.settings.get("kept_pci_slots") or ()
        for slot in kept:
            if slot in (host.settings.get("assigned_pci_slots") or ()):
                what = f"{host.name}: {slot} is in kept_pci_slots and in assigned_pci_slots"
                yield Mistake(what, "a card is the host's, or a VM's", host.name, "kept_pci_slots")
        for slot in {s for s in kept if list(kept).count(s) > 1}:
            yield Mistake(f"{host.name}: {slot} is twice in kept_pci_slots", "", host.name, "kept_pci_slots")
        if kept and "lxd_containers" in host.groups:
            what = f"{host.name} is a VM: its card is the one in pci_slot, at another address than on its parent"
            yield Mistake(what, "leave kept_pci_slots out", host.name, "kept_pci_slots")


RULES = (gpu_has_a_slot_of_its_own, nodes_say_how_many_cards, counts_agree, kept_cards_are_not_given_away)
