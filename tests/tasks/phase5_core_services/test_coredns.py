"""CoreDNS and node DNS: the Corefile, its roll-out and its failure, each check's fault, rollback."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.phase5_core_services import coredns
from tasks.phase5_core_services.coredns import corefile
from tasks.shared.cluster import settling
from tasks.shared.cluster.probes import lookups
from tests.microk8s_machine import COREFILE_OF_ADDON, FakeCluster, pod
from thinkube_nornir.command import Command
from thinkube_nornir.errors import CheckFailed, Refused, ThinkubeError
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.program import command

COMPONENT = coredns.COMPONENT
DROP_IN = "/etc/systemd/resolved.conf.d/10-thinkube.conf"
OLD_DROP_IN = "/etc/systemd/resolved.conf.d/dns.conf"
Break = Callable[[FakeCluster], object]


@pytest.fixture
def cluster() -> FakeCluster:
    """MicroK8s is there, with the addon's own Corefile."""
    found = FakeCluster().installed()
    found.forget_history()
    return found


@pytest.fixture
def installed(cluster: FakeCluster) -> FakeCluster:
    for host in ("tkc", "tkw1"):
        cluster.run(host, COMPONENT)
    cluster.forget_history()
    return cluster


def _corefile(cluster: FakeCluster) -> str:
    return _config(cluster)["Corefile"]


def _config(cluster: FakeCluster) -> dict[str, str]:
    found: dict[str, str] = cluster.api.get("ConfigMap", "coredns", "kube-system")["data"]
    return found


def _just_restarted(cluster: FakeCluster) -> None:
    _container(cluster).update(lastState={"terminated": {"finishedAt": datetime.now(UTC).isoformat()}})


def _scaled_to_none(cluster: FakeCluster) -> None:
    """As a controller then has it: rolled out, without a pod."""
    deployment = cluster.api.get("Deployment", "coredns", "kube-system")
    deployment["spec"]["replicas"] = 0
    deployment["status"] = {"observedGeneration": 99}


def _container(cluster: FakeCluster) -> dict[str, object]:
    found: dict[str, object] = cluster.api.get("Pod", "coredns-1", "kube-system")["status"]["containerStatuses"][0]
    return found


