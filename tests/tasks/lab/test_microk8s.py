"""MicroK8s: files, arguments, addons, and its quirks on control plane and worker."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from cryptography import x509

from tasks.shared.microk8s.facts import SOCKET_FILE
from tests.tasks.lab.fake_lab import FakeLab, lab
from thinkube_nornir.lab.kube import KubeApi

DATA = "/var/snap/microk8s/current"
COMMON = "/var/snap/microk8s/common"
BACKEND = f"{DATA}/var/kubernetes/backend"
INSTALL = ("snap", "install", "microk8s", "--classic", "--channel=1.35/stable")
RUNTIME = ("kubelite", "containerd")
KUBELITE = "microk8s.daemon-kubelite"


def cluster(*workers: str) -> FakeLab:
    here = lab()
    for host in ("tkc", *workers):
        assert here.sh(host, *INSTALL).status == 0
    return here


def api(here: FakeLab, host: str = "tkc") -> KubeApi:
    found: KubeApi = here.hosts[host].state["machine"].node.api
    return found


def status(here: FakeLab, host: str = "tkc") -> Any:
    return yaml.safe_load(str(here.sh(host, "microk8s", "status", "--format", "yaml").stdout))


def node(here: FakeLab, name: str) -> Any:
    return json.loads(str(here.sh("tkc", "microk8s", "kubectl", "get", "node", name, "-o", "json").stdout))


def url(here: FakeLab, *options: str, address: str = "192.168.1.110") -> str:
    told = json.loads(str(here.sh("tkc", "microk8s", "add-node", *options, "--format", "json").stdout))
    return str(next(u for u in told["urls"] if u.startswith(f"{address}:")))


def joined(here: FakeLab, host: str, connection: str = "") -> None:
    """The first join of a cluster fails while the datastore restarts, and is tried again with the same token."""
    connection = connection or url(here, "--token-ttl", "300")
    replies = [here.sh(host, "microk8s", "join", connection, "--worker") for _ in range(2)]
    assert 0 in [reply.status for reply in replies]


def put_arguments(here: FakeLab, service: str, line: str) -> None:
    files = here.hosts["tkc"].files
    files.write(f"{DATA}/args/{service}", files.read(f"{DATA}/args/{service}") + line.encode() + b"\n")


def test_install_brings_up_a_ready_node_by_its_full_name() -> None:
    """A VM registers under its full name, with its LAN address and the channel's version; dns is on."""
    here = cluster()

    seen = node(here, "tkc.example.org")

    assert {"type": "InternalIP", "address": "192.168.1.110"} in seen["status"]["addresses"]
    assert seen["status"]["nodeInfo"]["kubeletVersion"] == "v1.35.0"
    assert status(here)["microk8s"]["running"] is True
    assert {a["name"] for a in status(here)["addons"] if a["status"] == "enabled"} == {
        "dns",
        "ha-cluster",
        "helm",
        "helm3",
    }


