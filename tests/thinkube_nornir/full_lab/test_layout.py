"""What the tasks package says of the full lab."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from nornir.core.inventory import Inventory

from tasks import full_lab
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.full_lab.layout import layout_of
from thinkube_nornir.project import load_hosts


def shipped() -> Inventory:
    return load_hosts(Path(__file__).parents[3] / "config.yaml")[1]


def test_the_example_inventory_is_five_machines_in_one_lan() -> None:
    """Their addresses are those of the inventory; this machine is the LAN's router."""
    layout = full_lab.layout(shipped())

    assert [network.address for network in layout.networks] == ["192.168.1.1/24"]
    assert {machine.name: machine.links[0].address for machine in layout.machines} == {
        "bcn1": "192.168.1.101/24",
        "bcn2": "192.168.1.102/24",
        "dns1": "192.168.1.100/24",
        "tkc": "192.168.1.110/24",
        "tkw1": "192.168.1.111/24",
    }
    assert {machine.user for machine in layout.machines} == {"thinkube"}


def test_another_inventory_is_another_lab() -> None:
    """What a lab was started for is known by the layout's fingerprint."""
    inventory = shipped()
    before = full_lab.layout(inventory).fingerprint

    inventory.hosts["tkc"].data["lan_ip"] = "192.168.1.112"

    assert full_lab.layout(inventory).fingerprint != before


def test_a_package_that_says_nothing_is_named() -> None:
    package = ModuleType("steps")

    with pytest.raises(ConfigError, match=r"steps/__init__.py: FULL_LAB is missing"):
        layout_of(package, shipped())
