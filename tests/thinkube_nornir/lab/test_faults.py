"""Faults that can be put into a lab host's link and disk, and taken out again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import paramiko
import pytest

from tests.light_lab import RunningLab, eventually, run
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.lab.client import lab_fault

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def mended(lab: RunningLab) -> Iterator[None]:
    yield
    lab_fault(lab.config, "tkc", "none")


def reachable(lab: RunningLab, host: str = "tkc") -> bool:
    try:
        with lab.connected(host) as client:
            return run(client, "true").status == 0
    except (OSError, paramiko.SSHException, EOFError):
        return False


def cut_while_running(lab: RunningLab, kind: str, command: str = "sleep 30", **details: float) -> bool:
    """Whether the connection of a running command ended by the fault."""
    with lab.connected("tkc") as client:
        transport = client.get_transport()
        assert transport is not None
        _, out, _ = client.exec_command(command, timeout=20)
        lab_fault(lab.config, "tkc", kind, **details)
        while out.read(65536):
            pass
        return eventually(lambda: not transport.is_active())


def test_a_dead_host_refuses_and_others_do_not_care(lab: RunningLab) -> None:
    """Until it is mended; its disk is as it was."""
    lab.ssh("tkc", "touch /etc/kept")
    lab_fault(lab.config, "tkc", "dead")

    with pytest.raises(OSError, match="connect"), lab.connected("tkc"):
        pass
    assert reachable(lab, "tkw1")
    lab_fault(lab.config, "tkc", "none")
    assert lab.ssh("tkc", "ls /etc/kept").status == 0


def test_a_cut_link_ends_open_connections_only(lab: RunningLab) -> None:
    """The command loses its connection; the next one finds the host."""
    assert cut_while_running(lab, "cut")
    assert reachable(lab)


def test_a_link_can_be_cut_after_a_count_of_bytes(lab: RunningLab) -> None:
    """In the middle of an answer, wherever that is."""
    assert cut_while_running(lab, "cut", "yes", count=100_000)


def test_a_killed_ssh_server_is_back_after_a_while(lab: RunningLab) -> None:
    """As systemd restarts it: sessions are lost, connections refused, then taken again."""
    assert cut_while_running(lab, "sshd", seconds=1.0)
    assert not reachable(lab)
    assert eventually(lambda: reachable(lab))


def test_a_silent_host_takes_connections_and_says_nothing(lab: RunningLab) -> None:
    """Only a deadline helps; once it is mended an open connection goes on."""
    with lab.connected("tkc") as client:
        transport = client.get_transport()
        assert transport is not None
        lab_fault(lab.config, "tkc", "silent")
        with pytest.raises(paramiko.SSHException):
            transport.open_session(timeout=0.3)
        lab_fault(lab.config, "tkc", "none")

        assert run(client, "echo again").text == "again"


def test_a_slow_link_delays_both_directions(lab: RunningLab) -> None:
    """A round trip takes at least twice the delay."""
    with lab.connected("tkc") as client:
        lab_fault(lab.config, "tkc", "slow", seconds=0.2)
        began = time.monotonic()
        run(client, "true")

        assert time.monotonic() - began >= 0.4


def test_a_full_disk_takes_nothing_more(lab: RunningLab) -> None:
    """Not in /etc, /var, a home, /tmp or /usr; /run is another disk; mended, all works again."""
    lab_fault(lab.config, "tkc", "full")
    for path in ("/etc/x", "/var/lib/x", "~/x", "/tmp/x", "/usr/local/bin/x"):  # noqa: S108 - in the host
        answer = lab.ssh("tkc", f"LC_ALL=C cp /usr/bin/true {path}")
        assert answer.status != 0, path
        assert b"No space left on device" in answer.stderr
    assert lab.ssh("tkc", "echo text > /run/x").status == 0

    lab_fault(lab.config, "tkc", "none")
    assert lab.ssh("tkc", "echo text > /etc/x && cat /etc/x").text == "text"


@pytest.mark.parametrize(("host", "kind", "word"), [("nobody", "dead", "bcn1, tkc, tkw1"), ("tkc", "flood", "silent")])
def test_an_unknown_host_or_fault_is_an_error(lab: RunningLab, host: str, kind: str, word: str) -> None:
    """The error names those there are."""
    with pytest.raises(ThinkubeError) as raised:
        lab_fault(lab.config, host, kind)

    assert word in raised.value.fix
