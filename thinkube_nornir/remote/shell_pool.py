"""The shells of one connection, by privilege: each for one caller at a time, more opened while all are busy."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from thinkube_nornir.command import Command
from thinkube_nornir.errors import Unreachable
from thinkube_nornir.remote.shell import Lost, NotStarted, Shell, TimedOut
from thinkube_nornir.remote.ssh_route import Login

if TYPE_CHECKING:
    from thinkube_nornir.remote.ssh_transport import Link

# A login that is root already (whatever its name) needs no sudo, and may have none. -k: no cached timestamp may hide a
# wrong password. sudo-rs knows these options too, and puts the prompt between words of its own; test_sudo.py passes
# with its versions 0.2.8 and 0.2.14 in sudo's place.
# Source: trifectatechfoundation/sudo-rs@v0.2.14 src/sudo/cli/mod.rs
# Source: trifectatechfoundation/sudo-rs@v0.2.14 src/sudo/pam.rs
_ROOT_SHELL = (
    """exec /bin/sh -c '[ "$(id -u)" = 0 ] || exec sudo -k -S -p {prompt} /bin/sh -c "echo {ready}; exec /bin/sh";"""
    """ echo {ready}; exec /bin/sh'"""
)

_AGAIN = 0.1  # seconds after which a session that we closed may be free on the host


class ShellPool:
    """Thread-safe."""

    def __init__(self, link: Link, login: Login) -> None:
        self.link = link
        self._login = login
        self._returned = threading.Condition()
        self._idle: dict[bool, list[Shell]] = {False: [Shell(link.first_channel)], True: []}
        self._checked_out = 0

    @contextmanager
    def checked_out(self, *, root: bool, deadline: float) -> Iterator[Shell]:
        """A shell for the with block; after an exception it is closed and not used again.

        Raises:
            Lost: the connection is gone.
            Unreachable: no root shell: sudo refused.
            TimedOut: every shell stayed busy, or sudo did not answer.
        """
        shell = self._borrow(root and self._login.route.username != "root", deadline)
        try:
            yield shell
        except BaseException:
            shell.close()
            raise
        finally:
            self._give_back(shell, root and self._login.route.username != "root")

    def _borrow(self, root: bool, deadline: float) -> Shell:
        freed = False
        while True:
            with self._returned:
                self._checked_out += 1
                while self._idle[root]:
                    shell = self._idle[root].pop()
                    if shell.usable:
                        return shell
            try:
                opened = self._open(root, deadline)
            except BaseException:
                with self._returned:
                    self._checked_out -= 1
                raise
            if opened is not None:
                return opened
            freed = self._wait_for_one(root, deadline, freed)

    def _give_back(self, shell: Shell, root: bool) -> None:
        with self._returned:
            self._checked_out -= 1
            if shell.usable:
                self._idle[root].append(shell)
            self._returned.notify()

    def _wait_for_one(self, root: bool, deadline: float, freed: bool) -> bool:
        """The host opens no further session (sshd's MaxSessions): wait for one of this pool to be given back.

        One of the other privilege is closed, so that the host opens another in its place, once it has noticed.

        Args:
            freed: whether that was done already; returned as it is then.
        """
        with self._returned:
            self._checked_out -= 1
            self._idle = {kind: [shell for shell in shells if shell.usable] for kind, shells in self._idle.items()}
            idle = any(self._idle.values())
            if not (self._checked_out or idle or freed):
                raise Unreachable(
                    f"{self._login.route.known_name} opens no session",
                    fix="look at MaxSessions in sshd_config and at the host's memory",
                )
            left = deadline - time.monotonic()
            if left > 0 and not idle:
                self._returned.wait(min(left, _AGAIN) if freed else left)
            if deadline <= time.monotonic():
                raise TimedOut(Command(("sh",)), b"every session of the connection is busy")
            if self._idle[not root] and not self._idle[root]:
                self._idle[not root].pop().close()
                return True
            return freed

    def _open(self, root: bool, deadline: float) -> Shell | None:
        """A new shell, or None when the host opens no further session."""
        from thinkube_nornir.remote.ssh_channel import SHELL, ShellChannel, open_shell

        prompt, ready = secrets.token_hex(8), secrets.token_hex(8)
        command = _ROOT_SHELL.format(prompt=prompt, ready=ready) if root else SHELL
        channel = open_shell(self.link.transport, command, deadline - time.monotonic())
        if channel is None:
            return None
        shell = Shell(ShellChannel(channel), home=not root)
        if root:
            try:
                shell.answer_sudo(prompt, ready, self._login.sudo_password, deadline)
            except Lost as lost:
                if self.link.why_lost():
                    raise NotStarted from lost
                raise shell.sudo_failed(prompt) from lost
        return shell
