"""Which pod of CoreDNS answers: right after a roll-out not the same one on every node."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.lab import cluster_dns
from tasks.lab.dns import Query
from tasks.lab.microk8s.node import Node, node_of
from tests.lab_cluster import LabCluster

NAME = Query("x.example.org")
ADDRESS = "192.168.191.200"
PLACE = ("v1", "ConfigMap", "coredns", "kube-system")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LabCluster]:
    """MicroK8s on tkc; its CoreDNS does not know the domain yet."""
    found = LabCluster(tmp_path)
    yield found
    found.close()


def _control(cluster: LabCluster) -> Node:
    node = node_of(cluster.lab.hosts["tkc"])
    assert node is not None
    return node


def _elsewhere(control: Node) -> Node:
    """Another node of the same cluster."""
    return Node(control.host, control.version, control.api, "other", control.host, control.api)


def _rolled_out(cluster: LabCluster) -> None:
    """A new Corefile and new pods, while the old one still ends."""
    served = {"data": {"Corefile": ".:53 {\n reload\n forward . 192.168.191.1\n}\n"}}
    old = cluster.get(*PLACE) or {}
    cluster.act(lambda: cluster.api.apply({**old, **served}))
    name = next(iter(cluster_dns.serving(_control(cluster))))
    cluster.do(_deleted(cluster, name))


async def _deleted(cluster: LabCluster, name: str) -> None:
    cluster.api.delete("v1", "Pod", name, "kube-system")
    await cluster.api.queue.idle()


def _asked(cluster: LabCluster, node: Node) -> tuple[str, ...]:
    return cluster.act(lambda: cluster_dns.ask_coredns(node, NAME)).records


def test_another_node_still_gets_the_old_answer(cluster: LabCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """kube-proxy there has not heard of the change; on the pod's own node it has."""
    monkeypatch.setattr(cluster_dns, "PROXY_LAG", 1e9)
    monkeypatch.setattr(cluster_dns, "RELOADED", 1e9)
    cluster.lab.speed = 2.0  # the old pod has seconds yet
    control = _control(cluster)
    _rolled_out(cluster)

    other = cluster.do(_ask(cluster, _elsewhere(control)))
    own = cluster.do(_ask(cluster, control))

    assert (other, own) == ((), (ADDRESS,))


async def _ask(cluster: LabCluster, node: Node) -> tuple[str, ...]:
    """Without waiting for what is ending."""
    for _ in range(2000):
        found = cluster_dns.ask_coredns(node, NAME)
        if found.rcode != "TIMEOUT":
            return found.records
        await asyncio.sleep(0.01)
    return found.records


def test_after_the_old_pod_has_gone_every_node_gets_the_new_answer(cluster: LabCluster) -> None:
    control = _control(cluster)
    _rolled_out(cluster)
    cluster.do(cluster.api.settled())

    assert _asked(cluster, _elsewhere(control)) == _asked(cluster, control) == (ADDRESS,)


def test_a_changed_file_is_served_only_after_a_while(cluster: LabCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubelet brings it into the pod, and plugin reload looks every half minute."""
    monkeypatch.setattr(cluster_dns, "RELOADED", 1e9)
    served = {"data": {"Corefile": ".:53 {\n reload\n forward . 192.168.191.1\n}\n"}}
    old = cluster.get(*PLACE) or {}
    cluster.act(lambda: cluster.api.apply({**old, **served}))
    before = _asked(cluster, _control(cluster))

    monkeypatch.setattr(cluster_dns, "RELOADED", 0.0)

    assert (before, _asked(cluster, _control(cluster))) == ((), (ADDRESS,))


def test_without_a_ready_pod_nobody_answers(cluster: LabCluster) -> None:
    """A service whose selector fits no pod has no endpoints."""
    with cluster.broken(("v1", "Service", "kube-dns", "kube-system"), {"spec": {"selector": {"k8s-app": "nobody"}}}):
        found = cluster.act(lambda: cluster_dns.ask_coredns(_control(cluster), NAME))

    assert found.rcode == "TIMEOUT"
