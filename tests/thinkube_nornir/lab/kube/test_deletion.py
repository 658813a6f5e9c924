"""What a deletion leaves, and for how long: as the real API server and garbage collector do it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.kube_servers import LabServer
from tests.thinkube_nornir.lab.kube.conftest import pod, workload
from thinkube_nornir.lab.kube import ApiError, Object, PodExit
from thinkube_nornir.lab.kube.deletion import Deletion
from thinkube_nornir.lab.kube.objects import owner_reference

WEB = ("apps/v1", "Deployment", "web", "default")


class Slow(LabServer):
    """A cluster of one node. Pods that run end when `allowed` is set; those named `done` have ended already."""

    def __init__(self) -> None:
        self.allowed = asyncio.Event()

        async def run(running: Object, _: str) -> PodExit | None:
            return PodExit(0, b"") if running["metadata"]["name"] == "done" else None

        async def stop(_pod: Object, _node: str) -> None:
            await self.allowed.wait()

        super().__init__(runtime=run, stop=stop)
        self.do(lambda: self.api.add_node("n1", address="192.0.2.1"))

    def create(self, obj: Object) -> Object:
        made = self.do(lambda: self.api.create(obj))
        self.settle()
        return made

    def get(self, *place: str) -> Object | None:
        return self.do(lambda: self.api.get(*place))

    def delete(self, *place: str, how: Deletion) -> None:
        self.do(lambda: self.api.delete(*place, how=how))


@pytest.fixture
def cluster() -> Iterator[Slow]:
    found = Slow()
    yield found
    found.do(found.allowed.set)
    found.stop()


def test_a_pod_that_has_ended_goes_at_once(cluster: Slow) -> None:
    """No kubelet has anything to end: it is not waited for, not even one that is away."""
    cluster.create(pod("done"))
    cluster.do(lambda: cluster.api.set_node_ready("n1", False, "NodeStatusUnknown"))

    cluster.delete("v1", "Pod", "done", "default", how=Deletion())

    assert cluster.get("v1", "Pod", "done", "default") is None


def test_in_the_foreground_a_deployment_goes_after_its_pods(cluster: Slow) -> None:
    """It and its ReplicaSet stay, with the finalizer, while a pod is ending."""
    cluster.create(workload("Deployment", "web", replicas=1))

    cluster.delete(*WEB, how=Deletion("Foreground"))
    cluster.do(lambda: None)
    waiting = cluster.get(*WEB) or {"metadata": {}}
    sets = cluster.do(lambda: cluster.api.list("apps/v1", "ReplicaSet", "default"))
    assert waiting["metadata"].get("finalizers") == ["foregroundDeletion"]
    assert [s["metadata"].get("finalizers") for s in sets] == [["foregroundDeletion"]]

    cluster.do(cluster.allowed.set)
    cluster.settle()
    assert cluster.get(*WEB) is None
    assert cluster.do(lambda: cluster.api.list("v1", "Pod", "default")) == []


def test_in_the_foreground_other_owners_keep_what_is_theirs_too(cluster: Slow) -> None:
    """Only the reference to the owner that goes is taken away."""
    owners = [
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}})
        for name in ("goes", "stays")
    ]
    references = [owner_reference(owner) | {"controller": False} for owner in owners]
    metadata = {"name": "shared", "namespace": "default", "ownerReferences": references}
    cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})

    cluster.delete("v1", "ConfigMap", "goes", "default", how=Deletion("Foreground"))
    cluster.settle()

    kept = cluster.get("v1", "Secret", "shared", "default") or {"metadata": {}}
    assert [owner["name"] for owner in kept["metadata"].get("ownerReferences") or []] == ["stays"]
    assert cluster.get("v1", "ConfigMap", "goes", "default") is None


def test_a_later_deletion_in_the_background_lets_the_owner_go(cluster: Slow) -> None:
    """An explicit policy takes the place of the one before."""
    cluster.create(workload("Deployment", "web", replicas=1))
    cluster.delete(*WEB, how=Deletion("Foreground"))

    cluster.delete(*WEB, how=Deletion())
    assert cluster.get(*WEB) is not None
    cluster.delete(*WEB, how=Deletion("Background"))

    assert cluster.get(*WEB) is None


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_some_namespaces_cannot_be_deleted(cluster: Slow, name: str) -> None:
    with pytest.raises(ApiError, match=f'namespaces "{name}" is forbidden: this namespace may not be deleted'):
        cluster.delete("v1", "Namespace", name, how=Deletion())


def test_what_is_being_deleted_is_said_to_be_when_it_is_made_again(cluster: Slow) -> None:
    cluster.create(pod("web"))
    cluster.delete("v1", "Pod", "web", "default", how=Deletion())

    with pytest.raises(ApiError, match=r'^object is being deleted: pods "web" already exists$'):
        cluster.create(pod("web"))


def test_a_namespace_tells_what_is_left_in_it(cluster: Slow) -> None:
    """In the real controller's words: how many of each kind, and which finalizers hold them."""
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    metadata = {"name": "kept", "namespace": "shop", "finalizers": ["example.org/hold"]}
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})

    cluster.delete("v1", "Namespace", "shop", how=Deletion())
    cluster.settle()

    found = cluster.get("v1", "Namespace", "shop") or {"status": {}}
    told = {c["type"]: c["message"] for c in found["status"].get("conditions") or []}
    assert told == {
        "NamespaceContentRemaining": "Some resources are remaining: configmaps. has 1 resource instances",
        "NamespaceFinalizersRemaining": "Some content in the namespace has finalizers remaining: "
        "example.org/hold in 1 resource instances",
    }
