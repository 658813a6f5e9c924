"""Steps of a rollback that concern the cluster, where there is none."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import where_a_cluster_is
from tasks.shared.microk8s import distribution as microk8s
from tests.fake_host import FakeHost, Reply
from thinkube_nornir.errors import CheckFailed
from thinkube_nornir.outcome import Outcome, outcome_of, unchanged


def asked(task: Task) -> Result:
    return unchanged(task, "the cluster was asked")


def host(snap: Reply | str) -> FakeHost:
    return FakeHost(
        "tkc", answers={"snap list": snap, "true": ""}, groups=("microk8s_control_plane",), component="phase6.x"
    )


ABSENT = Reply(1, stderr="error: no matching snaps installed\n")
PRESENT = (
    "Name      Version  Rev   Tracking     Publisher   Notes\n"
    "microk8s  v1.35.0  8485  1.35/stable  canonical✓  classic,held\n"
)


def test_without_a_cluster_nothing_is_asked() -> None:
    """A rollback on bare hosts is silent: there is no helm and no API to ask."""
    result = host(ABSENT).apply(where_a_cluster_is(asked))

    assert outcome_of(result) is Outcome.UNCHANGED
    assert result.result == "there is no cluster, and nothing managed in it"


def test_what_was_ours_goes_with_the_cluster() -> None:
    """Records of what stood in it are forgotten; those of the host itself stay."""
    tkc = host(ABSENT)
    for key in ("object:v1/Namespace/ours", "helm:ours/release", "file:/etc/ours"):
        tkc.change_log.intend(host="tkc", component="phase6.x", key=key, summary="", before={})

    tkc.apply(where_a_cluster_is(asked))

    assert [change.key for change in tkc.change_log.changes()] == ["file:/etc/ours"]


def test_with_a_cluster_the_step_is_carried_out() -> None:
    """Under its own name, which the plan shows."""
    guarded = where_a_cluster_is(asked)

    assert host(PRESENT).apply(guarded).result == "the cluster was asked"
    assert guarded.__name__ == "asked"


def test_a_cluster_that_is_not_there_is_named_as_such() -> None:
    """Not as a command that nobody found: the operator is told what to run first."""
    error = host(ABSENT).apply(lambda task: unchanged(task, microk8s.kubeconfig(task))).exception

    assert isinstance(error, CheckFailed)
    assert error.what == "MicroK8s is not installed on tkc"
