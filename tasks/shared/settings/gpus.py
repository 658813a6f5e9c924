"""The settings of GPUs in the cluster: which cards a node offers, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from thinkube_nornir.settings.schema import HostSettings, Mistake

Hosts = Mapping[str, HostSettings]

EVERY_PRODUCT = "any"
_TAKEN_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system", "cert-manager", "metallb-system")
_OF_THE_ADDON = "gpu-operator-resources"
_SAFE_BESIDE_OTHERS = (25, 3, 1)  # toolkit 1.17.6 can be kept from asking a containerd on PATH
_DROP_INS = (25, 10)  # toolkit 1.18
_MERGES_DROP_INS = (1, 35)  # containerd 2.1; 1.7 takes a plugin's settings from the last file alone


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


def operator_suits_microk8s(hosts: Hosts) -> Iterator[Mistake]:
    """What its toolkit does to containerd's configuration must suit the containerd of MicroK8s.

    Source: NVIDIA/nvidia-container-toolkit@v1.18.1 pkg/config/engine/containerd/containerd.go
    Source: containerd/containerd@v1.7.29 services/server/config/config.go
    """
    for host in hosts.values():
        version, channel = host.settings.get("gpu_operator_version"), host.settings.get("microk8s_channel")
        if (
            version is None
            or host.mistaken & {"gpu_operator_version", "microk8s_channel"}
            or not cards_of(host.settings)
        ):
            continue
        if _numbers(version) < _SAFE_BESIDE_OTHERS:
            what = f"{host.name}: gpu_operator_version {version} may write another containerd's settings into MicroK8s"
            yield Mistake(what, "take v25.3.4, or v25.10.1 from MicroK8s 1.35 on", host.name, "gpu_operator_version")
        elif writes_drop_in(version) and channel and _numbers(channel.partition("/")[0]) < _MERGES_DROP_INS:
            what = (
                f"{host.name}: gpu_operator_version {version} needs MicroK8s 1.35, and microk8s_channel is {channel}:"
                " its containerd 1.7 replaces what it has by a file that adds a runtime"
            )
            yield Mistake(what, "take v25.3.4, or the channel 1.35/stable", host.name, "gpu_operator_version")


def writes_drop_in(version: str) -> bool:
    """Whether the operator's toolkit writes runtimes into a file of their own, beside containerd's configuration."""
    return _numbers(version) >= _DROP_INS


def _numbers(version: str) -> tuple[int, ...]:
    """
    >>> _numbers("v25.10.1")
    (25, 10, 1)
    """
    return tuple(int(part) for part in version.removeprefix("v").partition("-")[0].split("."))


CHECKS = (
    nodes_say_how_many_cards,
    counts_agree,
    kept_cards_are_not_given_away,
    namespace_is_its_own,
    one_operator,
    operator_suits_microk8s,
)