def test_a_launch_configuration_replaces_the_default_one() -> None:
    """With /etc/microk8s.yaml in place before, its arguments count at the first start; dns is off unless listed."""
    here = lab()
    text = yaml.safe_dump(
        {"version": "0.1.0", "extraSANs": ["k8s.example.org"], "extraKubeletArgs": {"--node-ip": "192.168.100.10"}}
    )
    here.hosts["tkc"].files.write("/etc/microk8s.yaml", text)

    here.sh("tkc", *INSTALL)

    certificate = x509.load_pem_x509_certificate(here.hosts["tkc"].files.read(f"{DATA}/certs/server.crt"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert node(here, "tkc.example.org")["status"]["addresses"][0]["address"] == "192.168.100.10"
    assert "k8s.example.org" in names.get_values_for_type(x509.DNSName)
    assert "192.168.1.110" in {str(a) for a in names.get_values_for_type(x509.IPAddress)}
    assert api(here).get("v1", "ConfigMap", "coredns", "kube-system") is None


@pytest.mark.parametrize(
    "text", ["version: [", "addons: []\nextraSANs: [a]\n", "version: 0.1.0\naddons: dns\n", "version: 9.0.0\n"]
)
def test_a_launch_configuration_that_cannot_be_parsed_fails_the_installation(text: str) -> None:
    """The install hook fails, and snapd takes the snap out again."""
    here = lab()
    here.hosts["tkc"].files.write("/etc/microk8s.yaml", text)

    reply = here.sh("tkc", *INSTALL)

    assert reply.status == 1
    assert "failed to parse config file" in str(reply.stderr)
    assert here.sh("tkc", "snap", "list", "microk8s").status == 1
    assert not here.hosts["tkc"].files.exists("/snap/bin/microk8s")


def test_an_unknown_field_is_only_a_warning() -> None:
    here = lab()
    here.hosts["tkc"].files.write("/etc/microk8s.yaml", "version: 0.1.0\nextraKubeletArg: {}\n")

    assert here.sh("tkc", *INSTALL).status == 0
    assert status(here)["microk8s"]["running"] is True


def test_what_an_installation_starts_comes_up_after_it_has_returned() -> None:
    """The API, the node, the pod network and the addons; the launch configuration is renamed when all of it is done."""
    here = lab()
    here.speed = 100.0
    seen: list[Any] = []

    async def scenario() -> None:
        assert (await here.call("tkc", *INSTALL, settle=False)).status == 0
        seen.append((await here.call("tkc", "microk8s", "kubectl", "get", "nodes", settle=False)).status)
        seen.append((await here.call("tkc", "microk8s", "status", "--format", "short", settle=False)).status)
        seen.append(here.hosts["tkc"].files.list(f"{COMMON}/etc/launcher"))
        told = await here.call("tkc", "microk8s", "status", "--wait-ready", "--timeout", "600", settle=False)
        seen.append(told.status)
        await here.call("tkc", "hostname")
        seen.append(here.hosts["tkc"].files.list(f"{COMMON}/etc/launcher"))

    here.do(scenario())

    assert seen == [1, 1, ["install.yaml"], 0, ["install.yaml.applied"]]
    assert api(here).get("v1", "ConfigMap", "coredns", "kube-system") is not None


def test_an_addon_that_nobody_knows_keeps_the_launch_configuration_pending() -> None:
    """The cluster agent repeats it for ever; what it can do without stays undone, too."""
    here = lab()
    here.hosts["tkc"].files.write("/etc/microk8s.yaml", "version: 0.1.0\naddons: [{name: nosuch}, {name: dns}]\n")

    here.sh("tkc", *INSTALL)

    assert here.hosts["tkc"].files.list(f"{COMMON}/etc/launcher") == ["install.yaml"]
    assert api(here).get("v1", "ConfigMap", "coredns", "kube-system") is None


def test_a_restarted_kubelite_serves_later_and_its_controllers_wait_for_the_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`snap restart` returns before the API answers again; nobody leads until the old lease has ended."""
    here = cluster()
    here.speed = 100.0
    seen, leaderless = [], list[str]()

    def noted(word: str, change: Callable[[], None]) -> Callable[[], None]:
        def both() -> None:
            leaderless.append(word)
            change()

        return both

    for word, change in (("pause", api(here).pause_controllers), ("resume", api(here).resume_controllers)):
        monkeypatch.setattr(api(here), f"{word}_controllers", noted(word, change))

    async def scenario() -> None:
        await here.call("tkc", "snap", "restart", KUBELITE, settle=False)
        seen.append((await here.call("tkc", "microk8s", "kubectl", "get", "nodes", settle=False)).status)
        await here.call("tkc", "hostname")
        seen.append((await here.call("tkc", "microk8s", "kubectl", "get", "nodes")).status)

    here.do(scenario())

    assert seen == [1, 0]
    assert leaderless == ["pause", "resume"]


def test_arguments_take_effect_at_the_next_start_of_kubelite() -> None:
    """A changed file alone changes nothing; after the restart the node has the new address."""
    here = cluster()
    put_arguments(here, "kubelet", "--node-ip=192.168.191.110")
    before = node(here, "tkc.example.org")["status"]["addresses"][0]["address"]

    assert here.sh("tkc", "snap", "restart", KUBELITE).status == 0

    assert before == "192.168.1.110"
    assert node(here, "tkc.example.org")["status"]["addresses"][0]["address"] == "192.168.191.110"


def test_a_node_address_the_host_does_not_have_makes_it_not_ready() -> None:
    """kubelet refuses an address that is on no interface."""
    here = cluster()
    put_arguments(here, "kubelet", "--node-ip=192.168.1.99")

    here.sh("tkc", "snap", "restart", KUBELITE)

    assert here.sh("tkc", "microk8s", "status").status == 1


def test_a_wrong_datastore_address_takes_the_api_down_until_it_is_put_back() -> None:
    """dqlite must listen on its unix socket: elsewhere the API server does not find it."""
    here = cluster()
    files = here.hosts["tkc"].files
    good = files.read(f"{DATA}/args/k8s-dqlite")
    files.write(f"{DATA}/args/k8s-dqlite", "--listen=192.168.1.110:19001\n")

    here.sh("tkc", "snap", "restart", "microk8s.daemon-k8s-dqlite")
    down = here.sh("tkc", "microk8s", "kubectl", "get", "nodes")
    faults = list(api(here).faults)
    files.write(f"{DATA}/args/k8s-dqlite", good)
    here.sh("tkc", "snap", "restart", "microk8s.daemon-k8s-dqlite")

    assert down.status == 1
    assert [f.status for f in faults] == [-1]
    assert api(here).faults == []
    assert status(here)["microk8s"]["running"] is True


@pytest.mark.parametrize(("track", "has"), [("1.32", False), ("1.33", False), ("1.34", True), ("1.35", True)])
def test_the_authority_says_what_its_key_is_for_since_1_34(track: str, has: bool) -> None:
    """So until 1.33 Python 3.13's strict X.509 refuses it; the API's own authority is made alike."""
    here = lab()
    here.sh("tkc", "snap", "install", "microk8s", "--classic", f"--channel={track}/stable")

    config = yaml.safe_load(api(here).kubeconfig("https://127.0.0.1:16443"))
    served = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    for text in (served, here.hosts["tkc"].files.read(f"{DATA}/certs/ca.crt")):
        usages = [e for e in x509.load_pem_x509_certificate(text).extensions if isinstance(e.value, x509.KeyUsage)]
        assert bool(usages) is has


def test_the_datastores_socket_is_where_the_product_looks_and_nowhere_else() -> None:
    """The port of `--listen` is part of the file's name, and the socket goes with its service."""
    here = cluster()
    files = here.hosts["tkc"].files

    there = files.exists(SOCKET_FILE), files.exists(SOCKET_FILE.removesuffix(":12379"))
    here.sh("tkc", "snap", "stop", "microk8s.daemon-k8s-dqlite")

    assert SOCKET_FILE.endswith("/backend/kine.sock:12379")
    assert there == (True, False)
    assert not files.exists(SOCKET_FILE)


def test_enabling_dns_again_does_nothing_and_off_and_on_resets_the_corefile() -> None:
    """Only disable, then enable, applies the addon's manifest again."""
    here = cluster()
    config = api(here).get("v1", "ConfigMap", "coredns", "kube-system")
    assert config is not None
    here.act(lambda: api(here).update({**config, "data": {"Corefile": ".:53 {\n  forward . 1.1.1.1\n}\n"}}))

    again = here.sh("tkc", "microk8s", "enable", "dns")
    kept = api(here).get("v1", "ConfigMap", "coredns", "kube-system")
    here.sh("tkc", "microk8s", "disable", "dns")
    here.sh("tkc", "microk8s", "enable", "dns")
    reset = api(here).get("v1", "ConfigMap", "coredns", "kube-system")

    assert (again.status, again.stdout) == (0, "Addon core/dns is already enabled\n")
    assert kept is not None
    assert "1.1.1.1" in kept["data"]["Corefile"]
    assert reset is not None
    assert "forward . /etc/resolv.conf" in reset["data"]["Corefile"]


def test_disabling_storage_asks_and_fails_when_nobody_answers() -> None:
    """The manifest is gone by then, and the volumes stay; `destroy-storage` is not asked about."""
    here = cluster()
    here.sh("tkc", "microk8s", "enable", "hostpath-storage")

    reply = here.sh("tkc", "microk8s", "disable", "hostpath-storage")
    kept = here.hosts["tkc"].files.exists(f"{COMMON}/default-storage")
    here.sh("tkc", "microk8s", "enable", "hostpath-storage")
    told = here.sh("tkc", "microk8s", "disable", "hostpath-storage:destroy-storage")

    assert reply.status == 1
    assert kept
    assert told.status == 0
    assert not here.hosts["tkc"].files.exists(f"{COMMON}/default-storage")


def test_an_addon_is_enabled_when_what_it_is_known_by_is_there() -> None:
    """Whoever put it there: the status looks at what kubectl lists."""
    here = cluster()
    coredns = api(here).get("apps/v1", "Deployment", "coredns", "kube-system") or {}
    name = {"name": "cert-manager"}
    here.act(lambda: api(here).create({"apiVersion": "v1", "kind": "Namespace", "metadata": name}))
    here.act(lambda: api(here).create(coredns | {"metadata": name | {"namespace": "cert-manager"}}))

    listed = {a["name"]: a for a in status(here)["addons"]}

    assert {name for name, a in listed.items() if a["status"] == "enabled"} == {
        *("cert-manager", "dns", "ha-cluster", "helm", "helm3"),
    }
    assert listed["dns"] == {
        "name": "dns",
        "repository": "core",
        "description": "CoreDNS",
        "version": "1.13.1",
        "status": "enabled",
    }


def test_a_stopped_microk8s_says_so_and_status_exits_0() -> None:
    """Others fail; so an exit status of 0 is no proof that it runs."""
    here = cluster()
    here.sh("tkc", "microk8s", "stop")

    told = here.sh("tkc", "microk8s", "status", "--format", "yaml")

    assert (told.status, told.stdout) == (0, "microk8s is not running, try microk8s start\n")
    assert [here.sh("tkc", "microk8s", verb).status for verb in ("enable", "kubectl", "add-node")] == [2, 1, 1]


def test_the_mark_of_a_stop_goes_when_kubelite_starts() -> None:
    """Its script takes it for started then, whoever started it."""
    here = cluster()
    lock = f"{DATA}/var/lock/stopped.lock"
    here.sh("tkc", "microk8s", "stop")
    assert here.hosts["tkc"].files.exists(lock)

    here.sh("tkc", "snap", "start", "--enable", "microk8s")

    assert not here.hosts["tkc"].files.exists(lock)


def test_a_join_starts_kubelite_of_a_stopped_node_and_not_containerd() -> None:
    """It restarts some services by name, so that such a node is a member without a container runtime."""
    here = cluster("bcn1")
    here.sh("bcn1", "microk8s", "stop")

    joined(here, "bcn1")

    state = {s: here.sh("bcn1", "systemctl", "is-active", f"snap.microk8s.daemon-{s}").stdout for s in RUNTIME}
    assert state == {"kubelite": "active\n", "containerd": "inactive\n"}
    assert not here.hosts["bcn1"].files.exists(f"{DATA}/var/lock/stopped.lock")


def test_what_is_not_for_a_worker_ends_when_it_is_started_there() -> None:
    """`snap start` of the whole snap starts each; the scripts of some see the mark, and end."""
    here = cluster("bcn1")
    joined(here, "bcn1")

    here.sh("bcn1", "snap", "start", "--enable", "microk8s")

    assert here.sh("bcn1", "systemctl", "is-active", "snap.microk8s.daemon-k8s-dqlite").stdout == "inactive\n"
    assert here.sh("bcn1", "systemctl", "is-active", "snap.microk8s.daemon-apiserver-proxy").stdout == "active\n"


def test_storage_is_a_deprecated_alias() -> None:
    """It warns and enables hostpath-storage."""
    here = cluster()

    reply = here.sh("tkc", "microk8s", "enable", "storage")

    assert "DEPRECATION" in str(reply.stdout)
    assert "hostpath-storage" in {a["name"] for a in status(here)["addons"] if a["status"] == "enabled"}
    assert api(here).get("storage.k8s.io/v1", "StorageClass", "microk8s-hostpath") is not None


def test_an_unknown_addon_is_an_error() -> None:
    """Exit status 1 and the tool's message."""
    reply = cluster().sh("tkc", "microk8s", "enable", "nosuch")

    assert (reply.status, reply.stderr) == (1, "Addon nosuch was not found in any repository\n")


@pytest.mark.parametrize("given", [True, False])
def test_a_worker_gets_a_node_ip_when_the_control_plane_has_one(given: bool) -> None:
    """Its source address; without the argument over there it gets none."""
    here = cluster("bcn1")
    if given:
        put_arguments(here, "kubelet", "--node-ip=192.168.1.110")

    joined(here, "bcn1")

    kubelet = here.hosts["bcn1"].files.read(f"{DATA}/args/kubelet").decode()
    assert ("--node-ip=192.168.1.101" in kubelet.splitlines()) is given
    assert ("--node-ip" in kubelet) is given


def test_a_worker_joins_with_the_control_planes_arguments_and_its_lan_address() -> None:
    """Its own kubelet arguments are overwritten, its labels are a worker's, its marks are set."""
    here = cluster("bcn1")
    put_arguments(here, "kubelet", "--node-ip=192.168.1.110")

    joined(here, "bcn1")

    seen = node(here, "bcn1")
    kubelet = here.hosts["bcn1"].files.read(f"{DATA}/args/kubelet").decode()
    assert "--node-ip=192.168.1.101" in kubelet.splitlines()
    labels = {"microk8s.io/cluster": "true", "node.kubernetes.io/microk8s-worker": "microk8s-worker"}
    assert seen["metadata"]["labels"].items() >= labels.items()
    assert here.hosts["bcn1"].files.exists(f"{DATA}/var/lock/clustered.lock")
    assert here.hosts["bcn1"].files.exists(f"{DATA}/args/traefik/provider.yaml")
    assert here.sh("bcn1", "systemctl", "is-active", "snap.microk8s.daemon-apiserver-proxy").stdout == "active\n"
    assert here.ports[("bcn1", "127.0.0.1", 16443)] == here.ports[("tkc", "127.0.0.1", 16443)]


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        *((verb, 0) for verb in ("status", "kubectl", "stop", "start", "config", "helm3", "refresh-certs")),
        *((verb, 1) for verb in ("enable", "disable", "add-node", "remove-node")),
    ],
)
def test_a_joined_worker_answers_prose(verb: str, expected: int) -> None:
    """Mostly with exit status 0, so its own status proves nothing; and stop stops nothing."""
    here = cluster("bcn1")
    joined(here, "bcn1")

    reply = here.sh("bcn1", "microk8s", verb)

    assert reply.status == expected
    assert "acting as a node in a cluster" in str(reply.stdout)
    assert here.sh("bcn1", "systemctl", "is-active", "snap.microk8s.daemon-kubelite").status == 0


