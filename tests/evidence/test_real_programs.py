"""Facts read from this machine's own programs: their parsers on what the real ones print, and not what we believe.

What this machine does not have (snapd, NVIDIA's tools) is skipped, with the reason.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tasks
from tasks.shared.gpus import facts as gpu_facts
from tasks.shared.hosts import host_facts, node_facts, resolver
from tasks.shared.hosts.firewall import UFW
from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.remote.file_states import state_at
from thinkube_nornir.resources import accounts
from thinkube_nornir.resources.snapd import WORK
from thinkube_nornir.resources.snaps import snap
from thinkube_nornir.resources.units import changed_at, unit

_BY_ARGUMENT: list[Fact[Any]] = [
    accounts.account("root"),
    accounts.account("nobody-of-this-name"),
    accounts.group("root"),
    accounts.group("no-group-of-this-name"),
    resolver.grep("^Domains=", "/etc/no/such/folder"),
    state_at("/etc/shadow", "root", "shadow"),
    state_at("/etc/no/such-file", "nobody-of-this-name", None),
    changed_at("/etc/passwd", "/etc/no-such-file", "/etc"),
    unit("no-such.service"),
    WORK,
    snap("microk8s"),
    node_facts.units("snapd.socket", "no-such.service"),
    resolver.address_of("localhost"),
]


def _facts() -> Iterator[Fact[Any]]:
    """Those that modules below tasks/ define, and examples of those that take arguments."""
    yield from _BY_ARGUMENT
    for found in pkgutil.walk_packages(tasks.__path__, "tasks."):
        if ".lab" not in found.name:
            module = importlib.import_module(found.name)
            yield from (value for value in vars(module).values() if isinstance(value, Fact) and value.argv)


FACTS = list(dict.fromkeys(_facts()))


def read_here(fact: Fact[Any]) -> Any:
    program = fact.argv[0]
    if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip(f"{program} is not installed")
    if program in ("systemctl", "resolvectl") and not Path("/run/systemd/system").is_dir():
        pytest.skip("systemd does not run here")
    if program == "lsmod" and not Path("/proc/modules").exists():
        pytest.skip("this kernel has no modules")
    if fact.root and os.geteuid():
        pytest.skip("needs root")
    done = subprocess.run(
        list(fact.argv),
        input=fact.stdin,
        capture_output=True,
        check=False,
        timeout=30,
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C"},
    )
    completed = Completed(fact.command, done.returncode, done.stdout, done.stderr)
    assert fact.accept is None or done.returncode in fact.accept, done
    return fact.parse(completed)


@pytest.mark.root
@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name.replace(" ", "-"))
def test_the_fact_is_understood(fact: Fact[Any]) -> None:
    """Exit status and output of the real program are what the fact expects; its parser raises nothing."""
    read_here(fact)


def test_addresses_and_routes_are_those_of_the_kernel() -> None:
    """iproute2's JSON, beside what Python's own calls say."""
    addresses = read_here(node_facts.ADDRESSES)

    assert set(addresses) == {name for _, name in socket.if_nameindex()}
    assert "127.0.0.1" in addresses["lo"]
    route = read_here(node_facts.DEFAULT_ROUTE)
    assert route is None or route.device in addresses


def test_listening_ports_are_seen() -> None:
    """A port that we listen on, on IPv4 and on IPv6."""
    families = [socket.AF_INET, *([socket.AF_INET6] if socket.has_ipv6 else [])]
    with_ports = []
    for family in families:
        listening = socket.socket(family)
        listening.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        listening.listen()
        with_ports.append(listening)
    try:
        assert {s.getsockname()[1] for s in with_ports} <= read_here(node_facts.LISTENING)
    finally:
        for listening in with_ports:
            listening.close()


def test_clock_host_name_and_mounts_are_this_machines() -> None:
    """What coreutils and the kernel say of this machine."""
    assert abs(read_here(node_facts.CLOCK) - time.time()) < 5
    assert read_here(node_facts.HOSTNAME) == socket.gethostname().lower()
    mounts = read_here(node_facts.MOUNTS)
    assert {"/", "/proc"} <= set(mounts)
    assert [m.count("/") for m in mounts] == sorted((m.count("/") for m in mounts), reverse=True)


def test_accounts_are_those_of_getent() -> None:
    """One that is there, and one that is not: status 2 and no line."""
    assert read_here(accounts.account("root")) == accounts.Account("0", "/root", "/bin/bash")
    assert read_here(accounts.account("nobody-of-this-name")) is None
    assert read_here(accounts.group("no-group-of-this-name")) is None


def test_changes_of_files_are_those_of_the_kernel() -> None:
    """coreutils' stat, to the nanosecond; what is not there is left out."""
    found = read_here(changed_at("/etc/passwd", "/etc/no-such-file"))

    assert set(found) == {"/etc/passwd"}
    assert abs(found["/etc/passwd"] - Path("/etc/passwd").stat().st_ctime) < 0.001


def test_room_and_memory_are_numbers_of_this_machine() -> None:
    """procps' and coreutils' columns."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    assert abs(read_here(host_facts.MEMORY) - total) < 0.05 * total
    assert read_here(host_facts.OS) is not None
    assert read_here(host_facts.MACHINE_ID) == Path("/etc/machine-id").read_text().strip()


@pytest.mark.root
def test_a_machine_without_cards_has_none() -> None:
    """pciutils prints nothing, and ends well."""
    assert read_here(gpu_facts.BUS) == ()


@pytest.mark.root
def test_the_firewall_of_a_new_machine_is_off() -> None:
    """ufw, installed and never enabled, says so."""
    assert not read_here(UFW).active


@pytest.fixture
def member() -> Iterator[tuple[str, str]]:
    """A user and a group of this test alone, on this machine; both go again."""
    if os.geteuid() or shutil.which("useradd") is None:
        pytest.skip("needs root and useradd")
    user, group = "thinkube-t-user", "thinkube-t-group"
    for argv in (["useradd", "--no-create-home", user], ["groupadd", group]):
        subprocess.run(argv, check=True, capture_output=True)
    try:
        yield user, group
    finally:
        for argv in (["userdel", "--force", user], ["groupdel", group]):
            subprocess.run(argv, check=False, capture_output=True)


@pytest.mark.root
def test_members_of_a_group_come_and_go(member: tuple[str, str]) -> None:
    """shadow's programs as the components call them: one group is changed, and the user's others stay."""
    user, group = member

    def call(*argv: str) -> int:
        return subprocess.run(argv, check=False, capture_output=True).returncode

    assert call("usermod", "-aG", "users", user) == 0
    assert call("usermod", "-aG", group, user) == 0
    assert read_here(accounts.group(group)) == accounts.Group(frozenset({user}))
    assert call("gpasswd", "--delete", user, group) == 0
    assert read_here(accounts.group(group)) == accounts.Group(frozenset())
    assert user in read_here(accounts.group("users")).members
    assert call("groupdel", group) == 0
    assert read_here(accounts.group(group)) is None
