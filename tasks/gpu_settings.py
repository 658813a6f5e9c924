"""The settings of GPUs in the cluster: which cards a node offers, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from thinkube_nornir.settings.schema import HostSettings, Mistake

Hosts = Mapping[str, HostSettings]

EVERY_PRODUCT = "any"
_TAKEN_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system", "cert-manager", "metallb-system")
_OF_THE_ADDON = "gpu-operator-resources"


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


def namespace_is_its_own(hosts: Hosts) -> Iterator[Mistake]:
    for host in hosts.values():
        namespace = host.settings.get("gpu_operator_namespace")
        if namespace in (*_TAKEN_NAMESPACES, _OF_THE_ADDON):
            what = f"gpu_operator_namespace {namespace} is taken"
            fix = "MicroK8s' addon nvidia uses it" if namespace == _OF_THE_ADDON else "rollback removes it as a whole"
            yield Mistake(what, fix, host.name, "gpu_operator_namespace")


def one_operator(hosts: Hosts) -> Iterator[Mistake]:
    """What holds for the cluster must not differ between its nodes."""
    members = [host for host in hosts.values() if "microk8s" in host.groups]
    for name in ("gpu_operator_version", "gpu_operator_namespace", "gpu_time_slicing", "cuda_test_image"):
        for host in members[1:]:
            first = members[0].settings.get(name)
            if host.settings.get(name) != first and name not in host.mistaken | members[0].mistaken:
                what = f"{host.name} has {name} {host.settings.get(name)}, {members[0].name} has {first}"
                yield Mistake(what, "give all of them the same", host.name, name)


CHECKS = (
    nodes_say_how_many_cards,
    counts_agree,
    kept_cards_are_not_given_away,
    namespace_is_its_own,
    one_operator,
)
