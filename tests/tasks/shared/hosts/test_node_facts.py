"""Parsers of what nodes and MicroK8s print."""

from __future__ import annotations

import pytest

from tasks.shared.cluster.probes import parse_report
from tasks.shared.hosts.node_facts import parse_mounts, parse_ports, units
from tasks.shared.hosts.resolver import parse_global
from tasks.shared.microk8s.facts import parse_status
from thinkube_nornir.command import Command, Completed
from thinkube_nornir.errors import ThinkubeError


def _said(text: str, status: int = 0) -> Completed:
    return Completed(Command(("x",)), status, text.encode(), b"")


def test_status_of_a_worker_is_not_running() -> None:
    """A worker's status exits 0 with prose, and proves nothing."""
    told = _said("This MicroK8s deployment is acting as a node in a cluster.\nPlease use the control plane.\n")

    assert not parse_status(told).running


def test_mounts_come_deepest_first() -> None:
    """They are unmounted in this order."""
    assert parse_mounts(_said("t /a t rw 0 0\nt /a/b/c t rw 0 0\nt /a/b t rw 0 0\n")) == ("/a/b/c", "/a/b", "/a")


def test_ports_are_read_from_addresses_of_both_families() -> None:
    """The port stands behind the last colon."""
    rows = "LISTEN 0 9 127.0.0.53%lo:53 0.0.0.0:*\nLISTEN 0 9 [::]:16443 [::]:*\n"

    assert parse_ports(_said(rows)) == {53, 16443}


def test_a_long_global_list_goes_on_in_the_next_lines() -> None:
    """resolvectl wraps at 80 columns; the routing domain may stand in any of the lines."""
    wrapped = "Global: a.example b.example\n        ~home.example\n        ~c.example\nLink 2 (eth0): ~d.example\n"

    assert parse_global(_said(wrapped)) == ("a.example", "b.example", "~home.example", "~c.example")
    assert parse_global(_said("Global:\nLink 2 (eth0): 8.8.8.8\n")) == ()


def test_global_line_of_resolvectl() -> None:
    """Links' lines are not the global ones."""
    assert parse_global(_said("Global: 192.168.191.1\nLink 2 (eth0): 8.8.8.8\n")) == ("192.168.191.1",)


def test_report_of_a_probe_pod() -> None:
    """The server's own address is no answer; NXDOMAIN and a timeout are told apart."""
    head = "Server:\t\t10.152.183.10\nAddress:\t10.152.183.10:53\n\n"
    log = (
        "nameserver 10.152.183.10\n"
        f"@ a.example\n{head}Name:\ta.example\nAddress: 203.0.113.7\nName:\ta.example\nAddress: 2001:db8::7\n\n"
        f"@ b.example\n{head}** server can't find b.example: NXDOMAIN\n\n"
        "@ c.example\n;; connection timed out; no servers could be reached\n\n"
    )

    report = parse_report(log)

    assert report.resolv_conf == "nameserver 10.152.183.10\n"
    assert report["a.example"].addresses == ("203.0.113.7", "2001:db8::7")
    assert (report["b.example"].addresses, report["b.example"].answered) == ((), True)
    assert (report["c.example"].addresses, report["c.example"].answered) == ((), False)


def test_what_programs_in_a_pod_get_is_read_from_ping() -> None:
    """Its first line names the address, whether that answers or not; lines of several at once come in any order."""
    pinged = (
        "ping: bad address 'c.example'\n"
        "PING b.example. (192.168.1.240): 56 data bytes\n\n--- b.example. ping statistics ---\n"
        "1 packets transmitted, 0 packets received, 100% packet loss\n"
        "PING a.example (2001:db8::7): 56 data bytes\nping: permission denied (are you root?)\n"
    )

    report = parse_report(f"nameserver 10.152.183.10\n@ x\nServer:\t\t10.152.183.10\n@@\n{pinged}")

    assert report.programs == {"a.example": ("2001:db8::7",), "b.example.": ("192.168.1.240",)}


@pytest.mark.parametrize("said", ["", "active\n", "Failed to connect to bus: No such file or directory\n"])
def test_an_empty_answer_of_systemctl_is_named_as_one(said: str) -> None:
    """Which units were asked about, and what it said in place of their states."""
    fact = units("a.service", "b.service")

    with pytest.raises(ThinkubeError, match=r"a\.service, b\.service") as caught:
        fact.parse(_said(said, 1))

    assert (said.strip() or "said: nothing") in caught.value.why
