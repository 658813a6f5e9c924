"""What a host of the lab lacks has the consequence that it has in reality, and the tools that show it answer so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.shared.hosts.firewall import parse_ufw
from tasks.shared.hosts.host_facts import Room, parse_memory, parse_os_release, parse_room
from tests.tasks.lab.fake_lab import FakeLab, lab
from tests.tasks.lab.test_microk8s import cluster, node, url
from thinkube_nornir.command import Command, Completed
from thinkube_nornir.lab.emulation import Reply

INSTALL = ("snap", "install", "microk8s", "--classic", "--channel={}/stable")
RECORDED = Path(__file__).parents[1] / "shared/hosts/recorded"


def _done(reply: Reply) -> Completed:
    return Completed(Command(("x",)), reply.status, str(reply.stdout).encode(), str(reply.stderr).encode())


def _join(here: FakeLab, host: str) -> Reply:
    """Twice: the first join of a cluster fails while it restarts the datastore."""
    connection = url(here, "--token-ttl", "300")
    first = here.sh(host, "microk8s", "join", connection, "--worker")
    return here.sh(host, "microk8s", "join", connection, "--worker") if first.status == 6 else first


def test_a_host_is_ubuntu_with_the_inventorys_size() -> None:
    """df and free print what the product's parsers read on real machines."""
    here = lab()
    here.fakes["tkc"].settings = {**here.fakes["tkc"].settings, "disk_size": "700GB", "memory": "48GB"}

    system = parse_os_release(_done(Reply(0, here.hosts["tkc"].files.read("/etc/os-release").decode())))
    assert system is not None
    assert (system.id, system.version) == ("ubuntu", "24.04")
    df = here.sh("tkc", "df", "--block-size=1", "--output=avail,target", "/var/snap", "/var/nothing")
    assert (df.status, parse_room(_done(df))) == (1, Room(692 * 10**9, "/"))
    assert parse_memory(_done(here.sh("tkc", "free", "--bytes"))) == 48 * 10**9
    assert len({h.files.read("/etc/machine-id") for h in here.hosts.values()}) == len(here.hosts)


@pytest.mark.parametrize("command", ["df -h", "df --sync /", "free -h", "hostnamectl set-chassis vm"])
def test_unknown_options_are_errors(command: str) -> None:
    """The lab never says yes to what it does not do."""
    assert lab().sh("tkc", *command.split()).status == 1


def test_sudo_rs_breaks_joins_before_1_35() -> None:
    """`sudo -E` keeps nothing, and the script finds no $SNAP_DATA; 1.35 names its variables."""
    for channel, status in (("1.34", 1), ("1.35", 0)):
        here = lab()
        here.fakes["tkw1"].settings = {**here.fakes["tkw1"].settings, "lab_sudo_rs": True}
        for host in ("tkc", "tkw1"):
            assert here.sh(host, *[word.format(channel) for word in INSTALL]).status == 0
        joined = _join(here, "tkw1")
        assert joined.status == status, joined
        assert ("None/var/lock/join-in-progress" in str(joined.stderr)) is bool(status)


def test_an_old_snapd_cannot_hold_refreshes() -> None:
    """--hold came with 2.58."""
    here = cluster()
    here.fakes["tkc"].settings = {**here.fakes["tkc"].settings, "lab_snapd": "2.57.6"}

    held = here.sh("tkc", "snap", "refresh", "--hold", "microk8s")

    assert (held.status, str(held.stderr)) == (64, "error: unknown flag `hold'\n")
    assert "snapd   2.57.6+24.04" in str(here.sh("tkc", "snap", "version").stdout)


@pytest.mark.parametrize("name", ["tkc_1", "-tkc", "t" * 64])
def test_a_node_with_an_invalid_name_is_never_registered(name: str) -> None:
    """The snap installs, the kubelet runs, and the API refuses its Node."""
    here = lab()
    assert here.sh("tkc", "hostnamectl", "set-hostname", name).status == 0
    assert here.sh("tkc", *[word.format("1.32") for word in INSTALL]).status == 0

    assert here.hosts["tkc"].state["machine"].node.api.list("v1", "Node") == []


def test_without_a_kernel_log_nothing_is_installed() -> None:
    """As in an LXC container without MicroK8s' profile."""
    here = lab()
    here.hosts["tkc"].files.remove("/dev/kmsg")

    installed = here.sh("tkc", *[word.format("1.32") for word in INSTALL])

    assert installed.status == 1
    assert "the lxc profile for MicroK8s might be missing" in str(installed.stderr)
    assert here.sh("tkc", "snap", "list", "microk8s").status == 1


def _blocked(here: FakeLab, host: str, name: str) -> None:
    path = "/etc/hosts"
    here.hosts[host].files.write(path, here.hosts[host].files.read(path).decode() + f"10.9.9.9 {name}\n")


