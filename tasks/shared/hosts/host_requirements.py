"""What a machine must be before it may become a node: its system, its name, its size."""

from __future__ import annotations

import re
import time
from typing import Any

from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import expect, is_control_plane
from tasks.shared.hosts.host_facts import KERNEL_LOG, MACHINE_ID, MEMORY, OS, ROOM, SNAPD_VERSION, SUDO, version_of
from tasks.shared.hosts.node_facts import CLOCK, HOSTNAME, units
from tasks.shared.hosts.supported import CONTROL_PLANE_MEMORY, FIRST_WITH_SUDO_RS, SNAPD, UBUNTU, WORKER_MEMORY
from tasks.shared.microk8s.distribution import SNAP
from tasks.shared.settings.values import size_bytes
from thinkube_nornir.command import Fact
from thinkube_nornir.context import hosts_in, known, setting
from thinkube_nornir.outcome import passed
from thinkube_nornir.remote import fresh, read

SNAPD_SOCKET = units("snapd.socket")
NODES = "microk8s"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME = 63  # of the label kubernetes.io/hostname, which the kubelet sets; a node's name alone could be longer
_CLOCK_ERROR = 30.0  # seconds; certificates and join tokens are refused when clocks differ more


def system_is_supported(task: Task) -> Result:
    system = read(task, OS)
    name = system.name if system else "unknown: there is no /etc/os-release"
    if system and system.id == "ubuntu" and system.version in UBUNTU:
        return passed(task, name)
    why = f"it is {name}; supported are Ubuntu {', '.join(UBUNTU)}"
    fix = "install a supported release, or set allow_unsupported: true and expect surprises"
    expect(setting(task, "allow_unsupported", False), "the operating system is not supported", why=why, fix=fix)
    return passed(task, f"{name}, which allow_unsupported lets pass")


def kernel_log_is_there(task: Task) -> Result:
    """Neither MicroK8s' installation nor the kubelet goes on without it.

    Source: canonical/microk8s@1.35 snap/hooks/install
    """
    why = "a container without it cannot run MicroK8s: its installation refuses, and the kubelet does not start"
    fix = "use a virtual machine; a container of LXD's needs the profile of MicroK8s' documentation for LXD"
    expect(read(task, KERNEL_LOG), "there is no /dev/kmsg", why=why, fix=fix)
    return passed(task, "/dev/kmsg is there")


def snapd_is_up(task: Task) -> Result:
    state = read(task, SNAPD_SOCKET)["snapd.socket"]
    why = f"snapd.socket is {state}, expected active"
    fix = "install snapd, or start it: `systemctl enable --now snapd.socket`"
    expect(state == "active", "snapd does not run", why=why, fix=fix)
    return passed(task, "snapd.socket is active")


def snapd_is_recent(task: Task) -> Result:
    version, needed = read(task, SNAPD_VERSION), ".".join(map(str, SNAPD))
    why = f"it is {version}, and cannot hold refreshes" if version else "it does not say its version"
    fix = "`apt-get update && apt-get install --only-upgrade snapd`; or: `snap refresh snapd`"
    expect(version_of(version) >= SNAPD, f"snapd is older than {needed}", why=why, fix=fix)
    return passed(task, f"snapd {version}")


def sudo_suits_the_channel(task: Task) -> Result:
    sudo, channel = read(task, SUDO), setting(task, "microk8s_channel")
    first = ".".join(map(str, FIRST_WITH_SUDO_RS))
    what = f"MicroK8s {channel} does not work with sudo-rs"
    why = f"{sudo} ignores `sudo -E`, on which MicroK8s before {first} relies: joins would fail half-way"
    fix = f"set microk8s_channel: {first}/stable; or: `update-alternatives --set sudo /usr/bin/sudo.ws`"
    expect(not sudo.startswith("sudo-rs") or version_of(channel) >= FIRST_WITH_SUDO_RS, what, why=why, fix=fix)
    return passed(task, sudo or "there is no sudo, and root needs none")