FAULTS: dict[str, list[tuple[str, Break]]] = {
    "corefile_is_as_wanted": [
        ("tkc", lambda c: _config(c).update(Corefile=COREFILE_OF_ADDON)),
        ("tkw1", lambda c: _config(c).update(Corefile=COREFILE_OF_ADDON)),  # also when `-l tkw1` leaves tkc out
        (
            "tkc",
            lambda c: c.api.get("ConfigMap", "coredns", "kube-system")["data"].update(Corefile=_corefile(c) + "x\n"),
        ),
        ("tkc", lambda c: c.api.drop("ConfigMap", "coredns", "kube-system")),
    ],
    "coredns_is_available": [
        ("tkc", lambda c: c.api.get("Deployment", "coredns", "kube-system")["status"].update(availableReplicas=0)),
        ("tkc", lambda c: c.api.drop("Deployment", "coredns", "kube-system")),
        ("tkc", _scaled_to_none),
        ("tkc", lambda c: _container(c).update(state={"waiting": {"reason": "CrashLoopBackOff"}})),
        ("tkc", _just_restarted),
        ("tkc", lambda c: c.api.get("Pod", "coredns-1", "kube-system")["status"].update(conditions=[])),
        ("tkc", lambda c: c.api.drop("Pod", "coredns-1", "kube-system")),
    ],
    "dns_service_has_endpoints": [
        ("tkc", lambda c: c.api.get("Endpoints", "kube-dns", "kube-system").update(subsets=[])),
        ("tkc", lambda c: c.api.get("Service", "kube-dns", "kube-system")["spec"].update(clusterIP="10.152.183.99")),
        ("tkc", lambda c: c.api.drop("Service", "kube-dns", "kube-system")),
    ],
    "pods_ask_the_cluster_dns": [
        ("tkw1", lambda c: setattr(c, "resolv_conf", "nameserver 8.8.8.8\n")),
        ("tkw1", lambda c: setattr(c, "resolv_conf", "nameserver 10.152.183.10\nsearch a.example.org example.com\n")),
    ],
    "pods_resolve_names": [
        ("tkw1", lambda c: c.pod_answers.update({"kubernetes.default.svc.cluster.local": "SERVFAIL"})),
        ("tkc", lambda c: c.pod_answers.update({"kubernetes.default.svc.cluster.local": "192.168.191.200"})),
        ("tkw1", lambda c: c.pod_answers.update({"github.com": ""})),
        ("tkw1", lambda c: c.pod_answers.update({"github.com.": "192.168.191.200"})),
        ("tkw1", lambda c: c.pod_answers.update({"_acme-challenge.example.org": "192.168.191.200"})),
        ("tkw1", lambda c: c.pod_answers.update({"_acme-challenge.kn.example.org": "192.168.191.201"})),
        ("tkw1", lambda c: c.pod_answers.update({"_acme-challenge.example.org": "SERVFAIL"})),
        ("tkw1", lambda c: c.pod_answers.update({"example.org": ""})),
        ("tkw1", lambda c: c.pod_answers.update({"thinkube-probe.example.org": "203.0.113.9"})),
        ("tkw1", lambda c: c.pod_answers.update({"thinkube-probe.kn.example.org": "192.168.191.200"})),
    ],
    "no_drop_in_captures_all_names": [("tkw1", lambda c: c.machines["tkw1"].captures.add(OLD_DROP_IN))],
    "file_etc_systemd_resolved_conf_d_10_thinkube_conf_is_as_declared": [
        ("tkw1", lambda c: c.machines["tkw1"].files.pop(DROP_IN)),
    ],
    "unit_systemd_resolved_service_is_as_declared": [("tkw1", lambda c: c.machines["tkw1"].files.touch(DROP_IN))],
    "node_routes_the_domain_to_bind": [
        ("tkw1", lambda c: setattr(c.machines["tkw1"], "resolver", ([], []))),
        ("tkw1", lambda c: setattr(c.machines["tkw1"], "resolver", (["192.168.191.1", "8.8.8.8"], ["~example.org"]))),
        ("tkw1", lambda c: setattr(c.machines["tkw1"], "resolver", (["192.168.191.1"], ["example.org"]))),
    ],
    "node_resolves_names": [
        ("tkw1", lambda c: c.machines["tkw1"].names.update({"example.org": ""})),
        ("tkw1", lambda c: c.machines["tkw1"].names.update({"thinkube-probe.kn.example.org": "192.168.191.200"})),
        ("tkw1", lambda c: c.machines["tkw1"].names.update({"github.com": ""})),
        ("tkw1", lambda c: c.machines["tkw1"].names.update({"github.com": "192.168.191.200"})),
    ],
}


OLD_ANSWERS = {
    "kubernetes.default.svc.cluster.local": "SERVFAIL",
    "github.com": "192.168.191.200",
    "_acme-challenge.example.org": "192.168.191.200",
    "example.org": "203.0.113.9",
}


