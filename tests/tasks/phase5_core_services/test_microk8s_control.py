"""The control plane's component: idempotence, dry run, each check's fault, rollback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tasks.phase5_core_services import microk8s_control, microk8s_workers
from tests.certificates import Authority
from tests.fake_host import Reply
from tests.microk8s_machine import FakeCluster, node
from thinkube_nornir.command import Command
from thinkube_nornir.errors import CheckFailed, ClusterUnreachable, DeadlinePassed, Refused
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.program import command
from thinkube_nornir.secret import MASK, redact

COMPONENT = microk8s_control.COMPONENT
KUBELET = "/var/snap/microk8s/current/args/kubelet"
API_SERVER = "/var/snap/microk8s/current/args/kube-apiserver"
BIN = "/home/ops/.local/bin"
KUBECONFIG = "/home/ops/.kube/thinkube.config"
Break = Callable[[FakeCluster], object]


def _control(cluster: FakeCluster) -> FakeCluster:
    cluster.run("tkc", COMPONENT)
    return cluster


@pytest.fixture
def installed() -> FakeCluster:
    return _control(FakeCluster())


def _unready(cluster: FakeCluster) -> None:
    """NotReady, in whose text `Ready` occurs."""
    conditions = [{"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "Ready soon"}]
    cluster.api.get("Node", "tkc.example.org")["status"]["conditions"] = conditions


FAULTS: dict[str, list[Break]] = {
    "snap_microk8s_is_as_declared": [
        lambda c: c.machines["tkc"].notes.discard("held"),
        lambda c: setattr(c.machines["tkc"], "channel", "1.31/stable"),
        lambda c: setattr(c.machines["tkc"], "channel", ""),
        lambda c: c.machines["tkc"].notes.add("disabled"),
    ],
    "services_run": [
        lambda c: c.machines["tkc"].units.update({"snap.microk8s.daemon-k8s-dqlite": "failed"}),
        lambda c: c.machines["tkc"].units.update({"snap.microk8s.daemon-kubelite": "inactive"}),
        lambda c: setattr(c.machines["tkc"], "stopped", True),
        lambda c: setattr(c.machines["tkc"], "socket", False),
        lambda c: setattr(c.machines["tkc"], "running", False),
    ],
    "host_has_its_role": [lambda c: setattr(c.machines["tkc"], "clustered", True)],
    "addons_is_as_declared": [lambda c: c.machines["tkc"].addons.discard("hostpath-storage")],
    "argument_node_ip_of_kubelet_is_as_declared": [
        lambda c: c.machines["tkc"].set_arguments("--v=1\n", "--advertise-address=192.168.1.110\n"),
        lambda c: c.machines["tkc"].set_arguments("--node-ip=10.0.0.1\n", "--advertise-address=192.168.1.110\n"),
        lambda c: c.machines["tkc"].set_arguments("--node-ip\n", "--advertise-address=192.168.1.110\n"),
        lambda c: c.machines["tkc"].set_arguments(
            "--node-ip=192.168.1.110\n" * 2, "--advertise-address=192.168.1.110\n"
        ),
    ],
    "argument_advertise_address_of_kube_apiserver_is_as_declared": [
        lambda c: c.machines["tkc"].set_arguments("--node-ip=192.168.1.110\n", "--advertise-address=10.0.0.1\n"),
        lambda c: c.machines["tkc"].set_arguments("--node-ip=192.168.1.110\n", "--advertise-address 10.0.0.1\n"),
    ],
    "certificate_covers_the_lan_address": [
        lambda c: setattr(c.machines["tkc"], "certificate", Authority().issue("x", "10.0.0.1")[0]),
        lambda c: setattr(c.machines["tkc"], "certificate", b"no certificate"),
    ],
    "api_is_ready": [lambda c: c.api.raw.update({"/readyz": "[-]etcd failed"})],
    "node_is_ready": [_unready, lambda c: c.api.drop("Node", "tkc.example.org")],
    "node_has_the_lan_address": [
        lambda c: c.api.add(node("tkc.example.org", "192.168.100.10")),
        lambda c: c.api.get("Node", "tkc.example.org")["status"].update(addresses=[]),
    ],
    "node_runs_the_clusters_version": [
        lambda c: c.api.get("Node", "tkc.example.org")["status"].update(nodeInfo={"kubeletVersion": "v1.3.3"})
    ],
    "pod_network_is_ready": [lambda c: c.api.get("Pod", "calico-tkc", "kube-system")["status"].update(conditions=[])],
    "workloads_are_ready": [
        lambda c: c.api.drop("Deployment", "hostpath-provisioner", "kube-system"),
        lambda c: c.api.get("Deployment", "calico-kube-controllers", "kube-system")["spec"].update(replicas=0),
    ],
    "storage_class_is_default": [
        lambda c: c.api.drop("StorageClass", "microk8s-hostpath"),
        lambda c: c.api.get("StorageClass", "microk8s-hostpath")["metadata"].pop("annotations"),
    ],
    "member_system_username_of_microk8s_is_as_declared": [lambda c: c.machines["tkc"].members.clear()],
    "file_etc_microk8s_yaml_is_as_declared": [lambda c: c.machines["tkc"].files.pop("/etc/microk8s.yaml")],
    "file_local_bin_kubectl_is_as_declared": [lambda c: c.machines["tkc"].files.pop(f"{BIN}/kubectl")],
    "file_local_bin_helm_is_as_declared": [lambda c: setattr(c.machines["tkc"].files[f"{BIN}/helm"], "mode", 0o644)],
    "file_kube_thinkube_config_is_as_declared": [
        lambda c: setattr(c.machines["tkc"].files[KUBECONFIG], "mode", 0o644),
        lambda c: setattr(c.machines["tkc"].files[KUBECONFIG], "uid", 0),
        lambda c: setattr(c.machines["tkc"].files[KUBECONFIG], "content", b"of another cluster"),
    ],
}


def test_every_check_has_a_fault() -> None:
    """A check that nobody has seen fail is no check."""
    assert FAULTS.keys() == {step.name for step in COMPONENT.verify.steps}


@pytest.mark.parametrize(
    ("check", "fault"), [pytest.param(c, f, id=f"{c}-{i}") for c, fs in FAULTS.items() for i, f in enumerate(fs)]
)
def test_check_fails_on_its_fault(installed: FakeCluster, check: str, fault: Break) -> None:
    """Each check fails on the state it exists to catch, and says what was seen and what to do."""
    fault(installed)

    error = installed.run("tkc", COMPONENT, "verify")[check].exception

    assert isinstance(error, CheckFailed)
    assert error.what
    assert error.why
    assert error.fix


def test_verify_holds_after_set_up_and_changes_nothing(installed: FakeCluster) -> None:
    """Green after set-up; a read-only run sends nothing that alters."""
    installed.forget_history()

    results = installed.run("tkc", COMPONENT, "verify", read_only=True)

    assert {name: str(r.exception) for name, r in results.items() if r.exception} == {}
    assert installed.altering == []


def test_second_run_changes_nothing(installed: FakeCluster) -> None:
    """Set-up on a healthy system sends nothing that alters."""
    installed.forget_history()

    results = installed.run("tkc", COMPONENT)

    assert {outcome_of(r) for r in results.values()} == {Outcome.UNCHANGED}
    assert installed.altering == []


@pytest.mark.parametrize("chain", ["preconditions", "setup", "rollback"])
@pytest.mark.parametrize("bare", [True, False])
def test_dry_run_sends_nothing_that_alters(chain: str, bare: bool) -> None:
    """A plan writes nothing, on a bare host and on an installed one."""
    cluster = FakeCluster() if bare else _control(FakeCluster())
    cluster.forget_history()

    cluster.run("tkc", COMPONENT, chain, dry_run=True)

    assert cluster.altering == []


def test_dry_run_on_a_bare_host_promises_the_installation() -> None:
    """What would be done is said, in the operator's words."""
    results = FakeCluster().run("tkc", COMPONENT, dry_run=True)

    assert outcome_of(results["snap_microk8s"]) is Outcome.PLANNED
    assert results["snap_microk8s"].result.startswith("install microk8s 1.35/stable; ")


