"""The connection against real OpenSSH."""

from __future__ import annotations

import getpass
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.openssh import Server, free_port, needs_sshd, start_sshd
from thinkube_nornir.command import Command
from thinkube_nornir.errors import Cancelled, DeadlinePassed, ThinkubeError, Unreachable
from thinkube_nornir.remote.connection import SSHHost
from thinkube_nornir.secret import Secret

pytestmark = [pytest.mark.openssh, needs_sshd]

TIMEOUT = 20.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture
def host(server: Server) -> Iterator[SSHHost]:
    server.know("127.0.0.1")
    with server.host() as host:
        text(host, "true")  # connected: deadlines below are the commands'
        yield host


def sh(script: str, *, alters: bool = False) -> Command:
    return Command(("sh", "-c", script), alters=alters)


def alive(pid: str) -> bool:
    """Whether it still runs: a zombie does not, it waits for a parent that may not care."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def text(host: SSHHost, script: str) -> str:
    return host.execute([sh(script)], timeout=TIMEOUT)[0].text


def test_exit_status_and_streams_come_back_apart(host: SSHHost) -> None:
    """Status, stdout and stderr are exact, also when a signal ended the program or it does not exist."""
    done = host.execute(
        [sh("echo out; echo err >&2; exit 3"), sh("kill -9 $$"), Command(("no-such",))], timeout=TIMEOUT
    )

    assert [(d.status, d.stdout) for d in done] == [(3, b"out\n"), (137, b""), (127, b"")]
    assert done[0].stderr == b"err\n"


def test_binary_stdin_and_ten_megabytes_come_back(host: SSHHost) -> None:
    """Every byte value survives both ways, also in bulk and without a final newline."""
    data = bytes(range(256)) * 40_000

    assert host.execute([Command(("cat",), stdin=data)], timeout=60)[0].stdout == data


def test_terminal_is_not_allocated(host: SSHHost) -> None:
    """No PTY: programs neither colour nor page, and secrets are not echoed."""
    assert host.execute([sh("test -t 0 || test -t 1 || test -t 2")], timeout=TIMEOUT)[0].status == 1


def test_deadline_ends_every_process_of_the_command(host: SSHHost, tmp_path: Path) -> None:
    """Children, background jobs and those that left the session are gone with the error; nothing more starts."""
    pids = tmp_path / "pids"
    jobs = "sleep 99 & echo $!; setsid sleep 98 & echo $!; sh -c 'setsid sleep 97 & echo $!'; echo $PPID"
    script = f"{{ echo $$; {jobs}; }} >{pids}; echo seen; wait"
    later = tmp_path / "later"

    with pytest.raises(DeadlinePassed) as caught:
        host.execute([sh(script), sh(f"touch {later}")], timeout=1)

    assert "sleep 99" in caught.value.what
    assert "seen" in caught.value.why
    assert len(pids.read_text().split()) == 5
    assert [pid for pid in pids.read_text().split() if alive(pid)] == []
    assert not later.exists()
    assert text(host, "echo still usable") == "still usable"


def test_endless_output_does_not_outlast_the_deadline(host: SSHHost) -> None:
    """A program that writes faster than we read is ended as any other."""
    with pytest.raises(DeadlinePassed):
        host.execute([Command(("yes",))], timeout=1)


def test_cancelling_ends_the_command(host: SSHHost, tmp_path: Path) -> None:
    """When the run is ended, the command is too."""
    pid = tmp_path / "pid"

    with pytest.raises(Cancelled):
        host.execute([sh(f"echo $$ >{pid}; sleep 99")], timeout=TIMEOUT, cancelled=pid.exists)

    assert not alive(pid.read_text().strip())


def test_cancelling_before_the_shell_answered_ends_only_what_is_ours(host: SSHHost, tmp_path: Path) -> None:
    """A shell that has not yet told its number is waited for; no other process is touched."""
    bystander = subprocess.Popen(["sleep", "99"])
    ran = tmp_path / "ran"

    with pytest.raises(Cancelled):
        host.execute([sh("sleep 5"), sh(f"touch {ran}")], timeout=TIMEOUT, cancelled=lambda: True)

    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
    assert not ran.exists()


def test_two_steps_on_one_host_do_not_wait_for_each_other(host: SSHHost, tmp_path: Path) -> None:
    """A busy shell is no reason to wait: the pool opens another. Each of the two waits for the other's file."""
    script = "touch {0}; while [ ! -e {1} ]; do sleep 0.02; done; echo met"
    first, second = script.format(tmp_path / "a", tmp_path / "b"), script.format(tmp_path / "b", tmp_path / "a")

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda s: text(host, s), (first, second))) == ["met", "met"]