def test_only_who_is_in_a_cluster_can_leave_one() -> None:
    reply = cluster().sh("tkc", "microk8s", "leave")

    assert (reply.status, reply.stdout) == (1, "This MicroK8s deployment is not acting as a node in a cluster.\n")


def test_the_first_join_restarts_the_datastore_and_fails_at_the_api_that_is_away() -> None:
    """The agent does not repeat its question; a token with an expiry is good for another attempt, and for a third."""
    here = cluster("bcn1", "tkw1")
    once, lasting = url(here), url(here, "--token-ttl", "300")

    first = here.sh("bcn1", "microk8s", "join", lasting, "--worker")
    again = here.sh("bcn1", "microk8s", "join", lasting, "--worker")

    assert first.status == 6
    assert "failed to retrieve list of control plane nodes" in str(first.stdout)
    assert (again.status, "Successfully joined the cluster." in str(again.stdout)) == (0, True)
    assert "192.168.1.110:19001" in here.hosts["tkc"].files.read(f"{BACKEND}/cluster.yaml").decode()
    assert [here.sh("tkw1", "microk8s", "join", u, "--worker").status for u in (once, lasting)] == [0, 0]
    assert here.sh("tkw1", "microk8s", "join", once, "--worker").status == 6


def test_a_failed_join_burns_a_token_without_ttl() -> None:
    """It is gone before anything else is looked at."""
    here = cluster("bcn1")
    once = url(here)

    refused = [here.sh("bcn1", "microk8s", "join", once, "--worker") for _ in range(2)]

    assert [reply.status for reply in refused] == [6, 6]
    assert "invalid token (500)" in str(refused[1].stdout)


