"""Parsers of what a machine says of itself, on recorded output."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.shared.hosts.firewall import Firewall, parse_ufw
from tasks.shared.hosts.host_facts import (
    Room,
    System,
    parse_memory,
    parse_os_release,
    parse_room,
    parse_snapd_version,
    parse_sudo,
)
from tasks.shared.hosts.proxies import parse_environment
from thinkube_nornir.command import Command, Completed

RECORDED = Path(__file__).parent / "recorded"
UBUNTU = """\
PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
HOME_URL="https://www.ubuntu.com/"
"""
FREE = """\
               total        used        free      shared  buff/cache   available
Mem:     25276502016  1400115200 20429025280    70057984  3832680448 23876386816
Swap:              0           0           0
"""
LAN_CARD, TKC, TKW1 = "br0", "192.168.1.110", "192.168.1.111"


def _said(text: str, status: int = 0) -> Completed:
    return Completed(Command(("x",)), status, text.encode(), b"")


def test_os_release_is_read_by_its_keys() -> None:
    """ID and VERSION_ID decide; a missing file is no system."""
    assert parse_os_release(_said(UBUNTU)) == System("ubuntu", "24.04", "Ubuntu 24.04.3 LTS")
    assert parse_os_release(_said("ID=arch\n")) == System("arch", "", "arch")
    assert parse_os_release(_said("", 1)) is None


@given(st.text())
def test_os_release_may_be_anything(text: str) -> None:
    """A broken file is an unknown system and no traceback."""
    assert parse_os_release(_said(text)) is not None


def test_snapd_version_is_the_daemons() -> None:
    """The client's own row is not it; a daemon that does not run is `unavailable`."""
    table = "snap    2.66.1+24.04\nsnapd   2.65\nseries  16\nubuntu  24.04\nkernel  6.8.0-31-generic\n"

    assert parse_snapd_version(_said(table)) == "2.65"
    assert parse_snapd_version(_said("snap    2.66.1\nsnapd   unavailable\nseries  -\n")) == ""
    assert parse_snapd_version(_said("", 127)) == ""


def test_sudo_is_named_by_its_first_line() -> None:
    """Recorded from sudo 1.9.13 and sudo-rs 0.2.8."""
    assert (
        parse_sudo(_said("Sudo version 1.9.13p3\nSudoers policy plugin version 1.9.13p3\n")) == "Sudo version 1.9.13p3"
    )
    assert parse_sudo(_said("sudo-rs 0.2.8\n")) == "sudo-rs 0.2.8"
    assert parse_sudo(_said("", 127)) == ""


def test_room_is_that_of_the_first_path_that_exists() -> None:
    """Mount points may have spaces; an absent path has no row."""
    assert parse_room(_said("      Avail Mounted on\n81986625536 /\n", 1)) == Room(81986625536, "/")
    assert parse_room(_said(" Avail Mounted on\n  500 /var/snap here\n81986625536 /\n")) == Room(500, "/var/snap here")
    assert parse_room(_said("", 1)) is None


def test_memory_is_the_total() -> None:
    """Not what is free, and not swap."""
    assert parse_memory(_said(FREE)) == 25276502016


def _recorded(name: str) -> Firewall:
    return parse_ufw(_said((RECORDED / f"ufw-{name}.txt").read_text()))


