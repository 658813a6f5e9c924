"""systemctl, ip, ss, getent and friends on a host of the lab."""

from __future__ import annotations

import json

import pytest

from tasks.lab import snapshot
from tasks.shared.hosts.packet_filter import removal
from tests.tasks.lab.fake_lab import lab

INSTALL = ("snap", "install", "microk8s", "--classic", "--channel=1.35/stable")


@pytest.mark.parametrize(
    ("argv", "status", "stdout"),
    [
        (("is-active", "snapd"), 0, "active\n"),
        (("is-active", "snapd.service", "systemd-resolved"), 0, "active\nactive\n"),
        (("is-active", "nosuch"), 4, "inactive\n"),
        (("is-enabled", "nosuch"), 4, "not-found\n"),
        (("is-system-running",), 0, "running\n"),
        (("show", "-p", "LoadState", "--value", "nosuch"), 0, "not-found\n"),
        (("show", "-p", "ActiveState,SubState", "snapd"), 0, "ActiveState=active\nSubState=running\n"),
        (("restart", "nosuch"), 5, ""),
        (("status", "nosuch"), 4, ""),
        (("frobnicate",), 1, ""),
        (("is-active", "--nosuch", "snapd"), 1, ""),
    ],
)
def test_systemctl_answers_with_the_real_statuses(argv: tuple[str, ...], status: int, stdout: str) -> None:
    """Known units, unknown units, unknown verbs and options."""
    reply = lab().sh("tkc", "systemctl", *argv)

    assert (reply.status, reply.stdout) == (status, stdout)


def test_a_stopped_unit_is_inactive_with_3() -> None:
    """And an ordinary user may not stop it."""
    here = lab()
    refused = here.sh("tkc", "systemctl", "stop", "systemd-resolved", user="thinkube").status

    here.sh("tkc", "systemctl", "stop", "systemd-resolved")

    assert refused == 1
    assert here.sh("tkc", "systemctl", "is-active", "systemd-resolved").status == 3


def test_ip_shows_the_inventorys_addresses() -> None:
    """The LAN is on the bridge of a baremetal host and on the second card of a VM; both route by it."""
    here = lab()
    vm = json.loads(str(here.sh("tkc", "ip", "-j", "addr", "show").stdout))
    metal = json.loads(str(here.sh("bcn1", "ip", "-json", "address", "show", "dev", "br0").stdout))
    route = json.loads(str(here.sh("tkc", "ip", "-j", "route", "get", "8.8.8.8").stdout))[0]

    assert {i["ifname"]: [a["local"] for a in i["addr_info"]] for i in vm}["enp6s0"] == ["192.168.1.110"]
    assert metal[0]["addr_info"][0] == {
        "family": "inet",
        "local": "192.168.1.101",
        "prefixlen": 24,
        "scope": "global",
        "label": "br0",
    }
    assert (route["dev"], route["prefsrc"], route["gateway"]) == ("enp6s0", "192.168.1.110", "192.168.1.1")
    assert here.sh("tkc", "ip", "-j", "route", "get", "nonsense").status == 1
    assert here.sh("tkc", "ip", "frobnicate").status != 0


def test_ss_lists_what_listens() -> None:
    """MicroK8s' ports appear with it."""
    here = lab()
    before = str(here.sh("tkc", "ss", "-ltn", "-H").stdout)
    here.sh("tkc", *INSTALL)

    after = str(here.sh("tkc", "ss", "-ltn", "-H").stdout)

    assert ":16443" not in before
    assert all(port in after for port in (":22", ":16443", ":25000", ":19001", ":10250"))


def test_hosts_know_each_other_by_their_lan_addresses() -> None:
    """No host's own name leads to 127.0.1.1."""
    here = lab()

    assert here.sh("tkc", "getent", "hosts", "tkc.example.org").stdout == "192.168.1.110   tkc.example.org\n"
    assert here.sh("bcn1", "getent", "ahosts", "tkw1").status == 0
    assert here.sh("tkc", "hostname").stdout == "tkc.example.org\n"
    assert here.sh("bcn1", "hostname").stdout == "bcn1\n"