@pytest.mark.parametrize(("old", "new"), [("110:25000", "110:25001"), ("110:25000", "99:25000")])
def test_a_join_at_the_wrong_endpoint_fails(old: str, new: str) -> None:
    """Nobody listens there."""
    here = cluster("bcn1")

    reply = here.sh("bcn1", "microk8s", "join", url(here).replace(old, new), "--worker")

    assert reply.status == 1
    assert "ConnectionRefusedError" in str(reply.stderr)


@pytest.mark.parametrize("connection", ["tkc:25000/" + "a" * 32, "192.168.1.110:25000/short", "192.168.1.110"])
def test_a_connection_string_of_the_wrong_form_is_refused(connection: str) -> None:
    """Names are no addresses, and tokens have a length."""
    reply = cluster("bcn1").sh("bcn1", "microk8s", "join", connection, "--worker")

    assert reply.status == 1
    assert "Invalid connection:" in str(reply.stdout)


def test_a_wrong_fingerprint_ends_with_4() -> None:
    """The joiner checks the certificate before it sends the token."""
    here = cluster("bcn1")
    good = url(here)

    wrong = here.sh("bcn1", "microk8s", "join", good[:-12] + "0" * 12, "--worker")

    assert wrong.status == 4
    joined(here, "bcn1", url(here, "--token-ttl", "300"))