def test_a_plan_promises_the_addons_that_the_run_enables() -> None:
    """On a bare host: dns comes with the launch configuration, helm3 with the snap."""
    cluster = FakeCluster()

    promised = cluster.run("tkc", COMPONENT, dry_run=True)["addons"].result

    assert promised == "enable addon hostpath-storage"
    assert cluster.run("tkc", COMPONENT)["addons"].result == promised


def test_launch_configuration_is_there_before_the_snap_and_gives_the_address() -> None:
    """The node registers at its first start: kubelet and API server get lan_ip without a restart."""
    cluster = _control(FakeCluster())

    assert "--node-ip: 192.168.1.110" in cluster.machines["tkc"].files.text("/etc/microk8s.yaml")
    assert not any("snap restart" in command for command in cluster.altering)


def test_addons_of_the_launch_configuration_are_waited_for() -> None:
    """The cluster agent enables dns some time after `snap install` has returned: it is not asked for a second time."""
    cluster = FakeCluster()
    cluster.machines["tkc"].agent_looks = 2

    results = cluster.run("tkc", COMPONENT)

    assert not any("enable dns" in command for command in cluster.altering)
    assert cluster.machines["tkc"].agent_looks == 0
    assert results["await_ready"].result == "the launch configuration is applied"


def test_a_launch_configuration_that_is_never_applied_is_an_error_with_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what was seen, and where the reason stands."""
    monkeypatch.setattr("tasks.shared.microk8s.launch._APPLIED", 0.4)
    cluster = FakeCluster()
    cluster.machines["tkc"].agent_looks = 1000

    with pytest.raises(DeadlinePassed) as caught:
        cluster.run("tkc", COMPONENT)

    assert "install.yaml" in caught.value.why
    assert "daemon-cluster-agent" in caught.value.fix


def test_kubeconfig_is_secret_in_every_text(installed: FakeCluster) -> None:
    """The administrator's token in the kubeconfig never shows."""
    assert redact("said token-of-the-admin") == f"said {MASK}"


