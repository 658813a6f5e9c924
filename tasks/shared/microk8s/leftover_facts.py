"""What MicroK8s leaves on a host when its snap is removed, and how it is read: before the installation, and after it.

Source: canonical/microk8s@1.35 snap/hooks/install
Source: canonical/microk8s@1.35 snap/hooks/remove
Source: canonical/microk8s@1.35 microk8s-resources/wrappers/run-containerd-with-args
Source: canonical/microk8s@1.35 microk8s-resources/wrappers/run-kubelite-with-args
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nornir.core.task import Task

from tasks.shared.hosts.node_facts import LINKS
from tasks.shared.hosts.packet_filter import SAVED, chains
from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.remote import read

PROFILE = "/etc/apparmor.d/cri-containerd.apparmor.d"
FOLDERS = ("/etc/cni", "/opt/cni")
FORWARDING = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
UFW_RULES = tuple(f"allow {way} on {link}" for link in ("vxlan.calico", "cali+") for way in ("in", "out"))
"""Added by MicroK8s where UFW is active; its hook does not take them away."""


def parse_snaps(done: Completed) -> Mapping[str, str]:
    """Name to notes, of all in `snap list`."""
    rows = [line.split() for line in done.text.splitlines()[1:]] if done.status == 0 else []
    return {row[0]: row[-1] for row in rows if row}


def parse_settings(done: Completed) -> Mapping[str, str]:
    """Lines `key = value` of sysctl."""
    pairs = (line.partition(" = ") for line in done.text.splitlines())
    return {key: value for key, equals, value in pairs if equals}


def parse_lines(done: Completed) -> tuple[str, ...]:
    return tuple(line.strip() for line in done.text.splitlines())


def parse_ufw(done: Completed) -> tuple[str, ...]:
    """Those of MicroK8s' rules that `ufw show added` names; none where there is no UFW."""
    added = {line.strip().removeprefix("ufw ") for line in done.text.splitlines()}
    return tuple(rule for rule in UFW_RULES if rule in added)


def parse_units(done: Completed) -> tuple[str, ...]:
    return tuple(line.split()[0] for line in done.text.splitlines() if line.strip())


SNAPS = Fact("snaps", ("snap", "list"), parse_snaps, accept=None)
SETTINGS = Fact("forwarding", ("sysctl", *FORWARDING), parse_settings, root=True, accept=None)
"""Of the families that the kernel has."""
PLACES = Fact("places of the snap", ("ls", "-d", "--", *FOLDERS, PROFILE), parse_lines, accept=(0, 2))
EMPTY = Fact("empty folders", ("find", *FOLDERS, "-maxdepth", "0", "-type", "d", "-empty"), parse_lines, accept=(0, 1))
CGROUPS = Fact(
    "control groups of pods",
    ("find", "/sys/fs/cgroup", "-maxdepth", "2", "-name", "kubepods*"),
    parse_lines,
    accept=(0, 1),
)
UFW = Fact("rules of UFW", ("ufw", "show", "added"), parse_ufw, root=True, accept=None)
FAILED = Fact(
    "failed units of the snap",
    ("systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", "--state=failed", "snap.microk8s.*"),
    parse_units,
)

BEFORE: tuple[Fact[Any], ...] = (LINKS, SNAPS, SETTINGS, PLACES, CGROUPS, UFW, *SAVED.values())


def noted(task: Task) -> dict[str, Any]:
    """What is there before MicroK8s comes, and is not to go with it."""
    links, snaps, settings, places, cgroups, ufw, *saved = read(task, *BEFORE)
    return {
        "links": sorted(links),
        "snaps": sorted(snaps),
        "settings": dict(settings),
        "places": [*places, *cgroups],
        "ufw": list(ufw),
        "chains": {tool: list(chains(text or "")) for tool, text in zip(SAVED, saved, strict=True)},
    }
