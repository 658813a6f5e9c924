"""What is drawn of a topology."""

from __future__ import annotations

from thinkube_nornir.reporting.html_topology import drawing
from thinkube_nornir.reporting.topology import Cluster, Network, PlacedHost, Topology

MADE = drawing(
    Topology(
        (PlacedHost("vm", "virtual machine", runs_on="machine"), PlacedHost("machine", "desktop"), PlacedHost("far")),
        (
            Network("LAN", "10.0.0.0/24", {"machine": "10.0.0.2", "vm": "10.0.0.3"}, {"gateway": "10.0.0.1"}),
            Network("overlay", "10.1.0.0/24", {"far": "10.1.0.9"}),
        ),
        (Cluster("cluster", ("machine",), ("vm", "far"), "control plane", "worker"),),
        {"domain": "home.example"},
    )
)


def test_rows_are_hosts_with_their_guests_and_then_what_else_has_an_address() -> None:
    """Each with its addresses by network, and its role in the cluster."""
    assert [(place.name, place.depth, place.is_host) for place in MADE.places] == [
        ("machine", 0, True),
        ("vm", 1, True),
        ("far", 0, True),
        ("gateway", 0, False),
    ]
    assert [dict(place.addresses) for place in MADE.places] == [
        {0: "10.0.0.2"},
        {0: "10.0.0.3"},
        {1: "10.1.0.9"},
        {0: "10.0.0.1"},
    ]
    assert [place.roles for place in MADE.places] == [("control plane",), ("worker",), ("worker",), ()]


def test_a_line_reaches_from_its_first_member_to_its_last() -> None:
    """It passes those between without a mark, and what has one member only is a mark without a line."""
    lan, overlay, cluster = zip(*(place.stops for place in MADE.places), strict=True)

    assert [stop.mark for stop in lan] == ["member", "member", "", "member"]
    assert [(stop.above, stop.below) for stop in lan] == [(False, True), (True, True), (True, True), (True, False)]
    assert [(stop.above, stop.below) for stop in overlay] == [(False, False)] * 4
    assert [stop.mark for stop in cluster] == ["leader", "member", "member", ""]
    assert not cluster[3].above


def test_networks_and_clusters_are_named_with_their_size() -> None:
    """For the key beside the drawing."""
    assert [(line.name, line.detail) for line in MADE.lines] == [
        ("LAN", "10.0.0.0/24"),
        ("overlay", "10.1.0.0/24"),
        ("cluster", "1 control plane, 2 workers"),
    ]
