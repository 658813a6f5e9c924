"""The lab's MetalLB: the addon's ways, addresses from pools with the real events, and who may announce them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tasks.lab.load_balancer import addresses_of, announcer
from tests.lab_cluster import LabCluster
from thinkube_nornir.lab.emulation import Reply

POOL = ("metallb.io/v1beta1", "IPAddressPool", "default-addresspool", "metallb-system")
ADVERTISEMENT = ("metallb.io/v1beta1", "L2Advertisement", "default-advertise-all-pools", "metallb-system")
NODE = ("v1", "Node", "tkc.example.org", "")
RANGE = "192.168.191.200-192.168.191.202"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LabCluster]:
    made = LabCluster(tmp_path)
    yield made
    made.close()


def microk8s(cluster: LabCluster, *words: str) -> Reply:
    reply = cluster.do(cluster.lab.call("tkc", "microk8s", *words))
    cluster.do(cluster.api.settled())
    return reply


def service(cluster: LabCluster, name: str, notes: dict[str, str] | None = None, **spec: Any) -> list[str]:
    """The addresses it gets."""
    metadata = {"name": name, "namespace": "default", "annotations": notes or {}}
    full = {"type": "LoadBalancer", "ports": [{"port": 80}], **spec}
    cluster.add({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": full})
    return addresses(cluster, name)


def addresses(cluster: LabCluster, name: str) -> list[str]:
    return addresses_of(cluster.get("v1", "Service", name, "default") or {})


def events(cluster: LabCluster) -> list[str]:
    return [f"{e['reason']}: {e['message']}" for e in cluster.act(lambda: cluster.api.list("v1", "Event", "default"))]


def test_without_a_range_the_addon_asks_where_nobody_can_answer(cluster: LabCluster) -> None:
    """The real one hangs at a terminal and fails without one; nothing is installed."""
    reply = microk8s(cluster, "enable", "metallb")

    assert reply.status == 1
    assert "Enter each IP address range" in str(reply.stderr)
    assert cluster.get("v1", "Namespace", "metallb-system") is None


def test_what_is_no_range_is_refused(cluster: LabCluster) -> None:
    reply = microk8s(cluster, "enable", "metallb:192.168.191.200")

    assert reply.status == 1
    assert "Your input value (192.168.191.200) is not a valid IP Range" in str(reply.stdout)


def test_services_get_free_addresses_until_there_are_none(cluster: LabCluster) -> None:
    """In order, a wanted one first; whoever gets none waits, with MetalLB's event, until one is free."""
    microk8s(cluster, "enable", f"metallb:{RANGE}")

    assert service(cluster, "wants", loadBalancerIP="192.168.191.201") == ["192.168.191.201"]
    assert service(cluster, "first") == ["192.168.191.200"]
    assert service(cluster, "second") == ["192.168.191.202"]
    assert service(cluster, "late") == []
    assert 'AllocationFailed: Failed to allocate IP for "default/late": no available IPs' in events(cluster)
    cluster.act(lambda: cluster.api.delete("v1", "Service", "first", "default"))
    cluster.do(cluster.api.settled())
    assert addresses(cluster, "late") == ["192.168.191.200"]


@pytest.mark.parametrize("note", ["metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs"])
def test_an_address_may_be_asked_for_by_annotation(cluster: LabCluster, note: str) -> None:
    microk8s(cluster, "enable", f"metallb:{RANGE}")

    assert service(cluster, "web", {note: "192.168.191.202"}) == ["192.168.191.202"]


def test_a_wanted_address_that_is_taken_or_outside_is_refused(cluster: LabCluster) -> None:
    """The event says who has it, or that no pool holds it."""
    microk8s(cluster, "enable", f"metallb:{RANGE}")
    service(cluster, "owner", loadBalancerIP="192.168.191.200")

    assert service(cluster, "rival", loadBalancerIP="192.168.191.200") == []
    assert service(cluster, "stray", loadBalancerIP="10.0.0.1") == []
    told = "\n".join(events(cluster))
    assert "address also in use by default/owner" in told
    assert '["10.0.0.1"] is not allowed in config' in told


def test_enabling_again_changes_nothing_and_off_and_on_replaces_the_pool(cluster: LabCluster) -> None:
    """Addresses that are in it no more are taken away, and others given."""
    other = "metallb:192.168.191.210/32,192.168.191.220-192.168.191.221"
    microk8s(cluster, "enable", f"metallb:{RANGE}")
    service(cluster, "web")

    microk8s(cluster, "enable", other)
    kept = cluster.get(*POOL)
    assert kept is not None
    assert kept["spec"]["addresses"] == [RANGE]
    microk8s(cluster, "disable", "metallb")
    microk8s(cluster, "enable", other)

    pool = cluster.get(*POOL)
    assert pool is not None
    assert pool["spec"]["addresses"] == ["192.168.191.210/32", "192.168.191.220-192.168.191.221"]
    assert addresses(cluster, "web") == ["192.168.191.210"]


