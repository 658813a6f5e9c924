"""How pods end: they stay until their containers have ended, and what counts them leaves them out meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kube_servers import LabServer
from tests.light_lab import eventually
from tests.thinkube_nornir.lab.kube.conftest import workload
from thinkube_nornir.lab.kube import Object
from thinkube_nornir.lab.kube.deletion import Deletion
from thinkube_nornir.lab.kube.objects import dig, is_true


class Ending(LabServer):
    """A cluster of one node, whose containers end when `allowed` is set."""

    def __init__(self) -> None:
        self.allowed = asyncio.Event()
        self.asked: list[tuple[str, int]] = []

        async def stop(pod: Object, _: str) -> None:
            self.asked.append((pod["metadata"]["name"], pod["metadata"]["deletionGracePeriodSeconds"]))
            await self.allowed.wait()

        super().__init__(stop=stop)
        self.do(lambda: self.api.add_node("n1", address="192.0.2.1"))

    def pods(self) -> list[Object]:
        return self.do(lambda: self.api.list("v1", "Pod", "default"))

    def get(self, *place: str) -> Object:
        return self.do(lambda: self.api.get(*place)) or {}

    def end(self) -> None:
        self.do(self.allowed.set)
        self.settle()


@pytest.fixture
def cluster() -> Iterator[Ending]:
    found = Ending()
    found.do(lambda: found.api.create(workload("Deployment", "web", replicas=1)))
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"}}
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    found.do(lambda: found.api.create({**service, "spec": spec}))
    found.settle()
    yield found
    found.do(found.allowed.set)
    found.stop()


def _ready(cluster: Ending, *, deleted: bool) -> list[Object]:
    return [p for p in cluster.pods() if is_true(p, "Ready") and ("deletionTimestamp" in p["metadata"]) is deleted]


def test_a_rolled_out_deployment_still_has_its_old_pod(cluster: Ending) -> None:
    """Status and Endpoints leave it out, the slice marks it, and it goes when its container has ended."""
    old = cluster.pods()[0]["status"]["podIP"]
    change: Any = cluster.get("apps/v1", "Deployment", "web", "default")
    change["spec"]["template"]["metadata"]["annotations"] = {"version": "2"}
    cluster.do(lambda: cluster.api.update(change))

    assert eventually(lambda: len(_ready(cluster, deleted=True)) == len(_ready(cluster, deleted=False)) == 1)

    new = _ready(cluster, deleted=False)[0]["status"]["podIP"]
    status = cluster.get("apps/v1", "Deployment", "web", "default")["status"]
    assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"]) == (1, 1, 1)
    addresses = dig(cluster.get("v1", "Endpoints", "web", "default"), "subsets", default=[])[0]["addresses"]
    assert [address["ip"] for address in addresses] == [new]
    endpoints = cluster.get("discovery.k8s.io/v1", "EndpointSlice", "web-lab", "default")["endpoints"]
    assert {e["addresses"][0]: e["conditions"] for e in endpoints} == {
        new: {"ready": True, "serving": True, "terminating": False},
        old: {"ready": False, "serving": True, "terminating": True},
    }
    assert cluster.asked[0][1] == 30

    cluster.end()
    assert [pod["status"]["podIP"] for pod in cluster.pods()] == [new]


def test_a_forced_deletion_does_not_wait(cluster: Ending) -> None:
    """`--grace-period=0 --force`, as probe pods are deleted."""
    name = cluster.pods()[0]["metadata"]["name"]
    cluster.do(lambda: cluster.api.delete("v1", "Pod", name, "default"))
    assert eventually(lambda: bool(cluster.asked))

    cluster.do(lambda: cluster.api.delete("v1", "Pod", name, "default", how=Deletion(grace=0)))

    assert name not in [pod["metadata"]["name"] for pod in cluster.pods()]


def test_an_evicted_pod_stays_beside_the_one_in_its_place(cluster: Ending) -> None:
    """It failed with its reason; nothing counts it, and no service sends to it."""
    name = cluster.pods()[0]["metadata"]["name"]

    cluster.do(lambda: cluster.api.evict(name, "default"))
    cluster.settle()

    phases = {pod["metadata"]["name"] == name: pod["status"].get("phase") for pod in cluster.pods()}
    assert phases == {True: "Failed", False: "Running"}
    evicted = cluster.get("v1", "Pod", name, "default")
    assert evicted["status"]["reason"] == "Evicted"
    subsets = cluster.get("v1", "Endpoints", "web", "default")["subsets"]
    assert evicted["status"]["podIP"] not in [a["ip"] for subset in subsets for a in subset["addresses"]]


def test_an_api_that_stops_does_not_wait_for_pods(cluster: Ending) -> None:
    """What was ending goes on when it is back."""
    name = cluster.pods()[0]["metadata"]["name"]
    cluster.do(lambda: cluster.api.delete("v1", "Pod", name, "default"))
    assert eventually(lambda: len(cluster.asked) == 1)

    cluster._wait(cluster.api.stop())
    cluster._wait(cluster.api.start())
    cluster.end()

    assert name not in [pod["metadata"]["name"] for pod in cluster.pods()]
