"""The network namespace of a full lab: its bridges, and how this process gets into it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.full_lab.layout import Network
from thinkube_nornir.full_lab.programs import call

_NAMED = Path("/run/netns")
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of linux/sched.h


def exists(name: str) -> bool:
    return (_NAMED / name).exists()


def create(name: str, networks: Sequence[Network]) -> None:
    """Make the namespace with its bridges, where they are not there yet. It has no way out: no route leaves it."""
    if not exists(name):
        call("ip", "netns", "add", name)
    call("ip", "-n", name, "link", "set", "lo", "up")
    # as a router says it that knows no way: at once, where a dropped packet would be waited for
    call("ip", "-n", name, "route", "replace", "unreachable", "default", "metric", "4242")
    call("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0")
    for network in networks:
        if call("ip", "-n", name, "link", "show", network.name, accept=(0, 1)).returncode:
            call("ip", "-n", name, "link", "add", network.name, "type", "bridge")
        call("ip", "-n", name, "address", "replace", network.address, "dev", network.name)
        call("ip", "-n", name, "link", "set", network.name, "up")


def remove(name: str) -> None:
    """The bridges go with it."""
    if exists(name):
        call("ip", "netns", "delete", name)


def enter(name: str) -> None:
    """Put this thread, and those it starts, into the namespace: what they connect to is in the lab from now on.

    Raises:
        ThinkubeError: this is not root.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with (_NAMED / name).open("rb") as namespace:
        if libc.setns(namespace.fileno(), _NEW_NETWORK):
            why = os.strerror(ctypes.get_errno())
            raise ThinkubeError("cannot enter the network of the full lab", why=why, fix="run it as root")