def test_without_the_store_no_snap_is_installed() -> None:
    """snapd names the host that it does not reach."""
    here = lab()
    assert str(here.sh("tkc", "snap", "debug", "connectivity").stdout) == "Connectivity status:\n * PASS\n"
    _blocked(here, "tkc", "api.snapcraft.io")

    told = here.sh("tkc", "snap", "debug", "connectivity")
    installed = here.sh("tkc", *[word.format("1.32") for word in INSTALL])

    assert (told.status, str(told.stdout)) == (1, "Connectivity status:\n * api.snapcraft.io: unreachable\n")
    assert (installed.status, str(installed.stderr)) == (1, "error: unable to contact snap store\n")


def test_registries_answer_curl_unless_something_is_in_the_way() -> None:
    """Without a login with 401; a name that leads elsewhere times out; a proxy that is none cannot be resolved."""
    here = lab()
    code = ("/usr/bin/curl", "-s", "-S", "-o", "/dev/null", "-w", "%{http_code}", "https://registry-1.docker.io/v2/")
    assert str(here.sh("tkc", *code).stdout) in ("401", "b'401'")

    proxied = here.sh("tkc", *code, "--proxy", "http://me:secret@proxy.lan:3128")
    spared = here.sh("tkc", *code, "--proxy", "http://proxy.lan:3128", "--noproxy", ".docker.io")
    _blocked(here, "tkc", "registry-1.docker.io")

    assert (proxied.status, str(proxied.stderr)) == (5, "curl: (5) Could not resolve proxy: proxy.lan\n")
    assert spared.status == 0
    assert here.sh("tkc", *code).status == 28


def test_ufw_keeps_a_worker_out_until_its_ports_are_open() -> None:
    """MicroK8s opens its own links only; the product's parser reads what ufw shows."""
    here = cluster("tkw1")
    assert here.sh("tkc", "ufw", "--force", "enable").status == 0
    refused = _join(here, "tkw1")
    assert "TimeoutError" in str(refused.stderr)

    for ports, protocol in (("16443,25000,10250", "tcp"), ("4789", "udp")):
        rule = ("from", "192.168.1.0/24", "to", "any", "port", ports, "proto", protocol)
        assert here.sh("tkc", "ufw", "prepend", "allow", *rule).status == 0
    assert _join(here, "tkw1").status == 0
    assert node(here, "tkw1.example.org")

    firewall = parse_ufw(_done(here.sh("tkc", "ufw", "status", "verbose")))
    assert firewall.lets_in("192.168.1.111", "192.168.1.110", 25000, "tcp", "enp6s0")
    assert not firewall.lets_in("192.168.2.111", "192.168.1.110", 25000, "tcp", "enp6s0")


def test_ufw_prints_as_recorded() -> None:
    """The same rules give the same table as UFW 0.36.2's own, line for line."""
    here = lab()
    here.sh("tkc", "ufw", "enable")
    rules = (
        "allow 22/tcp",
        "allow from 192.168.1.0/24 to any port 16443,25000,10250 proto tcp",
        "allow from 192.168.1.0/24 to any port 4789 proto udp",
        "allow from 192.168.1.111",
        "limit 2222/tcp",
        "allow in on vxlan.calico",
        "allow out on cali+",
        "deny from 192.168.1.50 to any port 16443",
        "allow 25000",
        "allow 30000:32767/tcp",
        "allow in on br0 to any port 10250 proto tcp",
        "reject from 10.0.0.0/8 to any port 19001 proto tcp",
    )
    for rule in rules:
        assert here.sh("tkc", "ufw", *rule.split()).status == 0, rule

    shown = str(here.sh("tkc", "ufw", "status", "verbose").stdout).splitlines()

    recorded = (RECORDED / "ufw-rules.txt").read_text().splitlines()
    others = ("10257", "192.168.1.110 ", "FWD")
    expected = [line for line in recorded if not any(word in line for word in others)]
    assert shown == [line for n, line in enumerate(expected) if line or expected[n - 1 : n] != [""]]


@pytest.mark.parametrize(
    "rule",
    [
        "allow",
        "allow 99999",
        "allow 22/sctp",
        "permit 22",
        "allow from nowhere",
        "allow app SSH",
        "allow from any port",
    ],
)
def test_ufw_refuses_rules_that_it_does_not_know(rule: str) -> None:
    """With status 1, and nothing is added."""
    here = lab()
    here.sh("tkc", "ufw", "enable")

    assert here.sh("tkc", "ufw", *rule.split()).status == 1
    assert str(here.sh("tkc", "ufw", "status").stdout) == "Status: active\n"
    assert here.sh("tkc", "ufw", "status", user="thinkube").status == 1
