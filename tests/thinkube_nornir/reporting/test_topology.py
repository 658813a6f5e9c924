"""Hosts, networks and clusters: what the engine makes of them."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from nornir.core.inventory import Group as NornirGroup
from nornir.core.inventory import Groups, Host, Hosts, Inventory, ParentGroups

from thinkube_nornir.reporting.topology import PlacedHost, Topology, in_order, topology_of

GROUP = NornirGroup("workers")
INVENTORY = Inventory(Hosts({"a": Host("a", groups=ParentGroups([GROUP])), "b": Host("b")}), Groups({"workers": GROUP}))


def test_without_a_word_of_the_tasks_there_are_hosts_and_groups() -> None:
    """Every project has these."""
    found = topology_of(ModuleType("steps"), INVENTORY)

    assert found == Topology((PlacedHost("a", notes=("workers",)), PlacedHost("b")))


def test_the_tasks_say_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of a module, which is imported only then."""
    package, module = ModuleType("steps"), ModuleType("steps.places")
    said = Topology((PlacedHost("a", "machine"),))
    package.TOPOLOGY = "places"  # type: ignore[attr-defined]
    module.topology = lambda inventory: said if inventory is INVENTORY else None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "steps", package)
    monkeypatch.setitem(sys.modules, "steps.places", module)

    assert topology_of(package, INVENTORY) is said


def test_guests_follow_the_host_that_they_run_on() -> None:
    """Guests of guests too; who runs on nobody that is known stands at the top."""
    hosts = (
        PlacedHost("lost", runs_on="elsewhere"),
        PlacedHost("vm1", runs_on="m1"),
        PlacedHost("m1"),
        PlacedHost("m2"),
        PlacedHost("vm2", runs_on="m1"),
        PlacedHost("pod", runs_on="vm1"),
    )

    assert [(host.name, depth) for host, depth in in_order(Topology(hosts))] == [
        ("lost", 0),
        ("m1", 0),
        ("vm1", 1),
        ("pod", 2),
        ("vm2", 1),
        ("m2", 0),
    ]


def test_hosts_that_run_on_each_other_are_shown_all_the_same() -> None:
    """A mistake in an inventory hides no host."""
    hosts = (PlacedHost("a", runs_on="b"), PlacedHost("b", runs_on="a"), PlacedHost("c", runs_on="c"))

    assert sorted(host.name for host, _ in in_order(Topology(hosts))) == ["a", "b", "c"]