@pytest.mark.parametrize(
    ("recorded", "source", "port", "protocol", "interface", "open_"),
    [
        ("rules", TKW1, 16443, "tcp", LAN_CARD, True),
        ("rules", "192.168.1.50", 25000, "tcp", LAN_CARD, True),
        ("rules", "192.168.2.1", 25000, "tcp", LAN_CARD, True),  # anybody may
        ("rules", "192.168.2.1", 4789, "udp", LAN_CARD, False),
        ("rules", "192.168.2.1", 4789, "udp", "vxlan.calico", True),
        ("rules", "192.168.2.1", 10250, "tcp", LAN_CARD, True),
        ("rules", "192.168.2.1", 10250, "tcp", "eth1", False),
        ("rules", "10.9.9.9", 19001, "tcp", LAN_CARD, False),
        ("rules", TKW1, 19001, "tcp", LAN_CARD, True),  # this host may do all
        ("rules", "192.168.2.1", 10257, "tcp", LAN_CARD, True),
        ("rules", "192.168.2.1", 2222, "tcp", LAN_CARD, False),  # a limit is none of ours
        ("rules", "192.168.2.1", 31000, "tcp", LAN_CARD, True),
        ("rules", "192.168.2.1", 31000, "udp", LAN_CARD, False),
        ("rules", "192.168.2.1", 16443, "tcp", LAN_CARD, True),  # to this address
        ("applications", TKW1, 16443, "tcp", LAN_CARD, True),
        ("applications", TKW1, 10250, "tcp", LAN_CARD, True),
        ("applications", TKW1, 4789, "udp", LAN_CARD, True),
        ("applications", "192.168.1.5", 1, "tcp", LAN_CARD, True),
        ("applications", "192.168.1.5", 16443, "udp", LAN_CARD, True),  # all UDP to this address
        ("applications", "192.168.2.1", 1, "tcp", LAN_CARD, False),
        ("applications", "192.168.1.7", 1, "tcp", LAN_CARD, True),
        ("applications", "192.168.1.7", 1, "tcp", "eth1", False),
        ("applications", "192.168.2.1", 80, "tcp", LAN_CARD, True),
        ("applications", "192.168.2.1", 19001, "tcp", LAN_CARD, False),
    ],
)
def test_ufw_as_recorded(recorded: str, source: str, port: int, protocol: str, interface: str, open_: bool) -> None:
    """Recorded from UFW 0.36.2, with rules of all kinds: the first one that fits decides."""
    assert _recorded(recorded).lets_in(source, TKC, port, protocol, interface) is open_


def test_every_ipv4_rule_for_what_comes_in_is_read() -> None:
    """A form that is not understood would be missed here; rules for certain source ports open nothing for us."""
    assert [len(_recorded(name).rules) for name in ("rules", "applications")] == [13, 10]
    assert _recorded("rules").rules[1].source == IPv4Network("192.168.1.0/24")


def test_ufw_that_is_not_active_keeps_nobody_out() -> None:
    """Inactive, not installed, or not even asked."""
    for said in (_said("Status: inactive\n"), _said("", 127)):
        assert parse_ufw(said).lets_in(TKW1, TKC, 1, "tcp", LAN_CARD)


def test_default_policies_of_ufw() -> None:
    """Deny and reject keep out, allow lets in, where no rule fits."""
    for policy, open_ in (("deny", False), ("reject", False), ("allow", True)):
        text = f"Status: active\nLogging: on (low)\nDefault: {policy} (incoming), allow (outgoing), disabled (routed)\n"
        assert parse_ufw(_said(text)).lets_in(TKW1, TKC, 1, "tcp", LAN_CARD) is open_


def test_environment_names_proxies_in_both_cases() -> None:
    """Capitals come first, as for Go; quotes and `export` are no part of the value."""
    text = 'export HTTPS_PROXY="http://a:1"\nhttps_proxy=http://b:2\nno_proxy=" .svc, 10.1.0.0/16,example.org,*.lan "\n'

    proxies = parse_environment(_said(text))

    assert proxies.https is not None
    assert proxies.https.reveal() == "http://a:1"
    assert proxies.http is None
    assert proxies.exceptions == (".svc", "10.1.0.0/16", "example.org", "*.lan")
    assert not proxies.uses_for_network("10.1.0.0/16")
    assert not proxies.uses_for_network("10.1.4.0/24")
    assert proxies.uses_for_network("10.0.0.0/8")
    assert proxies.uses_for_address("192.168.1.1")
    assert not proxies.uses_for_names_below("svc")
    assert not proxies.uses_for_names_below("www.example.org")
    assert not proxies.uses_for_names_below("lan")
    assert proxies.uses_for_names_below("org")
    assert not parse_environment(_said("no_proxy=x\n")).uses_for_address("192.168.1.1")
