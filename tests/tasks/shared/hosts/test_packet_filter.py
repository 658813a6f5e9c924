"""Chains of Kubernetes and Calico are taken out of what iptables-save printed; everything else stays, to the letter."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from nornir.core.task import Result, Task

from tasks.shared.hosts.packet_filter import chains, removal, remove_rules
from tests.fake_host import FakeHost, Reply
from thinkube_nornir.outcome import Outcome, outcome_of

FOREIGN = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER-USER - [0:0]
:ufw-user-input - [0:0]
-A INPUT -j ufw-user-input
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j RETURN
-A ufw-user-input -p tcp -m tcp --dport 22 -m comment --comment "my -j KUBE-FIREWALL note" -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
"""
CLUSTER = """\
*filter
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:cali-INPUT - [0:0]
:cali-FORWARD - [0:0]
:cali-wl-to-host - [0:0]
-I INPUT -m comment --comment "cali:Cz_u1IQiXIMmKD4c" -j cali-INPUT
-A INPUT -m conntrack --ctstate NEW -m comment --comment "service portals" -j KUBE-EXTERNAL-SERVICES
-A INPUT -j KUBE-FIREWALL
-I FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD
-A FORWARD -m comment --comment "cali:S93hcgKJrXEqnTfs" -m comment --comment "was accepted" -j ACCEPT
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A cali-INPUT -i cali+ -m comment --comment "cali:FewJpBykm9iJ-YNH" -g cali-wl-to-host
-A cali-wl-to-host -m comment --comment "cali:Ee9Sbo10IpVujdIY" -j ACCEPT
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-TCOU7JCQXEZGVUNU - [0:0]
:cali-PREROUTING - [0:0]
-A PREROUTING -m comment --comment "cali:6gwbT8clXdHdC1b1" -j cali-PREROUTING
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.152.183.10/32 -p udp -m udp --dport 53 -j KUBE-SVC-TCOU7JCQXEZGVUNU
COMMIT
"""
SAVES = ("iptables-nft-save", "iptables-legacy-save", "ip6tables-nft-save", "ip6tables-legacy-save")


def _merged() -> str:
    """Both together as iptables-save would print them."""
    return FOREIGN.replace(
        "COMMIT\n*nat", CLUSTER.split("*nat")[0].split("*filter\n")[1].replace("-I ", "-A ") + "*nat"
    ).replace("-o docker0 -j MASQUERADE\nCOMMIT\n", "-o docker0 -j MASQUERADE\n" + CLUSTER.split("*nat\n")[1])


def test_nothing_is_to_be_done_without_a_cluster() -> None:
    """Names in comments are no chains."""
    assert (chains(FOREIGN), removal(FOREIGN), removal("")) == ((), "", "")


def test_only_theirs_is_named() -> None:
    """Chains are emptied before they are deleted, rules in others' chains go by target or mark."""
    text = removal(_merged()).splitlines()

    assert [line for line in text if line.startswith("*") or line == "COMMIT"] == [
        "*filter",
        "COMMIT",
        "*nat",
        "COMMIT",
    ]
    assert {line.split()[0][1:] for line in text if line.startswith(":")} == set(chains(_merged()))
    assert [line for line in text if line.startswith("-D INPUT")] == [
        '-D INPUT -m comment --comment "cali:Cz_u1IQiXIMmKD4c" -j cali-INPUT',
        '-D INPUT -m conntrack --ctstate NEW -m comment --comment "service portals" -j KUBE-EXTERNAL-SERVICES',
        "-D INPUT -j KUBE-FIREWALL",
    ]
    assert not any("ufw" in line or "DOCKER" in line or line.startswith("-F") for line in text)


def test_what_was_there_before_stays() -> None:
    """Another Kubernetes' chains, and Calico's marks when Calico was there."""
    kept = [name for name in chains(_merged()) if name.startswith("cali-")]

    text = removal(_merged(), kept)

    assert "cali" not in text
    assert "-X KUBE-SERVICES" in text
    assert removal(_merged(), chains(_merged())) == ""


def _step(task: Task) -> Result:
    return remove_rules(task, {"iptables-nft": ()})


def test_each_filter_is_changed_by_its_own_tool() -> None:
    """With the rules on stdin; where there is none of a kind, nothing is done."""
    answers = {name: Reply(127) for name in SAVES} | {"iptables-legacy-save": FOREIGN, "iptables-nft-save": _merged()}
    host = FakeHost(answers={**answers, "iptables-nft-restore": ""})

    result = host.apply(_step)

    assert outcome_of(result) is Outcome.CHANGED
    assert host.altering == ["iptables-nft-restore --noflush --wait=30"]
    assert next(c for c in host.commands if c.alters).stdin.decode() == removal(_merged()) + "\n"


def test_a_host_without_iptables_says_what_stays() -> None:
    """The snap brought an iptables of its own, and took it along."""
    host = FakeHost(answers={name: Reply(127) for name in SAVES})

    result = host.apply(_step)

    assert outcome_of(result) is Outcome.UNCHANGED
    assert "until the next boot" in str(result.result)


INSIDE = """
import subprocess, sys
from tasks.shared.hosts.packet_filter import removal
from tasks.lab import packet_filter
from tasks.lab.state import machine
from tests.tasks.lab.fake_lab import lab
from tests.tasks.shared.hosts.test_packet_filter import CLUSTER, FOREIGN

def restore(text, *options):
    subprocess.run([f"{sys.argv[1]}-restore", *options], input=text, text=True, check=True)

def saved():
    done = subprocess.run([f"{sys.argv[1]}-save"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if not line.startswith("#")]

def emulated():
    host = lab().hosts["tkc"]
    machine(host).filters.clear()
    for text in (FOREIGN, CLUSTER):
        packet_filter.restore(host, sys.argv[1], text)
    return packet_filter.saved(machine(host).filters[sys.argv[1]])

restore(FOREIGN)
before = saved()
restore(CLUSTER, "--noflush")
assert len(saved()) > len(before)
assert sorted(saved()) == sorted(emulated()), set(saved()) ^ set(emulated())
restore(removal("\\n".join(saved())) + "\\n", "--noflush", "--wait=30")
print(*sorted(set(before) ^ set(saved())), sep="\\n")
assert before == saved()
"""


@pytest.mark.tools
@pytest.mark.parametrize("tool", ["iptables-nft", "iptables-legacy"])
def test_a_real_iptables_is_left_as_it_was(tool: str) -> None:
    """Where the machine has it: others' rules come out to the letter; and the lab's iptables saves the same as it."""
    inside = ("unshare", "--map-root-user", "--net")
    if not shutil.which(tool) or subprocess.run([*inside, f"{tool}-save"], capture_output=True, check=False).returncode:
        pytest.skip(f"no {tool} that works without rights on this machine")

    done = subprocess.run(
        [*inside, sys.executable, "-c", INSIDE, tool], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
