"""known_hosts and what `trust` does with it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.openssh import Server, free_port, needs_sshd, start_sshd
from thinkube_nornir.command import Command
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.remote.host_key_scan import scan
from thinkube_nornir.remote.host_keys import HostKey, Scanned, accept, load_known_hosts

KEY = HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519")
OTHER = HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25518")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


def test_enrolled_keys_are_found_again(tmp_path: Path) -> None:
    """What enrol writes, load_known_hosts reads; what was there stays."""
    path = tmp_path / "state" / "known_hosts"

    accept(path, [Scanned("a", "10.0.0.1", KEY, "new")])
    accept(path, [Scanned("b", "[10.0.0.2]:2222", OTHER, "new")])

    assert load_known_hosts(path) == {"10.0.0.1": (KEY,), "[10.0.0.2]:2222": (OTHER,)}


def test_changed_key_needs_replace(tmp_path: Path) -> None:
    """A changed key is enrolled only when that was asked for by name."""
    path = tmp_path / "known_hosts"
    accept(path, [Scanned("a", "10.0.0.1", KEY, "new")])
    row = Scanned("a", "10.0.0.1", OTHER, "changed", (KEY,))

    assert accept(path, [row]) == []
    assert load_known_hosts(path)["10.0.0.1"] == (KEY,)
    assert accept(path, [row], replace=True) == [row]
    assert load_known_hosts(path)["10.0.0.1"] == (OTHER,)


def test_absent_file_knows_nobody(tmp_path: Path) -> None:
    """Before the first trust there is no file, and no host is known."""
    assert load_known_hosts(tmp_path / "known_hosts") == {}


def test_every_line_that_is_not_understood_is_named(tmp_path: Path) -> None:
    """Markers, hashed names and broken lines are errors with their numbers, never skipped in silence."""
    path = tmp_path / "known_hosts"
    path.write_text("# comment\n\n@revoked h ssh-ed25519 AAAA\n|1|x|y ssh-ed25519 AAAA\nh ssh-ed25519\nh ssh-rsa !!\n")

    with pytest.raises(ConfigError) as caught:
        load_known_hosts(path)

    assert [problem.where for problem in caught.value.problems] == [f"{path}:{n}" for n in (3, 4, 5, 6)]


@pytest.mark.openssh
@needs_sshd
def test_scan_tells_new_known_changed_and_silent(server: Server) -> None:
    """One row for each host; the fingerprint is ssh-keygen's."""
    login = server.login()
    nobody = replace(login, route=replace(login.route, name="nobody", port=free_port()))
    printed = subprocess.run(
        ["ssh-keygen", "-lf", f"{server.folder}/host.pub"], check=True, capture_output=True, text=True
    ).stdout

    states = []
    for prepare in (server.known_hosts.unlink, lambda: server.know("127.0.0.1", key="other"), None):
        if prepare:
            prepare()
        else:
            accept(server.known_hosts, scan([login]), replace=True)
        row, silent = scan([login, nobody])
        states.append(row.state)
        assert row.key is not None
        assert row.key.fingerprint in printed
        assert (silent.state, silent.host) == ("silent", "nobody")
        assert silent.error is not None
        assert "refused" in silent.error.why

    assert states == ["new", "changed", "known"]
    with server.host() as host:
        assert host.execute([Command(("echo", "in"))], timeout=20)[0].text == "in"
