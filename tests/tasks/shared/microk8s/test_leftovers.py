"""What MicroK8s leaves on a host goes with its rollback, unless it was there before or somebody else may need it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tasks.phase5_core_services import microk8s_control
from tasks.shared.microk8s.distribution import SNAP_KEY
from tests.leftovers import CGROUP, PROFILE, RULES, Leftovers
from tests.microk8s_machine import FakeCluster, Machine
from thinkube_nornir.outcome import Outcome, outcome_of

COMPONENT = microk8s_control.COMPONENT


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def _rolled_back(cluster: FakeCluster, between: Callable[[Machine], object] = lambda _: None) -> Leftovers:
    cluster.run("tkc", COMPONENT)
    between(cluster.machines["tkc"])
    cluster.forget_history()
    cluster.run("tkc", COMPONENT, "rollback")
    return cluster.machines["tkc"].left


def test_nothing_is_left(cluster: FakeCluster) -> None:
    """Rules, base snap, forwarding, files, folders, control groups, UFW's rules, failed units; the snap snapd stays."""
    left = _rolled_back(cluster)

    assert "KUBE" not in left.rules
    assert left == Leftovers(rules=left.rules, snaps={"lxd": "-", "snapd": "snapd"})


def test_a_second_rollback_has_nothing_to_do(cluster: FakeCluster) -> None:
    """What is not recorded as ours is not touched, even when it looks as if it were."""
    _rolled_back(cluster).appear()
    cluster.forget_history()

    results = cluster.run("tkc", COMPONENT, "rollback")

    assert cluster.altering == []
    assert {outcome_of(result) for result in results.values()} == {Outcome.UNCHANGED}


def test_what_was_there_before_stays(cluster: FakeCluster) -> None:
    """Another Kubernetes' rules, bases of other snaps, folders of another container runtime."""
    cluster.machines["tkc"].left.appear()

    left = _rolled_back(cluster)

    assert (left.rules, left.forwarding) == (RULES, "1")
    assert set(left.snaps) == {"lxd", "core22", "snapd"}
    assert left.places == {"/etc/cni", "/opt/cni", PROFILE, CGROUP}
    assert left.ufw


def test_a_base_that_others_use_stays(cluster: FakeCluster) -> None:
    """snapd refuses to remove it, and the rollback says so and goes on."""
    cluster.run("tkc", COMPONENT)
    left = cluster.machines["tkc"].left
    left.removable = False

    results = cluster.run("tkc", COMPONENT, "rollback")

    assert "core22" in left.snaps
    assert "core22 stays" in str(results["remove_base_snaps"].result)
    assert "used by snap lxd" in str(results["remove_base_snaps"].result)
    assert cluster.machines["tkc"].host.change_log.managed("tkc", SNAP_KEY) is None


def test_forwarding_stays_for_what_came_later(cluster: FakeCluster) -> None:
    """Docker was installed meanwhile: its containers need forwarding as well."""
    left = _rolled_back(cluster, lambda machine: machine.links.add("docker0"))

    assert left.forwarding == "1"


def test_what_an_older_release_did_not_note_is_left_alone(cluster: FakeCluster) -> None:
    """Its records say nothing of rules or snaps: what is there may be anybody's."""
    cluster.run("tkc", COMPONENT)
    change_log = cluster.machines["tkc"].host.change_log
    record = change_log.managed("tkc", SNAP_KEY)
    assert record is not None
    change_log.undone(record)
    before = {"links": ["lo", "br0"], "group": False}
    change_log.intend(host="tkc", component=record.component, key=SNAP_KEY, summary="", before=before)

    cluster.run("tkc", COMPONENT, "rollback")

    left = cluster.machines["tkc"].left
    assert (left.rules, left.forwarding) == (RULES, "1")
    assert "core22" in left.snaps
    assert left.places