def test_leave_makes_it_a_cluster_of_its_own_and_leaves_the_node_behind() -> None:
    """The control plane still lists it, NotReady, until remove-node."""
    here = cluster("bcn1")
    joined(here, "bcn1")

    assert here.sh("bcn1", "microk8s", "leave").status == 0
    left = node(here, "bcn1")["status"]["conditions"][0]["status"]
    removed = here.sh("tkc", "microk8s", "remove-node", "bcn1")

    assert left != "True"
    assert removed.status == 0
    assert here.sh("tkc", "microk8s", "kubectl", "get", "node", "bcn1").status == 1
    assert status(here, "bcn1")["microk8s"]["running"] is True
    assert "microk8s-controlplane" in here.hosts["bcn1"].files.read(f"{DATA}/args/kubelet").decode()


def test_removing_the_snap_leaves_a_joined_node_not_ready() -> None:
    """The cluster object stays; files, commands and units are gone from the host."""
    here = cluster("bcn1")
    joined(here, "bcn1")

    here.sh("bcn1", "snap", "remove", "--purge", "microk8s")

    assert node(here, "bcn1")["status"]["conditions"][0]["status"] != "True"
    assert not here.hosts["bcn1"].files.exists("/var/snap/microk8s")
    assert here.sh("bcn1", "microk8s", "status").status == 127
    assert here.sh("bcn1", "systemctl", "is-active", "snap.microk8s.daemon-kubelite").status == 4