@pytest.mark.parametrize("name", OLD_ANSWERS)
def test_a_pods_old_answer_right_after_a_roll_out_is_asked_again(
    installed: FakeCluster, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kube-proxy of another node sends to the old pod for seconds: one wrong answer is no verdict."""
    monkeypatch.setattr(settling, "_PAUSE", 0.0)
    monkeypatch.setitem(installed.machines["tkw1"].host.settings, "dns_settle_seconds", 30)
    installed.pod_answers[name] = OLD_ANSWERS[name]
    run = installed.api.pod

    def later_right(manifest: dict[str, Any]) -> tuple[int, str]:
        answer = run(manifest)
        if manifest.get("status"):  # its log was read
            installed.pod_answers.clear()
        return answer

    installed.api.pod = later_right

    assert installed.run("tkw1", COMPONENT, "verify")["pods_resolve_names"].exception is None


def test_a_nodes_old_answer_is_asked_again(installed: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """resolved keeps answers, too."""
    monkeypatch.setattr(settling, "_PAUSE", 0.0)
    machine = installed.machines["tkw1"]
    monkeypatch.setitem(machine.host.settings, "dns_settle_seconds", 30)
    machine.names["example.org"] = "203.0.113.9"
    answer: Any = machine.host.answers["getent ahostsv4"]

    def later_right(command: Command) -> Any:
        said = answer(command)
        if command.argv[-1] == "example.org":
            machine.names.clear()
        return said

    machine.host.answers["getent ahostsv4"] = later_right

    assert installed.run("tkw1", COMPONENT, "verify")["node_resolves_names"].exception is None


def test_names_that_a_node_was_never_sent_to_bind_for_are_not_waited_for(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the set-up it is asked once, and it is said what is missing."""
    machine = cluster.machines["tkw1"]
    monkeypatch.setitem(machine.host.settings, "dns_settle_seconds", 30)
    monkeypatch.setitem(machine.names, "example.org", "203.0.113.9")
    monkeypatch.setattr(settling, "_may_ask_again", lambda _: pytest.fail("it waits for what is not set up"))
    monkeypatch.setattr("tasks.shared.cluster.names.lookups_when", lambda task, _: lookups(task))

    results = cluster.run("tkw1", COMPONENT, "verify")

    assert isinstance(results["node_resolves_names"].exception, CheckFailed)
    told = results["node_routes_the_domain_to_bind"].exception
    assert isinstance(told, CheckFailed)
    assert "10-thinkube.conf is missing" in told.why
    assert told.fix == f"run the set-up: `{command('run', f'phase5.{COMPONENT.title}')}`"


def test_a_drop_in_of_others_is_named(installed: FakeCluster) -> None:
    """A set-up does not help there: it is the operator's file, and says what is asked of whom."""
    machine = installed.machines["tkw1"]
    machine.captures.add("/etc/systemd/resolved.conf.d/99-vpn.conf")
    machine.resolver = (["9.9.9.9"], ["~example.org"])

    error = installed.run("tkw1", COMPONENT, "verify")["node_routes_the_domain_to_bind"].exception

    assert isinstance(error, CheckFailed)
    assert "99-vpn.conf has a say" in error.why
    assert error.fix.startswith("take DNS= and Domains= out of /etc/systemd/resolved.conf.d/99-vpn.conf")


CORP = "# The office's.\ncorp.example:53 {\n    forward . 10.9.9.9 {\n        policy sequential\n    }\n}"


def _edited(cluster: FakeCluster, text: str) -> None:
    """By an operator, to whom the field belongs after that."""
    found = cluster.api.get("ConfigMap", "coredns", "kube-system")
    found["data"]["Corefile"] = text
    found["metadata"]["managedFields"] = [{"manager": "kubectl-edit", "fieldsV1": {"f:data": {"f:Corefile": {}}}}]


def test_a_zone_of_others_is_kept_by_set_up_and_rollback(installed: FakeCluster) -> None:
    """Ours are written around it; nothing about it is red; and rollback says that it stays."""
    _edited(installed, f"{CORP}\n{_corefile(installed).replace('8.8.4.4', '1.1.1.1')}")

    installed.run("tkc", COMPONENT)

    assert CORP in _corefile(installed)
    assert "8.8.4.4" in _corefile(installed)
    assert installed.run("tkc", COMPONENT, "verify")["corefile_is_as_wanted"].exception is None
    assert outcome_of(installed.run("tkc", COMPONENT)["apply_corefile"]) is Outcome.UNCHANGED

    result = installed.run("tkc", COMPONENT, "rollback")["restore_corefile"]

    assert _corefile(installed) == f"{COREFILE_OF_ADDON.rstrip()}\n\n{CORP}\n"
    assert "with what came since: corp.example:53" in result.result


def test_a_zone_that_came_after_the_set_up_is_kept_by_rollback(installed: FakeCluster) -> None:
    """Also when no set-up has seen it."""
    _edited(installed, f"{_corefile(installed)}\n{CORP}\n")

    installed.run("tkc", COMPONENT, "rollback")

    assert _corefile(installed) == f"{COREFILE_OF_ADDON.rstrip()}\n\n{CORP}\n"


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_was_changed_in_our_blocks_is_named_before_it_is_lost(installed: FakeCluster, dry_run: bool) -> None:
    """Rollback refuses, the dry run as well, and what it says to do helps."""
    _edited(installed, _corefile(installed).replace("    loadbalance\n", "    loadbalance\n    whoami\n"))

    error = installed.apply("tkc", corefile.restore_corefile, dry_run=dry_run).exception

    assert isinstance(error, Refused)
    assert "    whoami" in error.why
    installed.run("tkc", COMPONENT)
    installed.run("tkc", COMPONENT, "rollback")
    assert _corefile(installed) == COREFILE_OF_ADDON


def test_a_roll_out_that_fails_keeps_and_names_blocks_of_others(
    installed: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be theirs that CoreDNS does not start with: nothing of ours can repair that."""
    monkeypatch.setattr(corefile, "_ROLL_OUT", 0.05)
    _edited(installed, f"{CORP}\n{_corefile(installed)}")
    installed.api.rolls_out = False

    with pytest.raises(ThinkubeError, match="does not start") as caught:
        installed.run("tkc", COMPONENT)

    assert "blocks of others, which are kept: corp.example:53" in caught.value.why
    assert CORP in _corefile(installed)


def test_coredns_that_was_scaled_to_none_is_scaled_up(installed: FakeCluster) -> None:
    _scaled_to_none(installed)

    results = installed.run("tkc", COMPONENT)

    assert "scale Deployment kube-system/coredns up from 0 replicas" in results["roll_out_corefile"].result
    assert installed.api.get("Deployment", "coredns", "kube-system")["spec"]["replicas"] == 1


def test_an_old_pod_that_ends_or_was_evicted_is_no_evidence(installed: FakeCluster) -> None:
    """Lameduck turns the old pod unready for seconds; an evicted one stays listed for good."""
    ending = pod("coredns-0", "k8s-app=kube-dns", "tkc.example.org")
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    evicted = pod("coredns-00", "k8s-app=kube-dns", "tkc.example.org")
    for old in (ending, evicted):
        old["status"]["conditions"] = []
        installed.api.add(old)
    evicted["status"] |= {"phase": "Failed", "reason": "Evicted"}

    assert installed.run("tkc", COMPONENT, "verify")["coredns_is_available"].exception is None


def test_every_check_has_a_fault() -> None:
    """A check that nobody has seen fail is no check."""
    assert FAULTS.keys() == {step.name for step in COMPONENT.verify.steps}


@pytest.mark.parametrize(
    ("check", "host", "fault"),
    [pytest.param(c, h, f, id=f"{c}-{i}") for c, fs in FAULTS.items() for i, (h, f) in enumerate(fs)],
)
def test_check_fails_on_its_fault(installed: FakeCluster, check: str, host: str, fault: Break) -> None:
    """Each check fails on the state it exists to catch, and says what was seen and what to do."""
    fault(installed)

    error = installed.run(host, COMPONENT, "verify")[check].exception

    assert isinstance(error, CheckFailed)
    assert error.why
    assert error.fix


@pytest.mark.parametrize("host", ["tkc", "tkw1"])
def test_verify_holds_after_set_up_and_changes_nothing(installed: FakeCluster, host: str) -> None:
    """Green on every node; a read-only run sends nothing that alters."""
    results = installed.run(host, COMPONENT, "verify", read_only=True)

    assert {name: str(r.exception) for name, r in results.items() if r.exception} == {}
    assert installed.altering == []


def test_one_pod_per_node_answers_all_checks(installed: FakeCluster) -> None:
    """Starting a pod takes seconds: the checks of a node share one."""
    started: list[str] = []
    run = installed.api.pod

    def counted(manifest: dict[str, Any]) -> tuple[int, str]:
        started.append(manifest["metadata"]["name"])
        return run(manifest)

    installed.api.pod = counted

    installed.run("tkw1", COMPONENT, "verify")

    assert len(set(started)) == 1


def test_precondition_asks_bind_from_a_pod(cluster: FakeCluster) -> None:
    """BIND that pods cannot reach is found before CoreDNS sends it anything."""
    cluster.pod_exit["bind-tkc"] = 1

    error = cluster.run("tkc", COMPONENT, "preconditions")["bind_answers_pods"].exception

    assert isinstance(error, CheckFailed)
    assert "192.168.191.1" in error.what


@pytest.mark.parametrize("host", ["tkc", "tkw1"])
def test_second_run_changes_nothing(installed: FakeCluster, host: str) -> None:
    """Set-up on a healthy system sends nothing that alters, to hosts or API."""
    results = installed.run(host, COMPONENT)

    assert {outcome_of(r) for r in results.values()} == {Outcome.UNCHANGED}
    assert installed.altering == []


@pytest.mark.parametrize("chain", ["preconditions", "setup", "rollback"])
@pytest.mark.parametrize("state", ["cluster", "installed"])
def test_dry_run_sends_nothing_that_alters(chain: str, state: str, request: pytest.FixtureRequest) -> None:
    """A plan writes nothing, to hosts or API."""
    found: FakeCluster = request.getfixturevalue(state)

    for host in ("tkc", "tkw1"):
        found.run(host, COMPONENT, chain, dry_run=True)

    assert found.altering == []


def test_corefile_separates_acme_domain_and_the_rest(installed: FakeCluster) -> None:
    """ACME names to public servers, the domain to BIND, the rest to explicit servers: no resolv.conf, so no loop."""
    blocks = _corefile(installed).split("\n}\n")
    forward = {b.partition(" {")[0].splitlines()[-1]: b.partition("forward . ")[2].splitlines()[0] for b in blocks[:3]}

    assert forward == {
        "_acme-challenge.example.org:53 _acme-challenge.kn.example.org:53": "8.8.8.8 8.8.4.4",
        "example.org:53 kn.example.org:53": "192.168.191.1",
        ".:53": "8.8.8.8 8.8.4.4",
    }


def _without_name_servers(cluster: FakeCluster) -> None:
    for machine in cluster.machines.values():
        machine.host.others = tuple(other for other in machine.host.others if other.name != "dns1")


def test_without_name_servers_coredns_answers_for_the_domain(cluster: FakeCluster) -> None:
    """Apex and everything below it are the ingress; ACME names stay public; nodes and their resolver are left alone."""
    _without_name_servers(cluster)

    for host in ("tkc", "tkw1"):
        cluster.run(host, COMPONENT)
    results = {host: cluster.run(host, COMPONENT, "verify", read_only=True) for host in ("tkc", "tkw1")}

    text = _corefile(cluster)
    assert (
        'answer "{{ .Name }} 60 IN A 192.168.191.200"' in text.partition("\nexample.org:53 {")[2].partition("\n}\n")[0]
    )
    assert 'answer "{{ .Name }} 60 IN A 192.168.191.201"' in text.partition("\nkn.example.org:53 {")[2]
    assert "_acme-challenge.example.org:53 _acme-challenge.kn.example.org:53 {" in text
    assert "192.168.191.1 " not in text
    assert DROP_IN not in cluster.machines["tkw1"].files
    assert [command for command in cluster.altering if "resolved" in command] == []
    assert {host: [r.exception for r in found.values() if r.exception] for host, found in results.items()} == {
        "tkc": [],
        "tkw1": [],
    }
    assert "no name servers" in results["tkw1"]["node_routes_the_domain_to_bind"].result


def test_name_servers_that_leave_the_inventory_leave_the_nodes(installed: FakeCluster) -> None:
    """The drop-in that sent the domain to BIND goes, and resolved is restarted without it."""
    _without_name_servers(installed)

    for host in ("tkc", "tkw1"):
        installed.run(host, COMPONENT)
    second = {host: installed.run(host, COMPONENT) for host in ("tkc", "tkw1")}

    assert DROP_IN not in installed.machines["tkw1"].files
    assert installed.machines["tkw1"].resolver == ([], [])
    assert {outcome_of(r) for found in second.values() for r in found.values()} == {Outcome.UNCHANGED}


def test_without_knative_its_names_are_ordinary_ones(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """No zone, no ACME exception and no check speaks of kn.<domain>."""
    for machine in cluster.machines.values():
        monkeypatch.setitem(machine.host.settings, "knative", False)

    for host in ("tkc", "tkw1"):
        cluster.run(host, COMPONENT)

    assert "kn." not in _corefile(cluster)
    results = cluster.run("tkw1", COMPONENT, "verify", read_only=True)
    assert [r.exception for r in results.values() if r.exception] == []
    assert "kn." not in str(results["pods_resolve_names"].result)


def test_corefile_that_was_reset_is_written_and_rolled_out_again(installed: FakeCluster) -> None:
    """`microk8s enable dns` resets the file: the checks that follow must meet a CoreDNS that serves the new one."""
    _config(installed)["Corefile"] = COREFILE_OF_ADDON

    results = installed.run("tkc", COMPONENT)

    assert outcome_of(results["apply_corefile"]) is Outcome.CHANGED
    assert outcome_of(results["roll_out_corefile"]) is Outcome.CHANGED
    assert "_acme-challenge" in _corefile(installed)


def test_failed_roll_out_puts_the_former_corefile_back(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """CoreDNS that does not start with our file gets its old one back at once, and the error says so."""
    monkeypatch.setattr(corefile, "_ROLL_OUT", 0.05)
    cluster.api.rolls_out = False

    with pytest.raises(ThinkubeError, match="does not start with our Corefile") as caught:
        cluster.run("tkc", COMPONENT)

    assert "put back" in caught.value.why
    assert _corefile(cluster) == COREFILE_OF_ADDON


def test_killed_between_file_and_roll_out_is_resumed(cluster: FakeCluster) -> None:
    """The version in the Deployment says whether CoreDNS was restarted for this very file."""
    cluster.apply("tkc", corefile.apply_corefile)

    results = cluster.run("tkc", COMPONENT)

    assert outcome_of(results["apply_corefile"]) is Outcome.UNCHANGED
    assert outcome_of(results["roll_out_corefile"]) is Outcome.CHANGED


def test_killed_between_drop_in_and_restart_is_resumed(cluster: FakeCluster) -> None:
    """resolved is restarted while what it has loaded is not what its files say."""
    cluster.apply("tkw1", coredns.ROUTING_DOMAIN)

    results = cluster.run("tkw1", COMPONENT)

    assert outcome_of(results["file_etc_systemd_resolved_conf_d_10_thinkube_conf"]) is Outcome.UNCHANGED
    assert outcome_of(results["unit_systemd_resolved_service"]) is Outcome.CHANGED


def test_drop_in_that_captures_all_names_is_set_aside_and_comes_back(cluster: FakeCluster) -> None:
    """It is not ours to delete: rollback puts it back under its name."""
    machine = cluster.machines["tkw1"]
    machine.captures.add(OLD_DROP_IN)

    cluster.run("tkw1", COMPONENT)
    assert machine.captures == set()

    cluster.run("tkw1", COMPONENT, "rollback")
    assert machine.captures == {OLD_DROP_IN}
    assert machine.files == {} or DROP_IN not in machine.files


def test_rollback_restores_corefile_deployment_and_resolver(cluster: FakeCluster) -> None:
    """Set-up, then rollback: the objects' own content, the drop-ins and what resolved has loaded are as before."""
    before = copy.deepcopy(cluster.api.get("Deployment", "coredns", "kube-system")["spec"])
    known = len(cluster.change_log.changes())
    for chain in ("setup", "rollback"):
        for host in ("tkc", "tkw1"):
            cluster.run(host, COMPONENT, chain)

    assert _corefile(cluster) == COREFILE_OF_ADDON
    assert cluster.api.get("Deployment", "coredns", "kube-system")["spec"] == before
    assert cluster.machines["tkw1"].resolver == ([], [])
    assert DROP_IN not in cluster.machines["tkw1"].files
    assert len(cluster.change_log.changes()) == known


@pytest.mark.parametrize("host", ["tkc", "tkw1"])
def test_rollback_on_a_bare_host_is_silent(host: str) -> None:
    """No cluster, no drop-in: nothing to do, and no error about an API that is not there."""
    cluster = FakeCluster()

    results = cluster.run(host, COMPONENT, "rollback")

    assert {outcome_of(r) for r in results.values()} == {Outcome.UNCHANGED}
    assert cluster.altering == []
