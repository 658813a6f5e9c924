"""What a host must have: each precondition fails on what it exists to catch, and its fix, once done, makes it hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from nornir.core.task import Result, Task

from tasks.phase5_core_services import microk8s_control, microk8s_workers
from tasks.shared.microk8s.node import PRECONDITIONS
from tests.fake_host import Reply
from tests.microk8s_machine import FakeCluster, Machine
from thinkube_nornir.errors import CheckFailed
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.remote import read
from thinkube_nornir.secret import Secret

RECORDED = Path(__file__).parent / "recorded"
UFW = """\
Status: active
Default: deny (incoming), allow (outgoing), disabled (routed)

To                         Action      From
--                         ------      ----
22/tcp                     ALLOW IN    Anywhere
"""
PROXY = (
    "HTTPS_PROXY=http://proxy.example.org:3128\nno_proxy=localhost,10.1.0.0/16,10.152.183.0/24,192.168.1.0/24,.svc\n"
)
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nVERSION_ID="13"\n'
Break = Callable[[Machine], object]


def _set(**values: object) -> Break:
    def broken(machine: Machine) -> None:
        for name, value in values.items():
            setattr(machine, name, value)

    return broken


def _setting(**values: object) -> Break:
    return lambda machine: machine.host.settings.update(values)


def _both(*parts: Break) -> Break:
    return lambda machine: [part(machine) for part in parts]


def _copy(machine: Machine) -> None:
    machine.machine_id = "tkw1"


def _same_name(machine: Machine) -> None:
    machine.hostname = "tkw1.example.org"


FAULTS: dict[str, list[tuple[Break, str]]] = {
    "system_is_supported": [
        (_set(os_release=DEBIAN), "Debian GNU/Linux 13 (trixie)"),
        (_set(os_release='ID=ubuntu\nVERSION_ID="20.04"\n'), "supported are Ubuntu 22.04"),
        (_set(os_release="ID=linuxmint\nID_LIKE=ubuntu\nVERSION_ID=24.04\n"), "linuxmint 24.04"),
        (_set(os_release=""), "no /etc/os-release"),
    ],
    "kernel_log_is_there": [(_set(kernel_log=False), "container")],
    "snapd_is_up": [(lambda m: m.units.update({"snapd.socket": "inactive"}), "inactive")],
    "snapd_is_recent": [
        (_set(snapd="2.57.6+22.04"), "2.57.6"),
        (_set(snapd="unavailable"), "does not say"),
        (_set(snapd="2.9"), "2.9"),
    ],
    "sudo_suits_the_channel": [
        (_both(_set(sudo="sudo-rs 0.2.8\n"), _setting(microk8s_channel="1.32/stable")), "sudo-rs 0.2.8"),
        (_both(_set(sudo="sudo-rs 0.2.14\n"), _setting(microk8s_channel="1.34/stable")), "sudo -E"),
    ],
    "node_name_is_valid": [
        (_set(hostname="node_1"), "never be registered"),
        (_set(hostname="-node"), "never be registered"),
        (_set(hostname="node..example.org"), "never be registered"),
        (_set(hostname="n" * 64), "63 at most"),
    ],
    "node_is_no_copy": [(_copy, "DHCP"), (_same_name, "tkw1.example.org")],
    "disk_has_room": [(_set(free_disk=19 * 10**9), "19.0 GB"), (_setting(node_disk="1TB"), "50.0 GB")],
    "memory_suffices": [(_set(memory=19 * 10**8), "1.9 GB"), (_setting(node_memory="16GB"), "8.0 GB")],
    "clock_is_right": [(_set(skew=120.0), "at most 30 s"), (_set(skew=-120.0), "at most 30 s")],
    "lan_ip_carries_the_default_route": [
        (_set(source="192.168.100.10"), "becomes its address"),
        (_setting(lan_ip="192.168.1.9"), "seen: br0"),
    ],
    "ports_are_free": [(lambda m: m.ports.add(25000), "another Kubernetes")],
    "firewall_lets_nodes_in": [
        (_set(firewall=Reply(0, UFW)), "16443/tcp from tkw1 (192.168.1.111)"),
        (_set(firewall=Reply(0, UFW + "16443,25000,10250/tcp      ALLOW IN    192.168.1.0/24\n")), "4789/udp"),
        (_set(firewall=Reply(0, UFW + "Anywhere                   ALLOW IN    192.168.2.0/24\n")), "16443/tcp"),
        (_set(firewall=Reply(0, UFW + "Anywhere on eth9           ALLOW IN    Anywhere\n")), "16443/tcp"),
        (_set(firewall=Reply(0, UFW + "Anywhere                   LIMIT IN    Anywhere\n")), "16443/tcp"),
        (
            _set(
                firewall=Reply(
                    0, UFW + "16443                      DENY IN     192.168.1.111\nAnywhere ALLOW IN Anywhere\n"
                )
            ),
            "16443/tcp from tkw1",
        ),
    ],
    "proxy_spares_the_cluster": [
        (_set(environment=PROXY.replace("10.152.183.0/24,", "")), "10.152.183.0/24"),
        (_set(environment=PROXY.replace(",192.168.1.0/24", "")), "192.168.1.0/24"),
        (_set(environment=PROXY.replace(",.svc", "")), ".svc"),
        (_set(environment="http_proxy=http://proxy:3128\n"), "10.1.0.0/16"),
    ],
    "snap_store_answers": [
        (
            _set(
                store=Reply(
                    1,
                    "Connectivity status:\n * api.snapcraft.io: unreachable\n",
                    "error: 1 servers unreachable\n",
                )
            ),
            "api.snapcraft.io: unreachable",
        )
    ],
    "registries_answer": [
        (
            _set(curl=Reply(6, stderr="curl: (6) Could not resolve host: registry-1.docker.io\n")),
            "Could not resolve host: registry-1.docker.io",
        ),
        (_set(curl=Reply(127, stderr="sh: curl: not found\n")), "curl is not installed"),
    ],
}


def _read_facts(task: Task) -> Result:
    assert PRECONDITIONS.facts
    read(task, *PRECONDITIONS.facts(task))
    return unchanged(task, "read")


def _check(cluster: FakeCluster, host: str = "tkc") -> dict[str, BaseException | None]:
    """Both hosts have been read before, as all hosts are at the start of a run."""
    context = cluster.context(host)
    for machine in cluster.machines.values():
        machine.host.apply(_read_facts, context=context)
    own = cluster.machines[host].host
    return {step.name: own.apply(step.function, context=context).exception for step in PRECONDITIONS.steps}


def test_all_hold_on_a_sound_host() -> None:
    """Control plane and worker alike."""
    for host in ("tkc", "tkw1"):
        assert {n: str(e) for n, e in _check(FakeCluster(), host).items() if e} == {}


def test_every_precondition_has_a_fault() -> None:
    """A check that nobody has seen fail is no check; and both components have all of them, early."""
    assert FAULTS.keys() == {step.name for step in PRECONDITIONS.steps}
    for component in (microk8s_control.COMPONENT, microk8s_workers.COMPONENT):
        assert component.preconditions.steps == PRECONDITIONS.steps
    assert all(step.early for step in PRECONDITIONS.steps)


@pytest.mark.parametrize(
    ("check", "fault", "says"),
    [pytest.param(c, f, says, id=f"{c}-{i}") for c, fs in FAULTS.items() for i, (f, says) in enumerate(fs)],
)
def test_each_fails_on_its_fault_alone(check: str, fault: Break, says: str) -> None:
    """It says what was seen and what to do; the others hold."""
    cluster = FakeCluster()
    fault(cluster.machines["tkc"])

    red = {name: error for name, error in _check(cluster).items() if error}

    assert red.keys() == {check}
    error = red[check]
    assert isinstance(error, CheckFailed)
    assert says in error.why
    assert error.what
    assert error.fix


HARMLESS: dict[str, Break] = {
    "sudo-rs with 1.35": _both(_set(sudo="sudo-rs 0.2.8\n"), _setting(microk8s_channel="1.35/stable")),
    "no sudo": _set(sudo=Reply(127)),
    "another system, allowed": _both(_set(os_release=DEBIAN), _setting(allow_unsupported=True)),
    "a small disk, allowed": _both(_set(free_disk=10**9), _setting(node_disk="1GB")),
    "capitals, which the kubelet makes small": _set(hostname="TKC.example.org"),
    "no ufw": _set(firewall=Reply(127, stderr="ufw: not found")),
    "an open default": _set(firewall=Reply(0, UFW.replace("deny (incoming)", "allow (incoming)"))),
    "a proxy": _set(environment=PROXY),
    "a proxy for nothing": _set(environment="https_proxy=http://proxy:3128\nno_proxy=*\n"),
    "no registry": _both(_set(curl=Reply(6)), _setting(registries=[])),
    "MicroK8s already": _set(
        channel="1.35/stable", free_disk=1, ports={16443}, store=Reply(1), curl=Reply(6), leftovers=True
    ),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_what_does_no_harm_is_let_pass(what: str) -> None:
    """A check that is too strict keeps sound hosts out."""
    cluster = FakeCluster()
    HARMLESS[what](cluster.machines["tkc"])

    assert {n: str(e) for n, e in _check(cluster).items() if e} == {}


@pytest.mark.parametrize("host", ["tkc", "tkw1"])
def test_the_commands_of_the_fix_open_the_firewall(host: str) -> None:
    """What the fix says, as UFW shows it afterwards: in front of a rule that denies, and the check holds."""
    cluster = FakeCluster()
    machine = cluster.machines[host]
    denied = UFW + "Anywhere                   DENY IN     192.168.1.0/24\n"
    machine.firewall = Reply(0, denied)
    error = _check(cluster, host)["firewall_lets_nodes_in"]
    assert isinstance(error, CheckFailed)
    ports = {"tkc": "10250,16443,25000", "tkw1": "10250"}[host]

    assert error.fix.split("; ") == [
        f"ufw prepend allow from 192.168.1.0/24 to any port {ports} proto tcp",
        "ufw prepend allow from 192.168.1.0/24 to any port 4789 proto udp",
    ]
    opened = f"4789/udp                   ALLOW IN    192.168.1.0/24\n{ports}/tcp      ALLOW IN    192.168.1.0/24\n"
    machine.firewall = Reply(0, denied.replace("22/tcp ", f"{opened}22/tcp "))
    assert _check(cluster, host)["firewall_lets_nodes_in"] is None


def test_the_proxys_password_is_in_no_argument_list() -> None:
    """It goes to curl by stdin, and is a secret from then on."""
    cluster = FakeCluster()
    machine = cluster.machines["tkc"]
    machine.environment = PROXY.replace("http://", "http://me:pass-word@")

    _check(cluster)

    asked = [command for command in machine.host.commands if command.argv[0] == "curl"]
    assert asked
    assert not any("pass-word" in str(command) for command in machine.host.commands)
    assert all(b'proxy = "http://me:pass-word@proxy.example.org:3128"' in command.stdin for command in asked)
    assert str(Secret("http://me:pass-word@proxy.example.org:3128")) == "********"


def test_without_a_proxy_curl_takes_none_of_its_own() -> None:
    """A proxy in the login's environment is not what MicroK8s' services would use."""
    cluster = FakeCluster()

    _check(cluster)

    seen = [command for command in cluster.machines["tkc"].host.commands if command.argv[0] == "curl"]
    assert [command.stdin.decode() for command in seen] == [
        f'url = "https://{host}/v2/"\nnoproxy = "*"' for host in ("registry-1.docker.io", "registry.k8s.io")
    ]