def test_disabling_takes_the_pools_of_others_along(cluster: LabCluster) -> None:
    """Its CRDs go, and with them every object of their kinds."""
    before = cluster.objects()
    microk8s(cluster, "enable", f"metallb:{RANGE}")
    other = {"name": "others", "namespace": "metallb-system"}
    cluster.add({"apiVersion": POOL[0], "kind": POOL[1], "metadata": other, "spec": {"addresses": ["10.0.0.0/30"]}})

    microk8s(cluster, "disable", "metallb")

    assert cluster.objects() == before


def announced_by(cluster: LabCluster, name: str) -> str | None:
    found = cluster.get("v1", "Service", name, "default")
    assert found is not None
    return cluster.act(lambda: announcer(cluster.api, found))


def serve(cluster: LabCluster, name: str, *nodes: str) -> None:
    """Ready endpoints of a service."""
    conditions = {"ready": True, "serving": True, "terminating": False}
    metadata = {"name": f"{name}-1", "namespace": "default", "labels": {"kubernetes.io/service-name": name}}
    endpoints = [
        {"addresses": [f"10.1.9.{i}"], "nodeName": node, "conditions": conditions} for i, node in enumerate(nodes, 1)
    ]
    made = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": []}
    cluster.add(made | {"metadata": metadata, "endpoints": endpoints})


def test_an_address_is_announced_by_a_node_that_may(cluster: LabCluster) -> None:
    """An advertisement must choose pool and node, the speaker must be ready, and no label may forbid it."""
    microk8s(cluster, "enable", f"metallb:{RANGE}")
    service(cluster, "web")
    assert announced_by(cluster, "web") is None, "nothing is behind the service yet"
    serve(cluster, "web", "tkc.example.org")
    label = {"node.kubernetes.io/exclude-from-external-load-balancers": "true"}
    elsewhere = [{"matchLabels": {"kubernetes.io/hostname": "tkw1"}}]

    assert announced_by(cluster, "web") == "tkc.example.org"
    for place, change in (
        (ADVERTISEMENT, None),
        (ADVERTISEMENT, {"spec": {"nodeSelectors": elsewhere}}),
        (ADVERTISEMENT, {"spec": {"ipAddressPools": ["another"]}}),
        (NODE, {"metadata": {"labels": label}}),
        (("apps/v1", "DaemonSet", "speaker", "metallb-system"), None),
    ):
        with cluster.broken(place, change):
            assert announced_by(cluster, "web") is None
    assert announced_by(cluster, "web") == "tkc.example.org"


@pytest.mark.parametrize(
    ("number", "policy", "expected"), [(0, "Cluster", "n1"), (2, "Cluster", "n2"), (0, "Local", "n2")]
)
def test_of_several_nodes_the_one_announces_whose_hash_is_lowest(
    cluster: LabCluster, number: int, policy: str, expected: str
) -> None:
    """Of name and address, so that not all are announced by one; with policy Local, of those with an endpoint."""
    address = f"192.168.191.20{number}"
    microk8s(cluster, "enable", f"metallb:{RANGE}")
    for place in (1, 2):
        cluster.act(partial(cluster.api.add_node, f"n{place}", address=f"192.168.191.{place}"))
    cluster.do(cluster.api.settled())
    label = {"metadata": {"labels": {"node.kubernetes.io/exclude-from-external-load-balancers": "true"}}}
    service(cluster, "web", loadBalancerIP=address, externalTrafficPolicy=policy)
    serve(cluster, "web", "n2")

    with cluster.broken(NODE, label):
        assert announced_by(cluster, "web") == expected


def test_a_pool_may_be_asked_for_or_be_left_to_those_who_do(cluster: LabCluster) -> None:
    """autoAssign: false keeps a pool for services that name it."""
    microk8s(cluster, "enable", f"metallb:{RANGE}")
    kept = {"addresses": ["10.9.9.9/32"], "autoAssign": False}
    metadata = {"name": "a-kept", "namespace": "metallb-system"}
    cluster.add({"apiVersion": POOL[0], "kind": POOL[1], "metadata": metadata, "spec": kept})

    assert service(cluster, "any") == ["192.168.191.200"]
    assert service(cluster, "asks", {"metallb.io/address-pool": "a-kept"}) == ["10.9.9.9"]
    assert service(cluster, "errs", {"metallb.io/address-pool": "nobody"}) == []
    assert 'AllocationFailed: Failed to allocate IP for "default/errs": unknown pool "nobody"' in events(cluster)
