"""The settings of GPUs: each rule seen to fail on the example inventory with one thing changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.phase6_extended_services.gpu_operator import settings as operator
from tasks.shared.settings.gpus import RULES, cards_of
from tasks.shared.settings.values import image
from thinkube_nornir.settings.schema import HostSettings

COMMON = {"gpu_operator_namespace": "gpu-operator", "gpu_operator_version": "v25.3.4"}
BCN1 = HostSettings(
    "bcn1",
    frozenset({"baremetal", "microk8s"}),
    {**COMMON, "gpu_model": "RTX 3090", "assigned_pci_slots": ["0000:01:00.0"], "kept_pci_slots": ["0000:08:00.0"]},
)
TKC = HostSettings(
    "tkc",
    frozenset({"lxd_containers", "gpu_passthrough_vms", "microk8s"}),
    {**COMMON, "gpu_model": "GTX 1080 Ti", "gpu_passthrough": True, "pci_slot": "0000:01:00.0"},
)


def problems(host: HostSettings, *, without: tuple[str, ...] = (), **settings: Any) -> list[str]:
    kept = {name: value for name, value in host.settings.items() if name not in without}
    hosts = {h.name: h for h in (BCN1, TKC)} | {host.name: replace(host, settings=kept | settings)}
    return [mistake.what for rule in (*RULES, *operator.RULES) for mistake in rule(hosts)]


@pytest.mark.parametrize(
    ("version", "channel"), [("v25.3.4", "1.32/stable"), ("v25.3.4", "1.35/stable"), ("v25.10.1", "1.35/stable")]
)
def test_operator_that_suits_containerd_is_taken(version: str, channel: str) -> None:
    """The older one everywhere, the newer one where containerd merges the file that it writes."""
    found = problems(BCN1, gpu_operator_version=version, microk8s_channel=channel)

    assert [what for what in found if "MicroK8s" in what] == []


def test_the_example_is_sound() -> None:
    """One card kept on the machine, one passed to the VM."""
    assert problems(BCN1) == []
    assert (cards_of(BCN1.settings), cards_of(TKC.settings), cards_of({})) == (1, 1, 0)


@pytest.mark.parametrize(
    ("host", "changed", "reported"),
    [
        (BCN1, {"without": ("kept_pci_slots",)}, "neither kept_pci_slots nor gpu_count says which"),
        (BCN1, {"gpu_count": 2}, "gpu_count is 2, and kept_pci_slots has 1"),
        (TKC, {"gpu_count": 0}, "gpu_count is 0, and gpu_passthrough gives it a card"),
        (BCN1, {"kept_pci_slots": ["0000:01:00.0"]}, "0000:01:00.0 is in kept_pci_slots and in assigned_pci_slots"),
        (BCN1, {"kept_pci_slots": ["0000:08:00.0"] * 2}, "0000:08:00.0 is twice in kept_pci_slots"),
        (TKC, {"kept_pci_slots": ["0000:08:00.0"]}, "tkc is a VM"),
        (BCN1, {"gpu_operator_namespace": "kube-system"}, "gpu_operator_namespace kube-system is taken"),
        (BCN1, {"gpu_operator_namespace": "gpu-operator-resources"}, "gpu_operator_namespace gpu-operator-resources"),
        (TKC, {"gpu_operator_version": "v25.3.2"}, "tkc has gpu_operator_version v25.3.2, bcn1 has v25.3.4"),
        (TKC, {"gpu_operator_version": "v25.3.0"}, "v25.3.0 may write another containerd's settings into MicroK8s"),
        (
            BCN1,
            {"gpu_operator_version": "v25.10.1", "microk8s_channel": "1.34/stable"},
            "v25.10.1 needs MicroK8s 1.35, and microk8s_channel is 1.34/stable",
        ),
        (TKC, {"gpu_time_slicing": {"any": 4}}, "tkc has gpu_time_slicing {'any': 4}, bcn1 has None"),
    ],
)
def test_mistake_is_reported(host: HostSettings, changed: dict[str, Any], reported: str) -> None:
    """Before anything is changed, and by the host's name."""
    found = problems(host, **changed)

    assert any(reported in what for what in found), found


@pytest.mark.parametrize("text", ["busybox", "busybox:latest", "reg.example:5000/cuda"])
def test_image_needs_a_lasting_tag(text: str) -> None:
    """What is pulled tomorrow must be what was tried today."""
    with pytest.raises(ValueError, match="other than latest"):
        image(text)


@pytest.mark.parametrize("text", ["nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0", f"x@sha256:{'0' * 64}"])
def test_image_with_tag_or_digest_is_taken(text: str) -> None:
    """As it is."""
    assert image(text) == text