def test_rollback_leaves_the_host_as_it_was(installed: FakeCluster) -> None:
    """Set-up, then rollback: no snap, no file, no link, no membership; bridges and ZeroTier untouched."""
    machine = installed.machines["tkc"]

    installed.run("tkc", COMPONENT, "rollback")

    assert (machine.channel, machine.members, machine.mounts, machine.leftovers) == ("", set(), [], False)
    assert not machine.group
    assert machine.links == {"lo", "br0", "ztabc"}
    assert machine.files == {}
    assert installed.change_log.changes() == []


def test_rollback_keeps_a_group_that_others_use(installed: FakeCluster) -> None:
    """Who was added to the snap's group since keeps it."""
    machine = installed.machines["tkc"]
    machine.members.add("somebody")

    installed.run("tkc", COMPONENT, "rollback")

    assert (machine.group, machine.members) == (True, {"somebody"})


@pytest.mark.parametrize("steps", range(len(COMPONENT.setup.steps)))
def test_rollback_works_on_half_a_set_up(steps: int) -> None:
    """Killed after any step, rollback still leaves nothing."""
    cluster = FakeCluster()
    for step in COMPONENT.setup.steps[:steps]:
        cluster.apply("tkc", step.function)

    cluster.run("tkc", COMPONENT, "rollback")

    assert cluster.machines["tkc"].files == {}
    assert cluster.machines["tkc"].channel == ""
    assert cluster.change_log.changes() == []


def test_rollback_on_a_bare_host_is_silent() -> None:
    """Nothing of ours, nothing to do; and a second rollback is the same."""
    cluster = FakeCluster()

    results = cluster.run("tkc", COMPONENT, "rollback")

    assert {outcome_of(r) for r in results.values()} == {Outcome.UNCHANGED}
    assert cluster.altering == []


def _foreign(cluster: FakeCluster) -> FakeCluster:
    """MicroK8s was here before us: another channel, another address, no storage."""
    machine = cluster.machines["tkc"]
    machine._install(_command("--channel=1.31/stable"))
    machine.set_arguments("--node-ip=10.0.0.1\n--v=2\n", "--advertise-address=10.0.0.1\n")
    machine.members = {"other"}
    return cluster


def _command(*argv: str) -> Command:
    return Command(argv)


def test_a_snap_that_was_there_is_told_the_address_and_restarted() -> None:
    """Its arguments files get the one line each, the rest stays, and kubelite reads them."""
    cluster = _control(_foreign(FakeCluster()))

    assert cluster.machines["tkc"].files.text(KUBELET) == "--node-ip=192.168.1.110\n--v=2\n"
    assert any("snap restart microk8s.daemon-kubelite" in command for command in cluster.altering)
    assert "/etc/microk8s.yaml" not in cluster.machines["tkc"].files


def test_a_stopped_control_plane_is_started_before_it_is_waited_for(installed: FakeCluster) -> None:
    """Its `status --wait-ready` does not wait and exits with 0, and `enable` would fail."""
    installed.machines["tkc"]._stop()
    installed.forget_history()

    results = installed.run("tkc", COMPONENT)

    assert results["start_services"].result == "start MicroK8s"
    assert [c for c in installed.altering if "microk8s" in c] == ["/snap/bin/microk8s start"]


def test_restart_that_a_killed_run_missed_is_made_up_for() -> None:
    """The arguments were written and the run was killed before the restart: the next run restarts."""
    cluster = _control(_foreign(FakeCluster()))
    cluster.machines["tkc"].kubelite_started = 1.0
    cluster.forget_history()

    cluster.run("tkc", COMPONENT)

    assert [c for c in cluster.altering if c.startswith("snap restart")] == ["snap restart microk8s.daemon-kubelite"]