def test_what_a_removed_microk8s_leaves_behind() -> None:
    """Group, link, rules of the packet filter, base snap, forwarding, file, failed unit; all can be removed."""
    here = lab()
    before = snapshot(here)
    here.sh("tkc", *INSTALL)
    during = snapshot(here)

    here.sh("tkc", "snap", "remove", "--purge", "microk8s")
    left = snapshot(here)["tkc"]
    here.sh("tkc", "ip", "link", "delete", "vxlan.calico")
    here.sh("tkc", "groupdel", "microk8s")
    assert here.sh("tkc", "snap", "remove", "core22").stdout == "core22 removed\n"
    here.sh("tkc", "sysctl", "-w", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
    failed = here.sh("tkc", "systemctl", "list-units", "--state=failed", "--no-legend", "--plain", "snap.microk8s.*")
    here.sh("tkc", "systemctl", "reset-failed", str(failed.stdout).split()[0])
    for tool in ("iptables-nft", "iptables-legacy", "ip6tables-legacy"):
        rules = removal(str(here.sh("tkc", f"{tool}-save").stdout))
        assert here.sh("tkc", f"{tool}-restore", "--noflush", stdin=rules).status == 0

    assert during["tkc"]["microk8s"]["nodes"] == {"tkc.example.org": True}
    assert set(left["links"]) - set(before["tkc"]["links"]) == {"vxlan.calico"}
    assert set(left["snaps"]) - set(before["tkc"]["snaps"]) == {"core22"}
    assert set(left["units"]) - set(before["tkc"]["units"]) == {"snap.microk8s.daemon-cluster-agent"}
    assert str(failed.stdout).split()[1:4] == ["not-found", "failed", "failed"]
    assert {kind for kind, rules in left["filters"].items() if "KUBE" in str(rules)} == {
        "iptables-legacy",
        "ip6tables-legacy",
    }
    assert here.hosts["tkc"].files.exists("/etc/apparmor.d/cri-containerd.apparmor.d")
    assert not here.hosts["tkc"].files.exists("/var/lib/kubelet")
    assert set(left["groups"]) - set(before["tkc"]["groups"]) == {"microk8s"}
    assert snapshot(here) == before


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        (":MINE - [0:0]", True),
        ("-A INPUT -j ufw-user-input", True),
        ("-A INPUT -j NOWHERE", False),
        ("-A NOWHERE -j ACCEPT", False),
        ("-D INPUT -j ACCEPT", False),
        ("-X ufw-user-input", False),
        ("-F INPUT", False),
    ],
)
def test_iptables_restore_takes_a_table_or_leaves_it(line: str, taken: bool) -> None:
    """A line that is refused leaves everything as it was: what leads nowhere, or is in use, or is not there."""
    here = lab()
    before = here.sh("tkc", "iptables-nft-save").stdout

    reply = here.sh("tkc", "iptables-nft-restore", "--noflush", stdin=f"*filter\n:OTHER - [0:0]\n{line}\nCOMMIT\n")

    assert (reply.status == 0) is taken
    assert (here.sh("tkc", "iptables-nft-save").stdout != before) is taken


def test_nobody_flushes_a_table() -> None:
    """Without --noflush iptables-restore would empty it; only root gets at the rules at all."""
    here = lab()

    assert here.sh("tkc", "iptables-nft-restore", stdin="*filter\nCOMMIT\n").status != 0
    assert here.sh("tkc", "iptables-nft-save", user="thinkube").status != 0
    assert here.sh("tkc", "sysctl", "-w", "net.ipv4.ip_forward=1", user="thinkube").status != 0


@pytest.mark.parametrize(
    ("argv", "status", "told"),
    [
        (("restart", "nothing"), 5, "Failed to restart nothing.service: Unit nothing.service not found.\n"),
        (("enable", "nothing"), 1, "Failed to enable unit: Unit file nothing.service does not exist.\n"),
        (("reset-failed", "nothing"), 1, "Failed to reset failed state of unit nothing.service: Unit nothing.service"),
    ],
)
def test_a_unit_that_does_not_exist_cannot_be_changed(argv: tuple[str, ...], status: int, told: str) -> None:
    """Each verb says so in its own words, with its own status."""
    reply = lab().sh("tkc", "systemctl", *argv)

    assert reply.status == status
    assert str(reply.stderr).startswith(told)


def test_sysctl_reads_what_it_can() -> None:
    """A family that the kernel does not have keeps no other from being read."""
    reply = lab().sh("tkc", "sysctl", "net.nothing", "net.ipv4.ip_forward")

    assert (reply.status, reply.stdout) == (1, "net.ipv4.ip_forward = 0\n")
    assert "cannot stat /proc/sys/net/nothing" in str(reply.stderr)