def test_more_steps_than_sessions_take_turns(host: SSHHost) -> None:
    """sshd opens ten sessions at most; the eleventh step waits for a shell."""
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda n: text(host, f"sleep 0.05; echo {n}"), range(16))) == [str(n) for n in range(16)]


def _session(server: Server, host: SSHHost) -> int:
    """The sshd process of this connection: the parent of its shell."""
    shell = int(text(host, "echo $PPID"))
    return int(Path(f"/proc/{shell}/stat").read_text().rpartition(")")[2].split()[1])


def test_link_lost_during_a_change_is_not_repeated(server: Server, host: SSHHost, tmp_path: Path) -> None:
    """A change whose link drops is an error that says so; it is not sent again; the next command reconnects."""
    runs = tmp_path / "runs"
    session = _session(server, host)
    threading.Timer(0.3, os.kill, (session, signal.SIGKILL)).start()

    with pytest.raises(Unreachable, match="connection lost while running"):
        host.execute([sh(f"echo run >>{runs}; sleep 5", alters=True)], timeout=TIMEOUT)

    assert text(host, f"cat {runs}") == "run"


def test_link_lost_during_a_read_is_read_again(server: Server, host: SSHHost, tmp_path: Path) -> None:
    """A read whose link drops is read once more over a new connection."""
    runs = tmp_path / "runs"
    session = _session(server, host)
    threading.Timer(0.3, os.kill, (session, signal.SIGKILL)).start()
    reasons: list[str] = []
    read = sh(f"echo run >>{runs}; [ $(wc -l <{runs}) = 2 ] || sleep 5; cat {runs}")

    assert host.execute([read], timeout=TIMEOUT, retried=reasons.append)[0].text == "run\nrun"
    assert reasons == ["the connection was lost"]


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """It takes what comes as long as the system has room for it, and answers nothing."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


@contextmanager
def known_host(server: Server, keepalive: float) -> Iterator[SSHHost]:
    login = server.login()
    with server.host(replace(login, ssh=replace(login.ssh, keepalive=keepalive))) as host:
        text(host, "true")
        yield host


def bounded(work: Callable[[], object]) -> None:
    """Fail, in place of waiting for ever, when it does not end."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result(timeout=60)


def test_a_host_that_falls_silent_is_noticed_in_the_middle_of_a_command(server: Server) -> None:
    """Its kernel takes every byte, so TCP sees nothing wrong; the command's own deadline is far away."""
    with known_host(server, 0.4) as host:
        threading.Timer(0.3, os.kill, (_session(server, host), signal.SIGSTOP)).start()
        with pytest.raises(Unreachable, match="connection lost while running sh -c") as caught:
            bounded(lambda: host.execute([sh("sleep 600", alters=True)], timeout=300))

    assert re.fullmatch(r"nothing came from it for 1\.\d s", caught.value.why)


def test_an_idle_connection_to_a_silent_host_is_closed(server: Server) -> None:
    """Nobody waits for it, and whoever comes next connects anew at once."""
    with known_host(server, 0.2) as host, stopped(_session(server, host)):
        assert host._dial is not None
        link = host._dial.wait(0).link
        assert link is not None
        while link.alive:
            time.sleep(0.05)

        assert link.why_lost().startswith("nothing came from it for ")
        assert text(host, "echo here") == "here"


