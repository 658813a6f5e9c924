"""Shells of one connection: what happens when the host opens no further session."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from thinkube_nornir.config import SSHSettings
from thinkube_nornir.errors import Unreachable
from thinkube_nornir.remote import ssh_channel
from thinkube_nornir.remote.shell import TimedOut
from thinkube_nornir.remote.shell_pool import ShellPool
from thinkube_nornir.remote.ssh_route import Login, Route


@dataclass
class Channel:
    """A channel on which nothing comes."""

    closed: bool = False

    def listen(self, wakeup: threading.Event) -> None: ...

    def read(self) -> tuple[bytes, bytes]:
        return b"", b""

    def send(self, data: bytes, timeout: float) -> None: ...

    @property
    def ended(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


@dataclass
class Link:
    first_channel: Channel = field(default_factory=Channel)
    transport: Any = None


def pool_of(link: Link) -> ShellPool:
    route = Route("host1", "host1", 22, "ops", Path("/id"))
    return ShellPool(link, Login(route, SSHSettings(), 1.0))  # type: ignore[arg-type]


def bounded(work: Callable[[], object]) -> None:
    """Fail, in place of waiting for ever, when it does not end."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result(timeout=30)


def lend(pool: ShellPool, *, root: bool, seconds: float) -> Callable[[], None]:
    def work() -> None:
        with pool.checked_out(root=root, deadline=time.monotonic() + seconds):
            pass

    return work


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Channel | None]:
    """What the host answers, one after the other, when a session is asked for; nothing but refusals at the end."""
    answers: list[Channel | None] = []
    monkeypatch.setattr(ssh_channel, "open_shell", lambda *_: answers.pop(0) if answers else None)
    monkeypatch.setattr(ssh_channel, "ShellChannel", lambda channel: channel)
    monkeypatch.setattr("thinkube_nornir.remote.shell.Shell.answer_sudo", lambda *_: None)
    return answers


def test_a_session_that_is_never_opened_ends_with_the_deadline(opened: list[Channel | None]) -> None:
    """Also while a shell of the other privilege is idle, which is of no use here."""
    with pytest.raises(TimedOut):
        bounded(lend(pool_of(Link()), root=True, seconds=0.5))


def test_an_idle_shell_makes_room_for_one_of_the_other_privilege(opened: list[Channel | None]) -> None:
    """A host that opens one session more once ours is closed; not at once, as it has to notice."""
    link = Link()
    opened += [None, None, Channel()]

    bounded(lend(pool_of(link), root=True, seconds=20))

    assert link.first_channel.closed


def test_a_host_that_opens_no_session_at_all_is_unreachable(opened: list[Channel | None]) -> None:
    """Nothing is lent and nothing is idle: nothing will be given back."""
    link = Link()
    link.first_channel.close()

    with pytest.raises(Unreachable, match="opens no session"):
        bounded(lend(pool_of(link), root=True, seconds=20))
