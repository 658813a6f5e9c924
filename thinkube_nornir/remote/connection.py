"""The Nornir connection plugin `thinkube_ssh`: a host's connection with its pool of persistent shells.

    prepare_connections(nornir.inventory, config, secrets)      once, before the first step
    task.host.get_connection("thinkube_ssh", ...)               exchange.py does it

Opening costs nothing; the first command connects, through nornir-netmiko (ssh_transport.py). A host may name in
`connection_options.thinkube_ssh.extras`: `key_file` and `jump` (as ssh_config's ProxyJump). Two steps on one host use
two shells. A command past its deadline is ended from another shell, and its own shell is not used again.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nornir.core.configuration import Config as NornirConfig
from nornir.core.inventory import ConnectionOptions, Host, Inventory
from nornir.core.plugins.connections import ConnectionPluginRegister

from thinkube_nornir.command import Command, Completed
from thinkube_nornir.config import Config
from thinkube_nornir.errors import Cancelled, DeadlinePassed, ThinkubeError, Unreachable
from thinkube_nornir.remote.dial import Dial, current
from thinkube_nornir.remote.exchange import CONNECTION
from thinkube_nornir.remote.host_lock import HostLock
from thinkube_nornir.remote.shell import Lost, NotStarted, Shell, TimedOut
from thinkube_nornir.remote.shell_pool import ShellPool
from thinkube_nornir.remote.ssh_route import Login, route_to
from thinkube_nornir.remote.ssh_stream import tcp_to
from thinkube_nornir.remote.termination import terminate
from thinkube_nornir.secret import Secret, redact

if TYPE_CHECKING:
    from thinkube_nornir.remote.ssh_transport import Link

_END_TIMEOUT = 5.0  # seconds that ending a timed-out command's processes may take

_log = logging.getLogger(__name__)


def prepare_connections(inventory: Inventory, config: Config, secrets: Mapping[str, Secret]) -> None:
    """Give every host its Login; THINKUBE_SSH_PASSWORD and THINKUBE_SUDO_PASSWORD are used of the secrets, if there."""
    ConnectionPluginRegister.register(CONNECTION, ThinkubeSSH)
    for host in inventory.hosts.values():
        login = login_of(host, config, secrets)
        host.connection_options[CONNECTION] = ConnectionOptions(extras={"login": login})


def _link(login: Login) -> Link:
    direct = login.route.via is None and not login.route.proxy_command
    stream = tcp_to(login) if direct else None  # before the import: see ssh_stream.py
    from thinkube_nornir.remote.ssh_transport import Link

    return Link(login, stream)


def login_of(host: Host, config: Config, secrets: Mapping[str, Secret]) -> Login:
    """How a host is reached: inventory, then ssh_config, then config.yaml."""
    given = host.get_connection_parameters(CONNECTION)
    extras = dict(given.extras or {})
    if "login" in extras:
        return extras["login"]  # type: ignore[no-any-return]
    key_file = extras.get("key_file")
    route = route_to(
        host.name,
        given.hostname,
        port=given.port,
        username=given.username,
        ssh=config.ssh,
        key_file=Path(key_file).expanduser() if key_file else None,
        jump=extras.get("jump"),
    )
    return Login(
        route,
        config.ssh,
        config.timeouts.connect,
        secrets.get("THINKUBE_SSH_PASSWORD"),
        secrets.get("THINKUBE_SUDO_PASSWORD"),
    )


class ThinkubeSSH:
    """The connection as Nornir opens and closes it."""

    connection: SSHHost

    def open(
        self,
        hostname: str | None,
        username: str | None,  # noqa: ARG002 - Nornir's form; prepare_connections has put all into `extras`
        password: str | None,  # noqa: ARG002
        port: int | None,  # noqa: ARG002
        platform: str | None,  # noqa: ARG002
        extras: dict[str, Any] | None = None,
        configuration: NornirConfig | None = None,  # noqa: ARG002
    ) -> None:
        if not extras or "login" not in extras:
            raise TypeError(f"{hostname}: call prepare_connections() before the first step")
        self.connection = SSHHost(extras["login"])

    def close(self) -> None:
        self.connection.close()


class SSHHost:
    """One host: it connects when needed, reconnects when the link was lost, and runs commands. See HostConnection."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._lock = threading.Lock()
        self._dial: Dial | None = None
        self._host_lock = HostLock(login.route.name)

    def execute(
        self,
        commands: Sequence[Command],
        *,
        timeout: float,
        cancelled: Callable[[], bool] = lambda: False,
        retried: Callable[[str], None] = lambda _: None,
    ) -> list[Completed]:
        """What alters is never sent again once it may have started; reads are, once, after a lost link."""
        deadline = time.monotonic() + timeout
        alters = any(command.alters for command in commands)
        attempt = self._one_by_one if alters else self._together
        try:
            return self._attempt(attempt, commands, deadline, cancelled, timeout)
        except Lost as lost:
            if alters and not isinstance(lost, NotStarted):
                raise self._lost(commands, lost, "it may or may not be done: run again, the facts will tell") from lost
            retried("the shell on the host ended" if lost.link_holds else "the connection was lost")
        try:
            return self._attempt(attempt, commands, deadline, cancelled, timeout)
        except Lost as lost:
            raise self._lost(commands, lost, "see that the host is up, and run again") from lost

    def forward(self, address: str, port: int) -> socket.socket:
        """See HostConnection."""
        from thinkube_nornir.remote.ssh_channel import forward

        pool = self._connected(time.monotonic() + self._login.connect_timeout)
        return forward(pool.link.transport, self._login, address, port)

    def close(self) -> None:
        with self._lock:
            dial = self._dial
        if dial is not None:
            dial.close()

    def _attempt(
        self,
        attempt: _Attempt,
        commands: Sequence[Command],
        deadline: float,
        cancelled: Callable[[], bool],
        timeout: float,
    ) -> list[Completed]:
        pool = self._connected(deadline, cancelled)
        try:
            return attempt(pool, commands, deadline, cancelled)
        except Lost as lost:
            lost.why = pool.link.why_lost()
            raise
        except TimedOut as late:
            ended = "its processes on the host were ended" if late.ended else "its processes may still run on the host"
            raise DeadlinePassed(
                redact(f"not done within {timeout:g} s: {late.command}"),
                why=redact(f"last output: {late.seen.decode(errors='backslashreplace').strip() or 'none'}"),
                fix=f"{ended}; raise timeouts.command in config.yaml if it is only slow",
            ) from late

    def _together(
        self, pool: ShellPool, commands: Sequence[Command], deadline: float, cancelled: Callable[[], bool]
    ) -> list[Completed]:
        """Reads: both privileges at once, in one round trip."""
        groups = [[c for c in commands if c.root is root] for root in (False, True)]
        with ExitStack() as stack:
            shells = [(stack.enter_context(self._shell(pool, g[0].root, deadline)), g) for g in groups if g]
            for shell, group in shells:
                shell.send(group, deadline)
            answers = {root: iter(()) for root in (False, True)} | {
                group[0].root: iter(shell.collect(group, deadline, cancelled)) for shell, group in shells
            }
        return [next(answers[command.root]) for command in commands]

    def _one_by_one(
        self, pool: ShellPool, commands: Sequence[Command], deadline: float, cancelled: Callable[[], bool]
    ) -> list[Completed]:
        """Changes: in their order; a round trip for each run of equal privilege."""
        answers: list[Completed] = []
        try:
            for root, group in groupby(commands, key=lambda command: command.root):
                with self._shell(pool, root, deadline) as shell:
                    if root:
                        self._host_lock.take(shell, deadline, cancelled)
                    answers += shell.execute(list(group), deadline, cancelled)
        except NotStarted as lost:
            if answers:
                raise Lost from lost
            raise
        return answers

    @contextmanager
    def _shell(self, pool: ShellPool, root: bool, deadline: float) -> Iterator[Shell]:
        """A shell of the pool; when its time is over or the run is ended, so are its processes."""
        with pool.checked_out(root=root, deadline=deadline) as shell:
            try:
                yield shell
            except TimedOut as late:
                late.ended = self._end(pool, shell, root)
                raise
            except Cancelled:
                self._end(pool, shell, root)
                raise

    def _end(self, pool: ShellPool, shell: Shell, root: bool) -> bool:
        """Whether the processes of the shell are known to be gone."""
        deadline = time.monotonic() + _END_TIMEOUT
        try:
            with pool.checked_out(root=root, deadline=deadline) as helper:
                terminate(helper, shell=shell, root=root, deadline=deadline)
        except (Lost, TimedOut, Unreachable) as error:
            _log.warning("%s: processes may still run there: %s", self._login.route.name, error or type(error).__name__)
            self.close()
            return False
        return True

    def _connected(self, deadline: float, cancelled: Callable[[], bool] = lambda: False) -> ShellPool:
        with self._lock:
            self._dial = dial = current(self._dial, self._login, _link)
        return dial.wait(deadline, cancelled)

    def _lost(self, commands: Sequence[Command], lost: Lost, fix: str) -> ThinkubeError:
        what = redact(f"{commands[0]}{f' and {len(commands) - 1} more' if len(commands) > 1 else ''}")
        if lost.link_holds:
            why = "the connection holds: somebody killed the shell, or the kernel did when memory ran out"
            return ThinkubeError(f"the shell on {self._login.route.name} ended while running {what}", why=why, fix=fix)
        return Unreachable(f"connection lost while running {what}", why=lost.why, fix=fix)


_Attempt = Callable[[ShellPool, Sequence[Command], float, Callable[[], bool]], list[Completed]]
