"""Connecting to hosts that do not answer: one attempt, one outcome, a deadline whatever hangs."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.openssh import Server, needs_sshd, start_sshd
from thinkube_nornir.command import Command
from thinkube_nornir.config import SSHSettings
from thinkube_nornir.errors import Cancelled, DeadlinePassed, ThinkubeError, Unreachable
from thinkube_nornir.remote import dial
from thinkube_nornir.remote.connection import SSHHost
from thinkube_nornir.remote.dial import Dial
from thinkube_nornir.remote.host_lock import HostLock
from thinkube_nornir.remote.shell import TimedOut
from thinkube_nornir.remote.ssh_route import Login, Route

LOOK = Command(("true",))


@dataclass
class SilentServer:
    """It takes connections, counts them and says nothing."""

    port: int
    taken: list[socket.socket] = field(default_factory=list)

    def route(self, **parts: Any) -> Route:
        return Route("host1", "127.0.0.1", self.port, "ops", None, **parts)


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = SilentServer(listening.getsockname()[1])

        def take() -> None:
            while True:
                try:
                    server.taken.append(listening.accept()[0])
                except OSError:
                    return

        taker = threading.Thread(target=take)
        taker.start()
        try:
            yield server
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            taker.join()
            for stream in server.taken:
                stream.close()


def login_to(route: Route, tmp_path: Path, *, connect: float = 0.5) -> Login:
    return Login(route, SSHSettings(known_hosts=tmp_path / "known_hosts", agent=False), connect)


@contextmanager
def host_at(login: Login) -> Iterator[SSHHost]:
    host = SSHHost(login)
    try:
        yield host
    finally:
        host.close()


def refusals(hosts: list[SSHHost], *, steps: int) -> list[Unreachable]:
    """What each of so many steps, all at once, gets from each of the hosts."""
    with ThreadPoolExecutor(steps * len(hosts)) as pool:
        asked = [pool.submit(host.execute, [LOOK], timeout=30) for host in hosts for _ in range(steps)]
        return [error for one in asked if isinstance(error := one.exception(timeout=30), Unreachable)]


def test_steps_that_start_at_once_share_one_dial(silent: SilentServer, tmp_path: Path) -> None:
    """A silent host is dialled once, however many steps begin there, and each of them gets an error of its own."""
    with host_at(login_to(silent.route(), tmp_path)) as host:
        errors = refusals([host], steps=5)

    assert len(silent.taken) == 1
    assert len({id(error) for error in errors}) == 5
    assert {error.why for error in errors} == {"it takes the connection, and no SSH server says anything within 0.5 s"}


def test_a_host_that_did_not_answer_is_not_dialled_again(silent: SilentServer, tmp_path: Path) -> None:
    """What comes after it, commands and tunnels, gets the same answer at once."""
    with host_at(login_to(silent.route(), tmp_path)) as host:
        first = refusals([host], steps=1)[0]
        with pytest.raises(Unreachable) as second:
            host.forward("127.0.0.1", 16443)

    assert len(silent.taken) == 1
    assert str(second.value) == str(first)


def test_hosts_behind_a_silent_jump_host_share_its_dial(silent: SilentServer, tmp_path: Path) -> None:
    """The jump host is dialled once for all that wait for it."""
    jump = replace(silent.route(), name="jump host")
    hosts = [SSHHost(login_to(Route(f"h{n}", f"10.0.0.{n}", 22, "ops", None, via=jump), tmp_path)) for n in range(3)]

    errors = refusals(hosts, steps=1)

    assert len(errors) == 3
    assert len(silent.taken) == 1


@dataclass
class FakeLink:
    """What an attempt that hung brings when nobody waits any more."""

    closed: threading.Event = field(default_factory=threading.Event)
    alive: bool = True
    first_channel: Any = None

    def close(self) -> None:
        self.closed.set()


@dataclass
class Hanging:
    released: threading.Event = field(default_factory=threading.Event)
    link: FakeLink = field(default_factory=FakeLink)

    def connect(self, _: Login) -> Any:
        self.released.wait(60)
        return self.link

    def release(self) -> FakeLink:
        self.released.set()
        return self.link


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    """Attempts hang in a library, until they are released."""
    found = Hanging()
    monkeypatch.setattr(dial, "_SPARE", 0.0)
    monkeypatch.setattr(dial, "ShellPool", lambda link, _login: link)
    yield found
    found.release()


def test_an_attempt_that_hangs_in_a_library_is_not_waited_for(
    hanging: Hanging, silent: SilentServer, tmp_path: Path
) -> None:
    """A name server, an agent or a ProxyCommand has no deadline; the dial has. What it brings too late is closed."""
    attempt = Dial(login_to(silent.route(), tmp_path, connect=0.2), hanging.connect)

    with pytest.raises(Unreachable) as caught:
        attempt.wait(deadline=float("inf"))

    assert caught.value.why == "no answer within 0.2 s"
    assert hanging.release().closed.wait(10)


def test_a_step_waits_for_a_dial_no_longer_than_its_own_deadline(
    hanging: Hanging, silent: SilentServer, tmp_path: Path
) -> None:
    """Another one, with more time, gets the connection."""
    attempt = Dial(login_to(silent.route(), tmp_path, connect=60), hanging.connect)

    with pytest.raises(Unreachable):
        attempt.wait(deadline=0)
    with pytest.raises(Cancelled):
        attempt.wait(deadline=float("inf"), cancelled=lambda: True)
    link: Any = hanging.release()

    assert attempt.wait(deadline=float("inf")) is link


def test_the_lock_is_waited_for_until_the_deadline() -> None:
    """A step that holds it up may have far more time than the next one."""
    lock = HostLock("host1")
    shell: Any = object()
    lock._mutex.acquire()

    with pytest.raises(TimedOut):
        lock.take(shell, 0, lambda: False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_sshd(tmp_path_factory.mktemp("sshd"))
    server.know("127.0.0.1")
    yield server
    server.stop()


@contextmanager
def connected(server: Server) -> Iterator[tuple[SSHHost, int]]:
    """A host with its keepalives far away, and the process of its sshd session."""
    login = server.login()
    with host_at(replace(login, ssh=replace(login.ssh, keepalive=600))) as host:
        session = "ps -o ppid= -p $(ps -o ppid= -p $$)"
        parent = host.execute([Command(("sh", "-c", session))], timeout=30)[0].text
        yield host, int(parent)


@pytest.mark.openssh
@needs_sshd
def test_a_write_that_a_silent_host_does_not_take_in_ends_by_its_deadline(server: Server) -> None:
    """paramiko writes without a deadline; the keepalives are minutes away, and there is no room for more."""
    data = bytes(4_000_000)
    with connected(server) as (host, session), ThreadPoolExecutor(1) as pool:
        assert host._dial is not None
        stream: Any = host._dial.wait(0).link.transport.sock
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # else the channel's window is full before it
        os.kill(session, signal.SIGSTOP)
        try:
            wait: Future[object] = pool.submit(host.execute, [Command(("cat",), stdin=data)], timeout=0.5)
            error = wait.exception(timeout=60)
        finally:
            os.kill(session, signal.SIGCONT)

    assert isinstance(error, DeadlinePassed)
    assert error.why == "last output: the host does not take the command in"


@pytest.mark.openssh
@needs_sshd
def test_a_shell_that_is_killed_is_no_lost_connection(server: Server) -> None:
    """The host is well, and stays in the run: another step gets another shell over the same connection."""
    with connected(server) as (host, _session):
        with pytest.raises(ThinkubeError) as caught:
            host.execute([Command(("sh", "-c", "kill -9 $PPID"), alters=True)], timeout=30)

        assert not isinstance(caught.value, Unreachable)
        assert caught.value.what.startswith("the shell on host1 ended while running")
        assert "connection holds" in caught.value.why
        with pytest.raises(ThinkubeError, match="the shell on host1 ended"):
            host.execute([Command(("sh", "-c", "kill -9 $PPID"))], timeout=30)
        assert host.execute([LOOK], timeout=30)[0].status == 0


@pytest.mark.openssh
@needs_sshd
def test_a_connection_that_ends_while_sudo_starts_is_not_sudos_fault(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the command ran then, so that it is sent again over another connection."""
    waits = '[ -e "{mark}" ] || {{ touch "{mark}"; kill -9 $PPID; sleep 9; }}; {root}'
    root = "echo {ready}; exec /bin/sh"
    script = waits.replace("{mark}", str(server.folder / "mark")).replace("{root}", root)
    monkeypatch.setattr("thinkube_nornir.remote.shell_pool._ROOT_SHELL", script)
    login = replace(server.login(), route=replace(server.login().route, username="somebody"))
    monkeypatch.setattr("thinkube_nornir.remote.ssh_transport._address", lambda _: _address(server))

    with host_at(login) as host:
        done = host.execute([Command(("echo", "done"), root=True, alters=True)], timeout=30)

    assert done[0].text == "done"


def _address(server: Server) -> dict[str, Any]:
    route = server.login().route
    return {"hostname": route.hostname, "username": route.username, "password": None, "port": route.port}
