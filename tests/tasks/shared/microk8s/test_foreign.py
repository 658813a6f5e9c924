"""What is not ours and would go with our MicroK8s: named before anything is removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tasks.phase5_core_services import microk8s_control, microk8s_workers
from tasks.shared.microk8s.foreign import VOLUMES
from tests.microk8s_machine import FakeCluster
from thinkube_nornir.errors import HoldsForeign
from thinkube_nornir.permission import Permission

CONTROL, WORKERS = microk8s_control.COMPONENT, microk8s_workers.COMPONENT


@pytest.fixture
def control() -> FakeCluster:
    """A cluster of one node."""
    cluster = FakeCluster()
    cluster.run("tkc", CONTROL)
    cluster.forget_history()
    return cluster


def _object(kind: str, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **fields.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def _volume(claim: str) -> dict[str, Any]:
    space, name = claim.split("/")
    provisioned = {"annotations": {"pv.kubernetes.io/provisioned-by": "microk8s.io/hostpath"}}
    place = {"hostPath": {"path": f"{VOLUMES}/v1"}, "claimRef": {"namespace": space, "name": name}}
    return _object("PersistentVolume", "v1", spec=place, metadata=provisioned)


THINGS: dict[str, Callable[[FakeCluster], object]] = {
    "Namespace shop": lambda c: c.api.add(_object("Namespace", "shop")),
    "ConfigMap default/mine": lambda c: c.api.add(_object("ConfigMap", "mine", "default")),
    "ConfigMap kube-system/mine": lambda c: c.api.add(_object("ConfigMap", "mine", "kube-system")),
    "PersistentVolumeClaim default/data": lambda c: c.api.add(_object("PersistentVolumeClaim", "data", "default")),
    "PersistentVolume nfs": lambda c: c.api.add(_object("PersistentVolume", "nfs")),
    f"tkc:{VOLUMES}/old": lambda c: c.machines["tkc"].stored.append("old"),
    "objects of tkc": lambda c: setattr(c.api, "down", "timed out"),
}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("name", THINGS)
def test_each_is_named_and_nothing_is_removed(control: FakeCluster, name: str, dry_run: bool) -> None:
    """In a dry run, too; and the name that is shown is the one that lets it go."""
    THINGS[name](control)
    step = next(step for step in CONTROL.rollback.steps if step.name == "refuse_foreign_things")

    error = control.apply("tkc", step.function, dry_run=dry_run).exception

    assert isinstance(error, HoldsForeign)
    assert name in error.why
    assert f"--delete-foreign {name!r}" in error.fix or f"--delete-foreign {name}" in error.fix
    assert control.altering == []
    assert control.apply("tkc", step.function, permission=Permission((name,))).exception is None


def test_what_is_of_the_cluster_itself_is_not_named(control: FakeCluster) -> None:
    """Its own accounts and workloads, and what stands in a namespace that a component of ours takes away."""
    control.api.add(_object("ConfigMap", "coredns", "kube-system"))
    control.api.add(_object("Namespace", "cert-manager"))
    control.api.add(_object("Secret", "account", "cert-manager"))
    control.api.add(
        _object("Secret", "tls", "default", metadata={"annotations": {"cert-manager.io/certificate-name": "x"}})
    )
    key = "object:v1/Namespace/cert-manager"
    control.change_log.intend(host="tkc", component="c", key=key, summary="", before={"object": None})
    step = next(step for step in CONTROL.rollback.steps if step.name == "refuse_foreign_things")

    assert control.apply("tkc", step.function).exception is None


def test_a_workers_volumes_are_named_by_their_claims() -> None:
    """Their files go with its snap; others are named by host and path."""
    cluster = FakeCluster().installed()
    cluster.api.add(_volume("shop/data"))
    cluster.machines["tkw1"].stored = ["v1", "old"]
    cluster.forget_history()

    with pytest.raises(HoldsForeign) as caught:
        cluster.run("tkw1", WORKERS, "rollback")

    assert f"PersistentVolumeClaim shop/data, with tkw1:{VOLUMES}/v1" in caught.value.why
    assert f"tkw1:{VOLUMES}/old" in caught.value.why
    assert cluster.altering == []


def test_a_rollback_that_was_killed_after_it_had_stopped_microk8s_goes_on(control: FakeCluster) -> None:
    """Its API does not answer any more, and what it had has been looked at."""
    for step in CONTROL.rollback.steps:
        control.apply("tkc", step.function)
        if step.name == "stop_services":
            break
    control.api.down = "connection refused"

    control.run("tkc", CONTROL, "rollback")

    assert control.change_log.changes() == []


def test_microk8s_that_was_started_again_is_looked_at_again(control: FakeCluster) -> None:
    """A set-up in between starts what a rollback had stopped."""
    step = next(step for step in CONTROL.rollback.steps if step.name == "stop_services")
    control.apply("tkc", step.function)
    control.run("tkc", CONTROL)
    control.machines["tkc"]._stop()
    control.api.down = "connection refused"

    with pytest.raises(HoldsForeign, match="MicroK8s on tkc"):
        control.run("tkc", CONTROL, "rollback")
