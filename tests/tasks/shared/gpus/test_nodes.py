"""Which driver a node is to have, and which nodes the policy leaves out."""

from __future__ import annotations

from typing import Any

import pytest
from nornir.core.task import Result, Task

from tasks.shared.gpus import nodes as gpu_nodes
from tasks.shared.gpus.nodes import Source
from tests.fake_host import FakeHost, Reply
from thinkube_nornir.errors import CheckFailed, Refused
from thinkube_nornir.outcome import unchanged

MODULES = "Module Size Used\nnvidia 1 0\n"
BUS = "0000:08:00.0 0300: 10de:2204 (rev a1)\n\tKernel driver in use: nvidia\n"
SLICE = "  MIG 1g.10gb     Device  0: (UUID: MIG-0)\n"
NAMES = {"8.6": "NVIDIA GeForce RTX 3090", "6.1": "NVIDIA GeForce GTX 1080 Ti"}


def smi(*capabilities: str, mig: tuple[str, ...] = ()) -> str:
    rows = [
        f"{i}, GPU-{i}, 00000000:0{8 + i}:00.0, {NAMES[c]}, {c}, 570.1, {mig[i] if mig else '[N/A]'}"
        for i, c in enumerate(capabilities)
    ]
    return "".join(f"{row}\n" for row in rows)


def host(
    own: str | None, brought: str | None = None, modules: str = MODULES, secure_boot: str = "", **settings: Any
) -> FakeHost:
    """With what the host's and the operator's driver say; None where there is none."""
    answers = {
        "lspci": BUS,
        "lsmod": modules,
        "timeout --kill-after=5 20 nvidia-smi --query": Reply(127) if own is None else own,
        "timeout --kill-after=5 20 nvidia-smi -L": f"GPU 0: A100 (UUID: GPU-0)\n{SLICE}{SLICE}{SLICE}",
        "od": secure_boot or Reply(1),
        "timeout --kill-after=5 20 chroot": Reply(125) if brought is None else brought,
    }
    return FakeHost("bcn1", answers=answers, settings={"kept_pci_slots": ["0000:08:00.0"], **settings})


def asked(here: FakeHost, what: str) -> Result:
    def ask(task: Task) -> Result:
        return unchanged(task, str(getattr(gpu_nodes, what)(task)))

    return here.apply(ask)


@pytest.mark.parametrize(
    ("here", "source"),
    [
        (host(smi("8.6")), Source.HOST),
        (host(smi("8.6"), gpu_driver="host"), Source.HOST),
        (host(None, modules="Module\n"), Source.OPERATOR),
        (host(None, smi("8.6")), Source.OPERATOR),
        (host(None, modules="Module\n", gpu_driver="operator"), Source.OPERATOR),
        (host(None, modules="Module\n", secure_boot=" 6 0 0 0 0\n"), Source.OPERATOR),
        (host(smi("8.6"), secure_boot=" 6 0 0 0 1\n"), Source.HOST),
        (host("Failed to initialize NVML: Driver/library version mismatch\n"), Source.HOST),
    ],
)
def test_driver_is_the_hosts_own_where_it_has_one(here: FakeHost, source: Source) -> None:
    """Also a broken one: another beside it would make it worse. What a container brought is none of the host's."""
    assert asked(here, "driver_source").result == str(source)


@pytest.mark.parametrize(
    ("here", "error", "told"),
    [
        (host(smi("8.6"), gpu_driver="operator"), Refused, "bcn1 has a driver of its own"),
        (host(None, modules="Module\n", gpu_driver="host"), CheckFailed, "bcn1 has no driver of its own"),
        (host(None), CheckFailed, "bcn1 has half a driver"),
        (host(None, modules="Module\n", secure_boot=" 6 0 0 0 1\n"), Refused, "bcn1 starts with Secure Boot"),
    ],
)
def test_contradiction_is_refused(here: FakeHost, error: type[Exception], told: str) -> None:
    """Never two drivers, and never a guess."""
    found = asked(here, "driver_source").exception

    assert isinstance(found, error)
    assert told in str(found)


@pytest.mark.parametrize(
    ("capabilities", "oldest", "out"),
    [(["6.1"], None, False), (["6.1"], 7.0, True), (["8.6"], 7.0, False), ([], 7.0, False)],
)
def test_old_cards_are_left_out_by_the_policy(capabilities: list[str], oldest: float | None, out: bool) -> None:
    """The example's Pascal card is in unless somebody asks for newer ones; a card nobody has asked yet is in."""
    policy: dict[str, Any] = {} if oldest is None else {"gpu_minimum_capability": oldest}

    found = asked(host(smi(*capabilities), **policy), "left_out")

    assert bool(found.result) is out


def test_old_and_new_cards_in_one_node_are_told() -> None:
    """A node offers all of its cards or none."""
    found = asked(host(smi("6.1", "8.6"), gpu_minimum_capability=7.0), "left_out").exception

    assert isinstance(found, CheckFailed)
    assert "GTX 1080 Ti has compute capability 6.1" in found.why


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [({"gpu_count": 3}, 3), ({"kept_pci_slots": []}, 0), ({}, 1), ({"gpu_passthrough": True}, 1)],
)
def test_count_is_the_inventorys(settings: dict[str, Any], wanted: int) -> None:
    """By number, by slots, or the one that a VM is given."""
    assert asked(host(smi("8.6"), **settings), "count").result == str(wanted)


@pytest.mark.parametrize(
    ("sharing", "wanted"), [({}, 1), ({"any": 4}, 4), ({"NVIDIA-GeForce-RTX-3090": 2, "any": 4}, 2)]
)
def test_sharing_is_by_product_or_for_any(sharing: dict[str, int], wanted: int) -> None:
    """A product's own number wins."""
    assert asked(host(smi("8.6"), gpu_time_slicing=sharing), "replicas").result == str(wanted)


@pytest.mark.parametrize(
    ("mig", "wanted"), [((), "1"), (("Disabled",), "1"), (("Enabled",), "3"), (("Enabled", "Enabled"), "3")]
)
def test_cards_in_slices_offer_their_slices(mig: tuple[str, ...], wanted: str) -> None:
    """With the strategy `single` each MIG device is one nvidia.com/gpu."""
    assert asked(host(smi(*["8.6"] * max(len(mig), 1), mig=mig)), "units").result == wanted


def test_cards_with_and_without_slices_are_told() -> None:
    """The device plugin offers none of them."""
    found = asked(host(smi("8.6", "8.6", mig=("Enabled", "Disabled"))), "units").exception

    assert isinstance(found, CheckFailed)
    assert "with and without MIG" in found.what