def test_a_host_that_answers_slowly_is_not_given_up(server: Server) -> None:
    """A command that says nothing for many keepalives leaves the connection as it is."""
    with known_host(server, 0.1) as host:
        session = _session(server, host)
        assert text(host, "sleep 1.5; echo done") == "done"
        assert _session(server, host) == session


def test_a_deadline_on_a_silent_host_does_not_claim_that_processes_ended(server: Server) -> None:
    """To end them takes a second session, which a silent host does not open."""
    with known_host(server, 600) as host, stopped(_session(server, host)), pytest.raises(DeadlinePassed) as caught:
        bounded(lambda: host.execute([sh("sleep 600")], timeout=0.5))

    assert "its processes may still run on the host" in caught.value.fix


def test_a_change_that_did_not_come_whole_is_sent_again(server: Server, tmp_path: Path) -> None:
    """Nothing of it ran, so it is safe to repeat: what a silent host never took in."""
    data, file = bytes(range(256)) * 80_000, tmp_path / "file"
    with known_host(server, 0.4) as host, stopped(_session(server, host)):
        command = Command(("sh", "-c", f"cat >>{file}"), stdin=data, alters=True)

        assert host.execute([command], timeout=60)[0].status == 0

    assert file.read_bytes() == data


def test_unknown_host_key_gets_no_login(server: Server) -> None:
    """A host that known_hosts does not know gets no user name, no key and no command."""
    server.known_hosts.write_text("")
    before = server.log

    with server.host() as host, pytest.raises(Unreachable) as caught:
        host.execute([sh("echo hello")], timeout=TIMEOUT)

    assert "is unknown" in caught.value.what
    assert "SHA256:" in caught.value.why
    assert "thinkube-nornir trust" in caught.value.fix
    assert_no_login(server, before)


def test_changed_host_key_gets_no_login(server: Server) -> None:
    """A host with another key than the one we know gets nothing, and both fingerprints are told."""
    server.know("127.0.0.1", key="other")
    before = server.log

    with server.host(server.login(password=Secret("never-sent"))) as host, pytest.raises(Unreachable) as caught:
        host.execute([sh("echo hello")], timeout=TIMEOUT)

    assert "is not the one we know" in caught.value.what
    assert caught.value.why.count("SHA256:") == 2
    assert "thinkube-nornir trust" in caught.value.fix
    assert_no_login(server, before)


def assert_no_login(server: Server, before: str) -> None:
    said = server.log.removeprefix(before)
    assert "Connection from" in said
    assert not any(word in said for word in ("Postponed", "Accepted", "Failed", "Invalid user", "Starting session"))


def test_refused_login_says_what_was_tried(server: Server) -> None:
    """A key the host does not accept is Unreachable with user, key and the ssh command to try."""
    server.know("127.0.0.1")
    login = server.login()
    unknown = replace(login, route=replace(login.route, key_file=server.folder / "other"))

    with server.host(unknown) as host, pytest.raises(Unreachable) as caught:
        host.execute([sh("echo hello")], timeout=TIMEOUT)

    assert f"does not let {getpass.getuser()} in" in caught.value.what
    assert "other" in caught.value.why


@pytest.mark.parametrize(
    ("hostname", "why"), [("127.0.0.1", "connection refused"), ("no-such-host.invalid", "does not resolve")]
)
def test_unreachable_says_why(server: Server, hostname: str, why: str) -> None:
    """Refused and unknown names are told apart."""
    login = server.login(hostname)
    elsewhere = replace(login, route=replace(login.route, port=free_port()))

    with server.host(elsewhere) as host, pytest.raises(Unreachable) as caught:
        host.execute([sh("echo hello")], timeout=TIMEOUT)

    assert why in caught.value.why


