"""The workers' component: joining, being a member, each check's fault, leaving."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tasks.phase5_core_services import microk8s_control, microk8s_workers
from tasks.shared.microk8s.distribution import MEMBERSHIP_KEY
from tests.fake_host import FakeFile
from tests.microk8s_machine import FakeCluster, node
from thinkube_nornir.context import Roster, retries_in
from thinkube_nornir.errors import CheckFailed, ClusterError, CommandFailed, Refused, ThinkubeError
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.secret import redact

COMPONENT = microk8s_workers.COMPONENT
NAME = "tkw1.example.org"
Break = Callable[[FakeCluster], object]


@pytest.fixture
def control() -> FakeCluster:
    """A cluster whose worker has nothing yet."""
    cluster = FakeCluster()
    cluster.run("tkc", microk8s_control.COMPONENT)
    cluster.forget_history()
    return cluster


@pytest.fixture
def installed() -> FakeCluster:
    cluster = FakeCluster().installed()
    cluster.forget_history()
    return cluster


def _renamed(cluster: FakeCluster) -> None:
    """A node whose name merely begins like ours."""
    cluster.api.drop("Node", NAME)
    cluster.api.add(node("tkw1.example.org2", "192.168.1.111"))


def _alone_with_pods(cluster: FakeCluster) -> None:
    """All pods with an address of their own are on this node, and the control plane's node does not reach them."""
    cluster.api.get("Pod", "coredns-1", "kube-system")["spec"]["nodeName"] = NAME
    cluster.pod_exit["reach-tkc"] = 1