def test_rollback_gives_a_snap_that_was_there_back_its_state() -> None:
    """Channel, hold, addons, address and members are as before; the snap stays, and so do others' files and mounts."""
    cluster = _control(_foreign(FakeCluster()))
    machine = cluster.machines["tkc"]

    cluster.run("tkc", COMPONENT, "rollback")

    assert (machine.channel, machine.notes, machine.members) == ("1.31/stable", {"classic"}, {"other"})
    assert machine.volumes
    assert machine.addons == {"dns", "helm3"}
    assert machine.files.text(KUBELET) == "--node-ip=10.0.0.1\n--v=2\n"
    assert machine.mounts
    assert "cali123" in machine.links
    assert cluster.change_log.changes() == []


def test_storage_that_stays_on_is_an_error_and_still_recorded() -> None:
    """Its `disable` ends with 1 whether the volumes were kept or it failed: its status decides."""
    cluster = _control(_foreign(FakeCluster()))
    cluster.machines["tkc"].host.answers["/snap/bin/microk8s disable hostpath-storage"] = Reply(1, "not running")

    with pytest.raises(CheckFailed, match="still on"):
        cluster.run("tkc", COMPONENT, "rollback")

    assert cluster.change_log.managed("tkc", "addon:hostpath-storage")


def test_a_restarted_kubelite_is_waited_for() -> None:
    """`snap restart` returns before the API serves: what comes next asks it."""
    cluster = _control(_foreign(FakeCluster()))

    sent = cluster.machines["tkc"].host.sent
    restarted = sent.index("snap restart microk8s.daemon-kubelite")

    assert "status --wait-ready" in next(c for c in sent[restarted:] if "microk8s status" in c)


def test_rollback_refuses_while_workers_are_registered(installed: FakeCluster) -> None:
    """Without its control plane a worker could not be drained any more."""
    installed.run("tkw1", microk8s_workers.COMPONENT)

    with pytest.raises(Refused, match=r"tkw1\.example\.org"):
        installed.run("tkc", COMPONENT, "rollback")

    assert installed.machines["tkc"].channel


def test_rollback_refuses_when_the_api_is_down_and_workers_of_ours_are_recorded(installed: FakeCluster) -> None:
    """An API that does not answer is not taken for one without workers."""
    installed.run("tkw1", microk8s_workers.COMPONENT)
    installed.api.down = "timed out"

    with pytest.raises(Refused, match="tkw1"):
        installed.run("tkc", COMPONENT, "rollback")


def test_without_microk8s_what_it_has_is_not_told_thing_by_thing() -> None:
    """Before a set-up each of its checks says the same, with the command that sets it up."""
    results = FakeCluster().run("tkc", COMPONENT, "verify")

    errors = [error for result in results.values() if type(error := result.exception) is CheckFailed]
    assert {(error.what, error.why) for error in errors} == {
        ("MicroK8s is not installed on tkc", "snap list does not name microk8s")
    }
    told = results["addons_is_as_declared"].exception
    assert isinstance(told, CheckFailed)
    assert told.fix == f"set it up: `{command('run', f'phase5.{COMPONENT.title}')}`"


def test_microk8s_that_its_owner_had_stopped_is_stopped_again() -> None:
    """The set-up has to start it; the rollback leaves it as it was found."""
    cluster = _foreign(FakeCluster())
    machine = cluster.machines["tkc"]
    machine._stop()

    _control(cluster)
    assert not machine.stopped
    cluster.run("tkc", COMPONENT, "rollback")

    assert machine.stopped
    assert cluster.change_log.changes() == []


def test_a_microk8s_that_is_stopped_is_one_cause(installed: FakeCluster) -> None:
    """Whoever would ask its API says that, and waits for no answer."""
    installed.machines["tkc"]._stop()
    installed.api.request = lambda *_: pytest.fail("the API of a stopped MicroK8s was asked")  # type: ignore[method-assign]

    results = installed.run("tkc", COMPONENT, "verify")

    errors = {name: result.exception for name, result in results.items() if result.exception}
    told = {name: error.what for name, error in errors.items() if isinstance(error, ClusterUnreachable)}
    assert set(told.values()) == {"Kubernetes is stopped on tkc"}
    assert {"node_is_ready", "api_is_ready", "workloads_are_ready"} <= told.keys()
    assert str(errors["services_run"]).startswith("MicroK8s is stopped")
