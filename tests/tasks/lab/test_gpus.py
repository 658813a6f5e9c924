"""The lab's GPUs: hardware as the inventory says, tools that refuse what they do not know, containerd's runtimes."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.lab.gpus import gpus
from tasks.lab.microk8s import containerd
from tasks.shared.gpus.facts import BUS, HOST_DRIVER, parse_bus, parse_driver
from tests.tasks.lab.fake_lab import FakeLab, lab
from thinkube_nornir.command import Command, Completed
from thinkube_nornir.lab.emulation import LabHost

QUERY = HOST_DRIVER.argv[HOST_DRIVER.argv.index("nvidia-smi") :]
SETTINGS: dict[str, dict[str, Any]] = {
    "bcn1": {
        "gpu_model": "RTX 3090",
        "assigned_pci_slots": ["0000:01:00.0"],
        "kept_pci_slots": ["0000:08:00.0"],
    },
    "bcn2": {"gpu_model": "GTX 1080 Ti", "assigned_pci_slots": ["0000:01:00.0"]},
    "tkc": {"gpu_model": "GTX 1080 Ti", "gpu_passthrough": True, "pci_slot": "0000:01:00.0"},
}


@pytest.fixture
def here() -> FakeLab:
    made = lab()
    for name, settings in SETTINGS.items():
        made.fakes[name].settings = {**made.fakes[name].settings, **settings}
    return made


def told(here: FakeLab, host: str, *argv: str) -> Completed:
    reply = here.sh(host, *argv)
    return Completed(Command(argv), reply.status, str(reply.stdout).encode(), str(reply.stderr).encode())


def test_cards_are_those_of_the_inventory(here: FakeLab) -> None:
    """A reserved card is held by vfio, a kept one driven, a VM has one on its own bus, and another host none."""
    seen = {name: parse_bus(told(here, name, *BUS.argv)) for name in ("bcn1", "bcn2", "tkc", "dns1")}

    assert [(c.address, c.driver) for c in seen["bcn1"]] == [("0000:01:00.0", "vfio-pci"), ("0000:08:00.0", "nvidia")]
    assert [c.driver for c in seen["bcn2"]] == ["vfio-pci"]
    assert [(c.address, c.driver) for c in seen["tkc"]] == [("0000:07:00.0", "nvidia")]
    assert seen["dns1"] == ()


def test_driver_tells_the_cards_it_has(here: FakeLab) -> None:
    """Not those that are reserved; and where there is no driver, there is no program."""
    machine, vm = (parse_driver(told(here, name, *QUERY)) for name in ("bcn1", "tkc"))

    assert [(c.address, c.capability) for c in machine.cards] == [("0000:08:00.0", 8.6)]
    assert [(c.name, c.capability) for c in vm.cards] == [("NVIDIA GeForce GTX 1080 Ti", 6.1)]
    assert parse_driver(told(here, "bcn2", *QUERY)).absent
    assert here.sh("bcn2", "chroot", "/run/nvidia/driver", *QUERY).status == 125


@pytest.mark.parametrize(
    "argv",
    [
        ("lspci",),
        ("lspci", "-vvv"),
        ("lsmod", "-x"),
        ("nvidia-smi", "--query-gpu=fan.speed", "--format=csv"),
        ("nvidia-smi", "--gpu-reset"),
        ("chroot", "/srv", "true"),
    ],
)
def test_unknown_use_is_an_error(here: FakeLab, argv: tuple[str, ...]) -> None:
    """Never a silent success."""
    assert here.sh("bcn1", *argv).status != 0


def test_containerd_starts_nothing_with_a_runtime_that_is_not_there(here: FakeLab) -> None:
    """A handler nobody configured, and a default one whose program was removed, are refused as by the real one."""
    host: LabHost = here.hosts["tkc"]
    host.files.write(containerd.TEMPLATE_FILE, containerd.TEMPLATE)
    assert containerd.refusal(host, "") == ""
    assert 'no runtime for "nvidia"' in containerd.refusal(host, "nvidia")

    table = f'[plugins."{containerd.PLUGIN}".containerd.runtimes.nvidia.options]\nBinaryName = "/usr/local/nvidia/r"\n'
    text = containerd.TEMPLATE.replace('default_runtime_name = "${RUNTIME}"', 'default_runtime_name = "nvidia"')
    host.files.write(containerd.TEMPLATE_FILE, f"{text}{table}")
    assert 'no runtime for "nvidia"' in containerd.refusal(host, "nvidia")  # it reads its file when it starts
    containerd.load(host)
    assert "no such file" in containerd.refusal(host, "")

    host.files.write("/usr/local/nvidia/r", "")
    assert containerd.refusal(host, "") == containerd.refusal(host, "nvidia") == ""


def test_same_card_has_the_same_uuid_wherever_it_is_seen(here: FakeLab) -> None:
    """On the machine that reserves it and in the VM that has it; and each card its own."""
    parent, vm = gpus(here.hosts["bcn2"]).cards[0], gpus(here.hosts["tkc"]).cards[0]
    others = [card.uuid for card in gpus(here.hosts["bcn1"]).cards]

    assert parent.uuid == vm.uuid
    assert len({parent.uuid, *others}) == 3
