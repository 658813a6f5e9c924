"""Output of lspci, nvidia-smi and lsmod as it really looks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.shared.gpus.facts import (
    HOST_DRIVER,
    OPERATOR_DRIVER,
    BusCard,
    DriverCard,
    normal_address,
    parse_bus,
    parse_driver,
    parse_modules,
    parse_secure_boot,
    parse_slices,
)
from thinkube_nornir.command import Command, Completed

BUS = """0000:01:00.0 0300: 10de:2204 (rev a1)
\tSubsystem: 1462:3884
\tKernel driver in use: vfio-pci
\tKernel modules: nvidiafb, nouveau, nvidia_drm, nvidia
0000:01:00.1 0403: 10de:1aef (rev a1)
\tSubsystem: 1462:3884
\tKernel driver in use: vfio-pci
\tKernel modules: snd_hda_intel
0000:08:00.0 0302: 10de:2330 (rev a1)
\tSubsystem: 10de:16c1
\tKernel modules: nouveau
"""
SMI = """0, GPU-0aa28615-8ffd-6ac6-850e-05847b803642, 00000000:0A:00.0, NVIDIA GeForce RTX 3090, 8.6, 570.133.20, [N/A]
Unable to determine the device handle for GPU0000:0B:00.0: Unknown Error
"""
CARD = DriverCard(
    0, "GPU-0aa28615-8ffd-6ac6-850e-05847b803642", "0000:0a:00.0", "NVIDIA GeForce RTX 3090", 8.6, "570.133.20"
)


def said(text: str, status: int = 0, *argv: str, stderr: str = "") -> Completed:
    return Completed(Command(argv or ("x",)), status, text.encode(), stderr.encode())


def test_bus_shows_cards_and_not_their_other_functions() -> None:
    """A card's sound is no card; one without a driver in use has none, whatever modules could drive it."""
    assert parse_bus(said(BUS)) == (BusCard("0000:01:00.0", "vfio-pci"), BusCard("0000:08:00.0", ""))


def test_empty_bus_has_no_cards() -> None:
    """lspci prints nothing, and that is an answer."""
    assert parse_bus(said("")) == ()


def test_good_cards_are_read_beside_a_silent_one() -> None:
    """One of two does not answer: the other one counts, and what was said about the silent one is kept."""
    found = parse_driver(said(SMI, 255))

    assert found.cards == (CARD,)
    assert found.said == "Unable to determine the device handle for GPU0000:0B:00.0: Unknown Error"
    assert CARD.product == "NVIDIA-GeForce-RTX-3090"


@pytest.mark.parametrize(
    ("status", "text", "told"),
    [
        (18, "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.86\n", "mismatch"),
        (9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", "couldn't communicate"),
        (6, "No devices were found\n", "No devices"),
        (124, "", "no answer within 20 s"),
        (137, "", "no answer within 20 s"),
        (3, "", "ended with status 3"),
    ],
)
def test_driver_that_fails_says_why(status: int, text: str, told: str) -> None:
    """Its words come on stdout; a hanging one is ended by its deadline."""
    found = parse_driver(said(text, status))

    assert told in found.said
    assert (found.cards, found.absent) == ((), False)


def test_driver_that_is_not_there_is_absent() -> None:
    """No program on the host; no root, or no program in it, where the operator's driver would be."""
    missing_root = "chroot: cannot change root directory to '/run/nvidia/driver': No such file or directory\n"

    assert parse_driver(said("", 127, *HOST_DRIVER.argv)).absent
    assert parse_driver(said("", 127, *OPERATOR_DRIVER.argv)).absent
    assert parse_driver(said("", 125, *OPERATOR_DRIVER.argv, stderr=missing_root)).absent
    assert not parse_driver(said("", 125, *HOST_DRIVER.argv, stderr="timeout: invalid time interval")).absent


def test_unknown_capability_is_zero() -> None:
    """A card that does not tell is not called too old."""
    assert parse_driver(said(SMI.replace("8.6", "[N/A]"))).cards[0].capability == 0


@given(st.text())
def test_any_text_is_understood(text: str) -> None:
    """No output makes the parsers fail."""
    parse_driver(said(text.encode(errors="replace").decode()))
    parse_bus(said(text.encode(errors="replace").decode()))


@pytest.mark.parametrize("text", ["0000:0a:00.0", "00000000:0A:00.0", "0:0A:00.0"])
def test_addresses_have_one_form(text: str) -> None:
    """lspci and nvidia-smi write the domain differently."""
    assert normal_address(text) == "0000:0a:00.0"


def test_modules_are_the_first_words_below_the_head() -> None:
    """nvidia_drm does not stand for nvidia."""
    assert parse_modules(said("Module  Size  Used by\nnvidia_drm 1 0\nsnd 2 1 nvidia\n")) == {"nvidia_drm", "snd"}


def test_slices_are_counted_below_their_cards() -> None:
    """Not the cards themselves; each card's mode says whether it has any."""
    listed = (
        "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-b614723c-e261-4605-066e-79daab4c00ff)\n"
        "  MIG 2g.20gb     Device  0: (UUID: MIG-dc34c2fd-4bd7-52ad-a6d0-645dcd1794e4)\n"
        "  MIG 2g.20gb     Device  1: (UUID: MIG-ec4c3916-65fa-5948-b9b5-9f21a2ddfcc0)\n"
    )

    assert parse_slices(said(listed)) == 2
    assert parse_slices(said("No devices were found\n", 6)) == 0
    assert parse_driver(said(SMI.replace("[N/A]", "Enabled"), 255)).cards[0].sliced


@pytest.mark.parametrize(
    ("text", "status", "on"),
    [("   6   0   0   0   1\n", 0, True), ("   6   0   0   0   0\n", 0, False), ("", 1, False)],
)
def test_secure_boot_is_the_last_byte_of_its_variable(text: str, status: int, on: bool) -> None:
    """Without UEFI there is no variable, and od says so with its status."""
    assert parse_secure_boot(said(text, status)) is on
