"""What the example inventories say of networks and the cluster."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import tasks
from thinkube_nornir.project import load_hosts
from thinkube_nornir.reporting.topology import PlacedHost, Topology, topology_of

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def example() -> Topology:
    _, inventory, _ = load_hosts(ROOT / "config.yaml")
    return topology_of(tasks, inventory)


def test_machines_vms_and_cards_are_told_apart(example: Topology) -> None:
    """Where a VM runs, what a name server is, and who uses a card."""
    assert example.hosts == (
        PlacedHost("bcn1", "desktop", "", ("GPU RTX 3090",)),
        PlacedHost("bcn2", "headless machine", "", ("GPU GTX 1080 Ti, for VMs",)),
        PlacedHost("dns1", "virtual machine", "bcn2", ("name server",)),
        PlacedHost("tkc", "virtual machine", "bcn2", ("GPU GTX 1080 Ti",)),
        PlacedHost("tkw1", "virtual machine", "bcn1", ("GPU RTX 3090",)),
    )


def test_networks_have_every_address(example: Topology) -> None:
    """Also those that are no host's: the gateway's, and those of published services, in the network that holds them."""
    lan, overlay = example.networks

    assert (lan.name, lan.cidr, lan.others) == ("LAN", "192.168.1.0/24", {"gateway": "192.168.1.1"})
    assert lan.addresses["tkc"] == "192.168.1.110"
    assert (overlay.name, overlay.cidr) == ("ZeroTier", "192.168.191.0/24")
    assert overlay.addresses["dns1"] == "192.168.191.1"
    assert overlay.others == {"published services": "192.168.191.200-192.168.191.205"}


def test_the_cluster_has_its_roles(example: Topology) -> None:
    """The control plane, and all others of its group."""
    (cluster,) = example.clusters

    assert (cluster.leaders, cluster.members) == (("tkc",), ("bcn1", "tkw1"))
    assert example.facts == {
        "domain": "home.example",
        "MicroK8s channel": "1.35/stable",
        "public name servers": "8.8.8.8, 8.8.4.4",
        "ingress": "192.168.191.200, 192.168.191.201",
    }


def test_an_installation_without_overlay_has_one_network(tmp_path: Path) -> None:
    """Published services have addresses of the LAN then."""
    shutil.copytree(ROOT / "docs" / "small", tmp_path / "inventory")
    (tmp_path / "config.yaml").write_text(f"target: ssh\ntasks: {ROOT}/tasks\n")
    _, inventory, _ = load_hosts(tmp_path / "config.yaml")

    (lan,) = topology_of(tasks, inventory).networks

    assert lan.addresses == {"one": "192.168.1.11", "two": "192.168.1.12"}
    assert lan.others == {"published services": "192.168.1.240-192.168.1.245"}
