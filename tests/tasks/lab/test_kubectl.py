"""microk8s kubectl: what drain refuses, and what drain and delete wait for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab_cluster import LabCluster
from thinkube_nornir.lab.emulation import Reply
from thinkube_nornir.lab.kube import Object

NODE = "tkc.example.org"
ALL = ("--ignore-daemonsets", "--delete-emptydir-data", "--force")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LabCluster]:
    made = LabCluster(tmp_path)
    yield made
    made.close()


def kubectl(cluster: LabCluster, *words: str) -> Reply:
    return cluster.do(cluster.lab.call("tkc", "microk8s", "kubectl", *words))


def pod(name: str, *, volumes: list[Object] | None = None, finalizers: list[str] | None = None) -> Object:
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}, "finalizers": finalizers or []}
    spec = {"nodeName": NODE, "containers": [{"name": "main", "image": "app:1"}], "volumes": volumes or []}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def names(cluster: LabCluster) -> list[str]:
    return [p["metadata"]["name"] for p in cluster.act(lambda: cluster.api.list("v1", "Pod", "default"))]


def test_a_drain_refuses_pods_that_would_be_lost(cluster: LabCluster) -> None:
    """Each kind with the flag that it needs; the node stays cordoned, and its pods run on."""
    cluster.add(pod("mine"))
    cluster.add(pod("kept", volumes=[{"name": "scratch", "emptyDir": {}}]))

    refused = kubectl(cluster, "drain", NODE, "--ignore-daemonsets")

    orphan = "cannot delete cannot delete Pods that declare no controller (use --force to override): default/mine"
    local = "cannot delete Pods with local storage (use --delete-emptydir-data to override): default/kept"
    assert refused.status == 1
    assert orphan in str(refused.stderr)
    assert local in str(refused.stderr)
    assert refused.stdout == f"node/{NODE} cordoned\n"
    assert names(cluster) == ["kept", "mine"]


def test_a_drain_ends_when_the_pods_are_gone(cluster: LabCluster) -> None:
    """It warns of what is lost, and says of each pod that it was evicted."""
    cluster.add(pod("mine"))

    drained = kubectl(cluster, "drain", NODE, *ALL)

    assert drained.status == 0
    assert "deleting Pods that declare no controller: default/mine" in str(drained.stderr)
    said = str(drained.stdout).splitlines()
    assert said.index("evicting pod default/mine") < said.index("pod/mine evicted") < said.index(f"node/{NODE} drained")
    assert names(cluster) == []
    assert kubectl(cluster, "cordon", NODE).stdout == f"node/{NODE} already cordoned\n"


def test_a_drain_waits_for_a_pod_that_does_not_end(cluster: LabCluster) -> None:
    """As long as its timeout allows."""
    cluster.add(pod("held", finalizers=["example.org/hold"]))

    late = kubectl(cluster, "drain", NODE, *ALL, "--timeout=1s")

    why = 'error when waiting for pod "held" in namespace "default" to terminate: global timeout reached: 1s'
    assert late.status == 1
    assert why in str(late.stderr)


def test_a_drain_tries_again_while_a_budget_keeps_a_pod(cluster: LabCluster) -> None:
    cluster.add(pod("web"))
    cluster.do(cluster.api.settled())
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    metadata = {"name": "web", "namespace": "default"}
    cluster.add({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec})

    late = kubectl(cluster, "drain", NODE, *ALL, "--timeout=1s")

    told = 'error when evicting pods/"web" -n "default" (will retry after 5s): Cannot evict pod as it would violate'
    assert late.status == 1
    assert told in str(late.stderr)
    assert names(cluster) == ["web"]


def test_a_deletion_waits_until_the_object_is_gone(cluster: LabCluster) -> None:
    """Unless told not to; it names the kind with its group, and since 1.34 the namespace."""
    cluster.add(pod("held", finalizers=["example.org/hold"]))

    late = kubectl(cluster, "delete", "pod", "held", "--timeout=1s")
    at_once = kubectl(cluster, "delete", "pod", "held", "--wait=false")

    assert (late.status, late.stderr) == (1, "error: timed out waiting for the condition on pods/held\n")
    assert (at_once.status, at_once.stdout) == (0, 'pod "held" deleted from default namespace\n')