def _leaving(cluster: FakeCluster, pod: str) -> None:
    """It is being deleted, and Ready still: no evidence of anything."""
    cluster.api.get("Pod", pod, "kube-system")["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"


FAULTS: dict[str, list[Break]] = {
    "snap_microk8s_is_as_declared": [
        lambda c: setattr(c.machines["tkw1"], "channel", "1.31/stable"),
        lambda c: c.machines["tkw1"].notes.discard("held"),
    ],
    "member_system_username_of_microk8s_is_as_declared": [lambda c: c.machines["tkw1"].members.clear()],
    "file_etc_microk8s_yaml_is_as_declared": [lambda c: c.machines["tkw1"].files.pop("/etc/microk8s.yaml")],
    "host_has_its_role": [lambda c: setattr(c.machines["tkw1"], "clustered", False)],
    "services_run": [
        lambda c: c.machines["tkw1"].units.update({"snap.microk8s.daemon-apiserver-proxy": "failed"}),
        lambda c: setattr(c.machines["tkw1"], "stopped", True),
    ],
    "node_is_ready": [
        lambda c: c.api.get("Node", NAME)["status"].update(conditions=[{"type": "Ready", "status": "Unknown"}]),
        _renamed,
    ],
    "node_has_the_lan_address": [lambda c: c.api.add(node(NAME, "192.168.191.111"))],
    "node_has_the_worker_label": [lambda c: c.api.add(node(NAME, "192.168.1.111"))],
    "node_runs_the_clusters_version": [
        lambda c: c.api.get("Node", NAME)["status"].update(nodeInfo={"kubeletVersion": "v1.34.1"}),
        lambda c: c.api.get("Node", NAME)["status"].update(nodeInfo={"kubeletVersion": "v1.35.1"}),
    ],
    "pod_network_is_ready": [
        lambda c: c.api.drop("Pod", "calico-tkw1", "kube-system"),
        lambda c: c.api.get("Pod", "calico-tkw1", "kube-system")["status"].update(conditions=[]),
        lambda c: _leaving(c, "calico-tkw1"),
        lambda c: c.api.get("Pod", "calico-tkw1", "kube-system")["status"].update(phase="Failed"),
    ],
    "pods_run_here": [lambda c: c.pod_exit.update({"probe-tkw1": 1})],
    "pods_reach_pods_on_other_nodes": [
        lambda c: c.pod_exit.update({"reach-tkw1": 1}),
        _alone_with_pods,
        lambda c: c.api.drop("Pod", "coredns-1", "kube-system"),
        lambda c: _leaving(c, "coredns-1"),
        lambda c: c.api.get("Pod", "coredns-1", "kube-system")["status"].update(conditions=[]),
        lambda c: c.api.get("Pod", "coredns-1", "kube-system")["spec"].update(hostNetwork=True),
    ],
    "every_member_is_a_node": [
        lambda c: c.api.add(node("stranger", "192.168.1.99")),
        lambda c: c.api.drop("Node", NAME),
    ],
}


@pytest.mark.parametrize("registered", [True, False])
def test_a_host_that_is_not_judged_may_be_a_node_or_not(installed: FakeCluster, registered: bool) -> None:
    """It is named, with the reason."""
    roster = Roster(selected=frozenset(["tkc", "tkw1"]), unreachable={"tkw1"})
    if not registered:
        installed.api.drop("Node", NAME)

    result = installed.run("tkw1", COMPONENT, "verify", roster=roster)["every_member_is_a_node"]

    assert result.result == "tkc; not judged: tkw1 (unreachable)"


def test_every_check_has_a_fault() -> None:
    """A check that nobody has seen fail is no check."""
    assert FAULTS.keys() == {step.name for step in COMPONENT.verify.steps}


@pytest.mark.parametrize(
    ("check", "fault"), [pytest.param(c, f, id=f"{c}-{i}") for c, fs in FAULTS.items() for i, f in enumerate(fs)]
)
def test_check_fails_on_its_fault(installed: FakeCluster, check: str, fault: Break) -> None:
    """Each check fails on the state it exists to catch, and says what was seen and what to do."""
    fault(installed)

    error = installed.run("tkw1", COMPONENT, "verify")[check].exception

    assert isinstance(error, CheckFailed)
    assert error.why
    assert error.fix


def test_verify_holds_after_set_up_and_changes_nothing(installed: FakeCluster) -> None:
    """Green after set-up; a read-only run sends nothing that alters but its probe pods, which are gone."""
    results = installed.run("tkw1", COMPONENT, "verify", read_only=True)

    assert {name: str(r.exception) for name, r in results.items() if r.exception} == {}
    assert installed.altering == []
    assert not [place for place in installed.api.objects if place[1] == "Pod" and place[2] == "default"]


def test_second_run_changes_nothing(installed: FakeCluster) -> None:
    """A member stays one: no invitation, no join."""
    results = installed.run("tkw1", COMPONENT)

    assert {outcome_of(r) for r in results.values()} == {Outcome.UNCHANGED}
    assert installed.altering == []


@pytest.mark.parametrize("chain", ["preconditions", "setup", "rollback"])
@pytest.mark.parametrize("state", ["bare", "installed"])
def test_dry_run_sends_nothing_that_alters(chain: str, state: str, request: pytest.FixtureRequest) -> None:
    """A plan writes nothing: no token is made on the control plane either."""
    cluster: FakeCluster = request.getfixturevalue("control" if state == "bare" else "installed")
    before = cluster.invitations

    cluster.run("tkw1", COMPONENT, chain, dry_run=True)

    assert cluster.altering == []
    assert cluster.invitations == before


def test_dry_run_promises_the_join_without_an_invitation(control: FakeCluster) -> None:
    """With the snap there and the node not yet, a plan says that it would join, and makes no token for it."""
    for step in COMPONENT.setup.steps[:2]:
        control.apply("tkw1", step.function)

    result = control.run("tkw1", COMPONENT, dry_run=True)["join_cluster"]

    assert outcome_of(result) is Outcome.PLANNED
    assert control.invitations == 0


def test_a_worker_is_installed_without_addons_and_rollback_restores_the_file(control: FakeCluster) -> None:
    """MicroK8s' own launch configuration would turn dns on while the node joins; a file that was there comes back."""
    machine = control.machines["tkw1"]
    machine.files["/etc/microk8s.yaml"] = FakeFile(b"version: 0.1.0\naddons: [{name: rbac}]\n")

    control.run("tkw1", COMPONENT)

    assert "addons" not in machine.launch.replace("turn addons on", "")
    assert "version: 0.1.0" in machine.launch
    assert "dns" not in machine.addons

    control.run("tkw1", COMPONENT, "rollback")

    assert "rbac" in machine.files.text("/etc/microk8s.yaml")


def test_installing_needs_nothing_from_the_control_plane() -> None:
    """All steps before the join declare no edge, and run while the control plane is not even there."""
    steps = COMPONENT.setup.steps
    join = [step.name for step in steps].index("join_cluster")
    assert all(step.early for step in COMPONENT.preconditions.steps)
    assert all(step.needs == () for step in steps[:join])
    assert steps[join].needs is None
    assert steps[join].concurrency == "join"

    cluster = FakeCluster()
    cluster.unreachable("tkc")
    results = [cluster.apply("tkw1", step.function) for step in steps[:join]]

    assert [r.exception for r in results] == [None] * join


def test_join_goes_through_the_control_planes_lan_address_and_hides_the_token(control: FakeCluster) -> None:
    """Of all offered URLs the one with lan_ip; the token in no argument list, result or text."""
    results = control.run("tkw1", COMPONENT)

    sent = control.machines["tkw1"].host.commands
    joined = next(command for command in sent if "join" in command.argv)
    assert joined.argv == ("xargs", "/snap/bin/microk8s", "join", "--worker")
    assert joined.stdin == b"192.168.1.110:25000/good1token/check"
    assert "good1token" not in str(results["join_cluster"].result)
    assert "good1token" not in redact("said good1token/check")


AWAY = "Connection failed. failed to retrieve list of control plane nodes: connection refused (500).\n"
FOREIGN = "Joining cluster failed. Could not verify the identity of 192.168.1.110. Use '--skip-verify' ...\n"


def test_a_failed_join_is_tried_once_more_with_the_same_token(control: FakeCluster) -> None:
    """The first join restarts the datastore under the agent, and a token with an expiry is not used up."""
    control.machines["tkw1"].join_answers = [AWAY]

    results = control.run("tkw1", COMPONENT)

    assert outcome_of(results["join_cluster"]) is Outcome.CHANGED
    assert [c for c in control.altering if "join" in c] == ["xargs /snap/bin/microk8s join --worker"] * 2
    assert retries_in(results["join_cluster"]).count == 1
    assert control.invitations == 1


def test_a_join_that_fails_twice_is_an_error_that_shows_the_answer(control: FakeCluster) -> None:
    control.machines["tkw1"].join_answers = [AWAY, AWAY, AWAY]

    with pytest.raises(CommandFailed) as caught:
        control.run("tkw1", COMPONENT)

    assert "control plane nodes" in caught.value.why
    assert len(control.machines["tkw1"].join_answers) == 1


def test_a_control_plane_that_is_not_the_one_we_know_is_asked_once(control: FakeCluster) -> None:
    """Its certificate's fingerprint is not the token's: another attempt would meet the same stranger."""
    control.machines["tkw1"].join_answers = [FOREIGN, FOREIGN]

    with pytest.raises(CommandFailed, match="join the cluster"):
        control.run("tkw1", COMPONENT)

    assert len(control.machines["tkw1"].join_answers) == 1


def test_join_needs_an_invitation_through_lan_ip(control: FakeCluster) -> None:
    """A control plane that offers other addresses only is refused: that address would become the cluster's."""
    control.machines["tkc"].host.answers["/snap/bin/microk8s add-node"] = '{"urls": ["10.0.0.1:25000/a/b"]}'

    with pytest.raises(ThinkubeError, match="not through 192"):
        control.run("tkw1", COMPONENT)


def test_unreachable_api_is_not_taken_for_an_unknown_node(installed: FakeCluster) -> None:
    """A worker whose API does not answer neither leaves nor joins."""
    installed.api.down = "timed out"

    with pytest.raises(ClusterError, match="no answer"):
        installed.run("tkw1", COMPONENT)

    assert installed.altering == []


def test_unreachable_control_plane_is_named(installed: FakeCluster) -> None:
    """The error is the control plane's, not the worker's own Unreachable."""
    installed.unreachable("tkc")
    context = installed.context(
        "tkw1",
    )
    context.clusters.clear()
    step = next(s for s in COMPONENT.setup.steps if s.name == "join_cluster")

    error = installed.machines["tkw1"].host.apply(step.function, context=context).exception

    assert isinstance(error, ClusterError)
    assert error.what == "the control plane tkc is unreachable"


def test_worker_that_the_api_forgot_leaves_and_joins_again(installed: FakeCluster) -> None:
    """The API answers that it knows no such node: leave first, then join."""
    installed.api.drop("Node", NAME)

    installed.run("tkw1", COMPONENT)

    assert [c for c in installed.altering if "leave" in c or "join" in c] == [
        "/snap/bin/microk8s leave",
        "xargs /snap/bin/microk8s join --worker",
    ]


def test_worker_of_another_cluster_is_refused(installed: FakeCluster) -> None:
    """It is not ours to take it out of there."""
    installed.api.drop("Node", NAME)
    installed.change_log.undone(installed.change_log.managed("tkw1", MEMBERSHIP_KEY))  # type: ignore[arg-type]
    path = "cat /var/snap/microk8s/current/args/traefik"
    installed.machines["tkw1"].host.answers[path] = "- address: 10.9.9.9:16443\n"

    with pytest.raises(Refused, match="another cluster"):
        installed.run("tkw1", COMPONENT)


def test_stale_registration_is_refused_unless_forced(control: FakeCluster) -> None:
    """The name is taken in the cluster by a node that this host is not; force removes it first."""
    control.api.add(node(NAME, "192.168.1.200"))
    with pytest.raises(Refused, match="registered already"):
        control.run("tkw1", COMPONENT)

    control.machines["tkw1"].host.settings["microk8s_force_join"] = True
    control.run("tkw1", COMPONENT)

    assert f"/snap/bin/microk8s remove-node {NAME} --force" in control.altering
    assert control.api.get("Node", NAME)["status"]["addresses"][0]["address"] == "192.168.1.111"


def test_half_a_join_of_ours_is_repeated(control: FakeCluster) -> None:
    """Killed while joining: the node is registered, the host no worker yet, and the record is ours."""
    control.api.add(node(NAME, "192.168.1.111"))
    control.change_log.intend(host="tkw1", component="c", key=MEMBERSHIP_KEY, summary="join", before={})

    control.run("tkw1", COMPONENT)

    assert control.machines["tkw1"].clustered


def test_rollback_drains_leaves_and_removes_the_registered_name(installed: FakeCluster) -> None:
    """In this order, by the full name under which it is registered; then nothing of ours is left."""
    installed.run("tkw1", COMPONENT, "rollback")

    assert installed.machines["tkc"].host.altering == [
        f"/snap/bin/microk8s kubectl drain {NAME} --ignore-daemonsets --delete-emptydir-data --force --timeout=120s",
        f"/snap/bin/microk8s remove-node {NAME}",
    ]
    machine = installed.machines["tkw1"]
    assert (machine.channel, machine.members, machine.clustered) == ("", set(), False)
    assert machine.links == {"lo", "br0", "ztabc"}
    assert installed.change_log.changes(host="tkw1") == []


@pytest.mark.parametrize("locked", [True, False], ids=["stopped", "half stopped"])
def test_a_node_that_was_stopped_is_started_before_it_joins(control: FakeCluster, locked: bool) -> None:
    """An interrupted rollback leaves it so; `status --wait-ready` would not wait for it."""
    worker = control.machines["tkw1"]
    control.run("tkw1", COMPONENT)
    worker.clustered = False
    worker._stop()
    worker.stopped = locked
    control.forget_history()

    results = control.run("tkw1", COMPONENT)

    assert results["start_services"].result == "start MicroK8s"
    assert (worker.stopped, worker.clustered) == (False, True)
    assert control.run("tkw1", COMPONENT)["start_services"].result == "MicroK8s is not stopped"


def test_a_stopped_member_is_started_by_the_way_that_works_on_a_worker(installed: FakeCluster) -> None:
    """`microk8s start` only names another command there, and exits with 0."""
    worker = installed.machines["tkw1"]
    worker._stop()

    assert installed.run("tkw1", COMPONENT)["start_services"].result == "start MicroK8s"
    assert "snap start --enable microk8s" in worker.host.altering
    assert not worker.stopped


def test_the_mark_of_a_member_that_runs_goes_with_kubelites_restart(installed: FakeCluster) -> None:
    """To start what runs already does nothing; kubelite's script removes the mark when it starts."""
    worker = installed.machines["tkw1"]
    worker.stopped, worker.survives_start = True, True

    assert "restart kubelite" in str(installed.run("tkw1", COMPONENT)["start_services"].result)
    assert not worker.stopped


def test_rollback_starts_a_stopped_member_so_that_it_can_leave(installed: FakeCluster) -> None:
    """`microk8s leave` refuses while the mark of a stop is there."""
    worker = installed.machines["tkw1"]
    worker._stop()

    results = installed.run("tkw1", COMPONENT, "rollback")

    assert results["leave_cluster"].result == "start MicroK8s; leave the cluster"
    assert (worker.clustered, worker.channel) == (False, "")


def test_rollback_on_a_bare_host_is_silent(control: FakeCluster) -> None:
    """Nothing of ours, nothing to do, and nobody else's node is touched."""
    results = control.run("tkw1", COMPONENT, "rollback")

    assert {outcome_of(r) for r in results.values()} == {Outcome.UNCHANGED}
    assert control.altering == []


def test_rollback_without_an_api_removes_the_rest_and_says_so(installed: FakeCluster) -> None:
    """The worker is taken down; its registration is kept on record until the control plane can be told."""
    installed.api.down = "timed out"

    results = installed.run("tkw1", COMPONENT, "rollback")

    assert outcome_of(results["drain_node"]) is Outcome.SKIPPED
    assert outcome_of(results["remove_registration"]) is Outcome.SKIPPED
    assert installed.machines["tkw1"].channel == ""
    installed.api.down = ""
    installed.run("tkw1", COMPONENT, "rollback")
    assert installed.change_log.changes(host="tkw1") == []
    assert not [place for place in installed.api.objects if place[3] == NAME]


def test_rollback_after_the_control_plane_has_gone_is_complete(installed: FakeCluster) -> None:
    """Its host answers and has no MicroK8s: no cluster is left that could know the node."""
    installed.machines["tkc"].channel = ""
    installed.api.down = "connection refused"

    installed.run("tkw1", COMPONENT, "rollback")

    assert installed.change_log.changes(host="tkw1") == []