def node_name_is_valid(task: Task) -> Result:
    name = read(task, HOSTNAME)
    what = f"the host name {name} cannot be a node's name"
    why = f"small letters, digits, dashes and dots, {_LONGEST_NAME} at most: the kubelet would never be registered"
    fix = "give the host another name: `hostnamectl set-hostname NAME`, and correct /etc/hosts"
    expect(_NAME.fullmatch(name) and len(name) <= _LONGEST_NAME, what, why=why, fix=fix)
    return passed(task, f"the node will be called {name}")


def node_is_no_copy(task: Task) -> Result:
    """Of what the run knows by now: the later one of two copies is the one that hears of it."""
    copies = _same(task, HOSTNAME)
    why = f"all are called {read(task, HOSTNAME)}, and one would take the other's place in the cluster"
    fix = "give each host a name of its own: `hostnamectl set-hostname NAME`"
    expect(not copies, f"{', '.join(copies)} and {task.host.name} have the same host name", why=why, fix=fix)
    copies = _same(task, MACHINE_ID)
    why = "one was copied from the other; they may get the same address from DHCP, and look alike in the cluster"
    fix = f"on {task.host.name}: `rm /etc/machine-id && systemd-machine-id-setup && reboot`"
    expect(not copies, f"{', '.join(copies)} and {task.host.name} have the same /etc/machine-id", why=why, fix=fix)
    return passed(task, "no other node has its name or machine id")


def _same(task: Task, fact: Fact[str]) -> list[str]:
    """Other nodes with the same value; empty ones are of nobody."""
    nodes, own = {host.name for host in hosts_in(task, NODES)} - {task.host.name}, read(task, fact)
    return sorted(name for name, value in known(task, fact).items() if name in nodes and value == own != "")


def disk_has_room(task: Task) -> Result:
    """Once MicroK8s is installed, its own data takes the room, and the kubelet watches over it."""
    if read(task, SNAP) is not None:
        return passed(task, "MicroK8s is installed already")
    room, needed = read(task, ROOM), setting(task, "node_disk")
    what = f"there is less than {needed} free for images and volumes"
    why = f"{room.mount} has {_gigabytes(room.free)} free" if room else "df says nothing of /var"
    fix = "make room on it, or mount a larger disk at /var/snap; node_disk sets another limit"
    expect(room is not None and room.free >= size_bytes(needed), what, why=why, fix=fix)
    return passed(task, f"{_gigabytes(room.free)} are free on {room.mount}" if room else "")


def memory_suffices(task: Task) -> Result:
    role, least = ("control plane", CONTROL_PLANE_MEMORY) if is_control_plane(task) else ("worker", WORKER_MEMORY)
    memory, needed = read(task, MEMORY), setting(task, "node_memory", least)
    why = f"the host has {_gigabytes(memory)}"
    fix = "give it more, or choose another host; node_memory sets another limit"
    expect(memory >= size_bytes(needed), f"a {role} needs {needed} of memory", why=why, fix=fix)
    return passed(task, f"{_gigabytes(memory)} of memory")


def clock_is_right(task: Task) -> Result:
    error = fresh(task, CLOCK) - time.time()
    why = f"certificates and join tokens are refused when clocks differ; at most {_CLOCK_ERROR:.0f} s are accepted"
    fix = "enable time synchronisation: `timedatectl set-ntp true`"
    expect(abs(error) < _CLOCK_ERROR, f"the clock is {error:+.0f} s away from the controller's", why=why, fix=fix)
    return passed(task, f"the clock is within {_CLOCK_ERROR:.0f} s of the controller's")


def _gigabytes(size: int) -> str:
    return f"{size / 10**9:.1f} GB"


CHECKS = (
    system_is_supported,
    kernel_log_is_there,
    snapd_is_up,
    snapd_is_recent,
    sudo_suits_the_channel,
    node_name_is_valid,
    disk_has_room,
    memory_suffices,
    clock_is_right,
    node_is_no_copy,
)
FACTS: tuple[Fact[Any], ...] = (
    OS, KERNEL_LOG, SNAPD_SOCKET, SNAPD_VERSION, SUDO, HOSTNAME, MACHINE_ID, ROOM, MEMORY, SNAP,
)  # fmt: skip