def test_silent_server_does_not_hang(server: Server) -> None:
    """A port that accepts and says nothing ends at the connect timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        login = server.login()
        route = replace(login.route, port=silent.getsockname()[1])
        with server.host(replace(login, route=route, connect_timeout=0.5)) as host, pytest.raises(Unreachable):
            host.execute([sh("echo hello")], timeout=TIMEOUT)


def test_key_with_a_passphrase_is_refused_clearly(server: Server, tmp_path: Path) -> None:
    """Nobody can be asked for a passphrase: the agent is named as the way out."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret-phrase", "-f", str(tmp_path / "k")], check=True)
    login = server.login()

    locked = replace(login, route=replace(login.route, key_file=tmp_path / "k"))
    with server.host(locked) as host, pytest.raises(ThinkubeError, match="has a passphrase"):
        host.execute([sh("echo hello")], timeout=TIMEOUT)


def test_sixty_four_hosts_at_once(server: Server) -> None:
    """64 addresses are opened and used at the same time, and all threads and sockets are gone after."""
    addresses = [f"127.0.1.{n}" for n in range(64)]
    server.know(*addresses)

    def visit(address: str) -> str:
        with server.host(server.login(address)) as host:
            return text(host, "echo $SSH_CONNECTION | cut -d' ' -f3")

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(visit, addresses)) == addresses


def test_cipher_without_a_mac_in_python_is_taken(host: SSHHost) -> None:
    """AES-GCM, where the host has it: checking another cipher's packets costs paramiko more than reading them."""
    assert host._dial is not None
    assert "gcm" in getattr(host._dial.wait(0).link.transport, "remote_cipher")  # noqa: B009 - paramiko's stubs lack it


def test_forward_reaches_what_the_host_reaches(host: SSHHost) -> None:
    """A forwarded stream carries bytes both ways and ends when the other side ends."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        host.forward("127.0.0.1", listener.getsockname()[1]) as stream,
        listener.accept()[0] as peer,
    ):
        stream.sendall(b"ping")
        assert peer.recv(10) == b"ping"
        peer.sendall(b"pong")
        peer.close()
        stream.settimeout(5)
        assert (stream.recv(10), stream.recv(10)) == (b"pong", b"")


def test_forward_to_nothing_names_the_port(host: SSHHost) -> None:
    """The host itself is well: that nothing listens there is no reason to give it up."""
    port = free_port()
    with pytest.raises(ThinkubeError, match=str(port)) as caught:
        host.forward("127.0.0.1", port)
    assert not isinstance(caught.value, Unreachable)
    assert "Connection refused" in caught.value.why or "Connect failed" in caught.value.why


def test_jump_hosts_are_passed_and_strict(server: Server, tmp_path: Path) -> None:
    """Two hops are passed; a hop whose key is unknown stops the way there."""
    server.know("127.0.0.1", "127.0.0.2", "127.0.0.3")
    login = server.login("127.0.0.3")
    first = replace(login.route, name="jump 1", hostname="127.0.0.1")
    second = replace(login.route, name="jump 2", hostname="127.0.0.2", via=first)
    route = replace(login.route, via=second)

    with server.host(replace(login, route=route)) as host:
        assert text(host, "echo $SSH_CONNECTION | cut -d' ' -f3") == "127.0.0.3"

    server.know("127.0.0.1", "127.0.0.3")
    with server.host(replace(login, route=route)) as host, pytest.raises(Unreachable, match=r"127\.0\.0\.2.*unknown"):
        host.execute([sh("echo hello")], timeout=TIMEOUT)


def test_open_connections_leave_no_thread_behind(server: Server) -> None:
    """After close, paramiko's threads end, and the one that watches connections ends with the last."""
    server.know("127.0.0.1")
    before = set(threading.enumerate())
    with server.host() as host:
        text(host, "true")
    end = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < end:
        time.sleep(0.01)
    assert not left