def test_an_unknown_verb_is_an_error() -> None:
    """`microk8s frobnicate` names the verbs there are."""
    reply = cluster().sh("tkc", "microk8s", "frobnicate")

    assert reply.status == 1
    assert "not a valid MicroK8s subcommand" in str(reply.stdout)


def test_an_ordinary_user_needs_the_group() -> None:
    """Membership of group microk8s is what lets one in."""
    here = cluster()
    before = here.sh("tkc", "microk8s", "status", user="thinkube").status

    here.sh("tkc", "usermod", "-aG", "microk8s", "thinkube")

    assert before == 1
    assert here.sh("tkc", "microk8s", "status", user="thinkube").status == 0
    assert "sudo" in str(here.sh("tkc", "id", "-nG", "thinkube").stdout).split()


def test_a_control_plane_installed_anew_does_not_know_its_former_workers() -> None:
    """The worker still believes to be in a cluster, and a restart of its services registers it nowhere."""
    here = cluster("bcn1")
    joined(here, "bcn1")
    here.sh("tkc", "snap", "remove", "--purge", "microk8s")
    here.sh("tkc", *INSTALL)

    here.sh("bcn1", "snap", "restart", "microk8s.daemon-kubelite")

    assert here.hosts["bcn1"].files.exists(f"{DATA}/var/lock/clustered.lock")
    assert here.sh("tkc", "microk8s", "kubectl", "get", "node", "bcn1").status == 1
