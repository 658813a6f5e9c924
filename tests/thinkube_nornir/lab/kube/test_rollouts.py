"""Deployments, DaemonSets and nodes where they differ from what one would guess."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.kube_servers import LabServer
from tests.light_lab import eventually
from tests.thinkube_nornir.lab.kube.conftest import pod, workload
from thinkube_nornir.lab.kube import ApiError, Object
from thinkube_nornir.lab.kube.objects import condition, is_true, uid_of


class Cluster(LabServer):
    """Nodes n1 and n2; pods end when `allowed` is set."""

    def __init__(self) -> None:
        self.allowed = asyncio.Event()
        self.allowed.set()

        async def stop(_pod: Object, _node: str) -> None:
            await self.allowed.wait()

        super().__init__(stop=stop)
        for number in (1, 2):
            self.do(partial(self.api.add_node, f"n{number}", address=f"192.0.2.{number}"))

    def create(self, obj: Object) -> None:
        self.do(lambda: self.api.create(obj))
        self.settle()

    def get(self, *place: str) -> Any:
        return self.do(lambda: self.api.get(*place))

    def change(self, obj: Object) -> None:
        self.do(lambda: self.api.update(obj))

    def pods(self) -> dict[str, Object]:
        return {uid_of(p): p for p in self.do(lambda: self.api.list("v1", "Pod", "default"))}

    def away(self, name: str, reason: str = "NodeStatusUnknown") -> None:
        self.do(lambda: self.api.set_node_ready(name, False, reason))
        self.settle()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    found = Cluster()
    yield found
    found.do(found.allowed.set)
    found.stop()


def deployment(cluster: Cluster) -> Any:
    return cluster.get("apps/v1", "Deployment", "web", "default")


def daemons(cluster: Cluster) -> Any:
    return cluster.get("apps/v1", "DaemonSet", "agent", "default")


def test_recreate_makes_no_new_pod_before_the_old_one_has_ended(cluster: Cluster) -> None:
    """And meanwhile it is not available."""
    wanted = workload("Deployment", "web", replicas=1)
    wanted["spec"]["strategy"] = {"type": "Recreate"}
    cluster.create(wanted)
    [old] = cluster.pods()
    cluster.do(cluster.allowed.clear)
    changed = deployment(cluster)
    changed["spec"]["template"]["metadata"]["annotations"] = {"version": "2"}
    cluster.change(changed)

    assert eventually(lambda: not is_true(deployment(cluster), "Available"))
    assert list(cluster.pods()) == [old]

    cluster.do(cluster.allowed.set)
    cluster.settle()
    assert len(cluster.pods()) == 1
    assert old not in cluster.pods()
    assert is_true(deployment(cluster), "Available")


def test_a_finished_rollout_stays_finished_when_a_pod_fails_later(cluster: Cluster) -> None:
    """Progressing tells of rollouts; that pods are missing is for Available to say."""
    cluster.create(workload("Deployment", "web", replicas=1))
    node = next(iter(cluster.pods().values()))["spec"]["nodeName"]

    cluster.away(node)

    found = deployment(cluster)
    progressing = condition(found, "Progressing") or {}
    assert not is_true(found, "Available")
    assert (progressing["reason"], progressing["status"]) == ("NewReplicaSetAvailable", "True")


def test_a_daemonset_does_not_count_a_node_that_is_away(cluster: Cluster) -> None:
    """Its pod stays there, misscheduled; none is made on a node that joins and is not ready yet."""
    cluster.create(workload("DaemonSet", "agent"))
    assert daemons(cluster)["status"]["desiredNumberScheduled"] == 2

    cluster.away("n2")
    cluster.do(lambda: cluster.api.add_node("n3", address="192.0.2.3"))
    cluster.away("n3", "KubeletNotReady")

    status = daemons(cluster)["status"]
    assert (status["desiredNumberScheduled"], status["numberReady"], status["numberMisscheduled"]) == (1, 1, 2)
    assert {p["spec"]["nodeName"] for p in cluster.pods().values()} == {"n1", "n2", "n3"}


def test_a_daemonset_that_tolerates_it_runs_on_a_node_that_is_not_ready(cluster: Cluster) -> None:
    """As the network's own must."""
    cluster.away("n2", "KubeletNotReady")
    everything = [{"operator": "Exists"}]
    cluster.create(workload("DaemonSet", "agent", tolerations=everything))

    assert daemons(cluster)["status"]["desiredNumberScheduled"] == 2
    assert {p["spec"]["nodeName"] for p in cluster.pods().values()} == {"n1", "n2"}


def test_a_silent_node_is_unknown_and_one_that_says_so_not_ready(cluster: Cluster) -> None:
    """With the taint of each."""
    taints = []
    for reason in ("NodeStatusUnknown", "KubeletNotReady"):
        cluster.away("n2", reason)
        node = cluster.get("v1", "Node", "n2")
        ready = condition(node, "Ready") or {}
        taints.append((ready["status"], ready["message"], [t["key"] for t in node["spec"]["taints"]]))

    assert taints == [
        ("Unknown", "Kubelet stopped posting node status.", ["node.kubernetes.io/unreachable"]),
        ("False", "container runtime network not ready", ["node.kubernetes.io/not-ready"]),
    ]


def test_a_log_of_several_containers_needs_a_name(cluster: Cluster) -> None:
    """The API does not choose; kubectl does that for whoever asks it."""
    containers = [{"name": name, "image": "registry/app:1"} for name in ("web", "proxy")]
    cluster.create(pod("two", containers=containers))
    found = cluster.get("v1", "Pod", "two", "default")

    with pytest.raises(ApiError, match=r"a container name must be specified for pod two, choose one of: \[web proxy\]"):
        cluster.do(lambda: cluster.api._logs.read(found, {}))


def test_probes_and_limits_get_their_defaults(cluster: Cluster) -> None:
    """As upstream's defaults.go fills them in."""
    probe = {"httpGet": {"port": 80}}
    container = {
        "name": "main",
        "image": "app",
        "livenessProbe": probe,
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    cluster.create(pod("one", containers=[container], volumes=[{"name": "scratch"}]))

    spec = cluster.get("v1", "Pod", "one", "default")["spec"]
    assert spec["containers"][0]["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert spec["containers"][0]["resources"]["requests"] == {"nvidia.com/gpu": "1"}
    assert spec["volumes"][0] == {"name": "scratch", "emptyDir": {}}
