"""Each precondition seen to fail on the lab: broken on a bare host, found by a plan, mended, and gone again."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tasks.shared.microk8s.node import PRECONDITIONS
from tests.promises.conftest import Labs
from tests.promises.lab_project import WORKERS, LabProject, Place

pytestmark = pytest.mark.lab

HOST = "tkw1"


@dataclass(frozen=True)
class Lack:
    breaks: str
    """A command, as root."""
    mends: str
    red: tuple[str, ...]
    says: str


def _file(path: str, breaks: str, says: str, *red: str) -> Lack:
    return Lack(f"cp {path} {path}.kept; {breaks.format(path)}", f"mv {path}.kept {path}", red, says)


LACKS = (
    _file("/etc/os-release", "sed -i s/24.04/20.04/ {}", "Ubuntu 20.04", "system_is_supported"),
    Lack(
        "umount /dev/kmsg && rm /dev/kmsg",
        "touch /dev/kmsg && mount --bind /dev/null /dev/kmsg",
        ("kernel_log_is_there",),
        "container",
    ),
    Lack("systemctl stop snapd.socket", "systemctl start snapd.socket", ("snapd_is_up",), "snapd.socket is inactive"),
    Lack(
        "hostnamectl set-hostname tkw_1",
        "hostnamectl set-hostname tkw1.home.example",
        ("node_name_is_valid",),
        "never be registered",
    ),
    Lack("ufw --force enable", "ufw disable", ("firewall_lets_nodes_in",), "10250/tcp from tkc (192.168.1.110)"),
    _file(
        "/etc/environment",
        "echo HTTPS_PROXY=http://proxy.home.example:3128 >>{}",
        "10.1.0.0/16",
        *("proxy_spares_the_cluster", "registries_answer"),
    ),
    _file("/etc/hosts", "echo 10.9.9.9 api.snapcraft.io >>{}", "api.snapcraft.io: unreachable", "snap_store_answers"),
    _file("/etc/hosts", "echo 10.9.9.9 registry.k8s.io >>{}", "registry.k8s.io: curl: (28)", "registries_answer"),
)
OF_THE_INVENTORY = {
    "memory_suffices": "0.5 GB",
    "disk_has_room": "12.0 GB",
    "snapd_is_recent": "2.57.6",
    "sudo_suits_the_channel": "sudo-rs 0.2.13",
}
"""What the lab has from the inventory, to what is said of it."""
SEEN_ELSEWHERE = {"node_is_no_copy", "lan_ip_carries_the_default_route", "ports_are_free", "clock_is_right"}
"""Two hosts are needed, or what the lab does not let anybody break: tests/tasks/shared/hosts has it."""


@pytest.fixture(scope="module")
def bare(labs: Labs) -> LabProject:
    return labs()


def test_every_precondition_is_broken_somewhere() -> None:
    """A new one needs an entry."""
    broken = {check for lack in LACKS for check in lack.red} | OF_THE_INVENTORY.keys() | SEEN_ELSEWHERE
    assert broken == {step.name for step in PRECONDITIONS.steps}


def _place(check: str) -> Place:
    return WORKERS, check, HOST


@pytest.mark.parametrize("lack", LACKS, ids=lambda lack: f"{lack.red[0]}-{lack.says[:12]}")
def test_what_a_host_lacks_is_found(bare: LabProject, lack: Lack) -> None:
    """By a plan already, on this host alone, with what was seen and a fix; nothing would be changed there."""
    bare.ssh(HOST, lack.breaks)
    try:
        ended = bare("plan", "phase5")
    finally:
        bare.ssh(HOST, lack.mends)

    assert ended.code == 1
    assert ended.places("failed") == {_place(check) for check in lack.red}
    error = ended.error(_place(lack.red[0]))
    assert lack.says in error["why"]
    assert error["fix"]
    assert HOST not in {host for _, _, host in ended.places("planned")}
    assert "tkc" in {host for _, _, host in ended.places("planned")}


def test_the_bare_lab_is_sound_again(bare: LabProject) -> None:
    """What was broken above is mended."""
    assert bare("plan", "phase5").code == 3


def test_what_the_inventory_makes_of_a_host_is_found(labs: Labs) -> None:
    """Too small, too old, and sudo-rs with a channel that cannot do with it."""
    channel = {"microk8s_channel": "1.34/stable", "gpu_operator_version": "v25.3.4"}
    poor = {"memory": "512MB", "disk_size": "20GB", "lab_snapd": "2.57.6", "lab_sudo_rs": True}
    project = labs(tkc=channel, bcn1=channel, tkw1={**channel, **poor})

    ended = project("plan", "phase5")

    assert ended.places("failed") == {_place(check) for check in OF_THE_INVENTORY}
    for check, says in OF_THE_INVENTORY.items():
        assert says in ended.error(_place(check))["why"], check


def test_sudo_rs_does_as_well_as_sudo_with_a_channel_that_can(labs: Labs) -> None:
    """The connection's root shells, the password, and the join."""
    modern = {"microk8s_channel": "1.35/stable", "lab_sudo_rs": True}
    project = labs(tkc=modern, bcn1=modern, tkw1=modern)

    assert project("run", "phase5").code == 0


def test_copies_of_one_machine_are_found(bare: LabProject) -> None:
    """The one that is checked last hears of it, whichever that is."""
    kept = bare.ssh("bcn1", "cat /etc/machine-id").text
    bare.ssh("bcn1", f"echo {bare.ssh(HOST, 'cat /etc/machine-id').text} >/etc/machine-id")
    try:
        ended = bare("plan", "phase5")
    finally:
        bare.ssh("bcn1", f"echo {kept} >/etc/machine-id")

    failed = ended.places("failed")
    assert failed
    assert failed <= {(WORKERS, "node_is_no_copy", host) for host in ("bcn1", HOST)}
