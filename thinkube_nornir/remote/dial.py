"""Connecting to a host: one attempt, whose outcome all steps share that wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, wait
from dataclasses import replace
from typing import TYPE_CHECKING

from thinkube_nornir.errors import Cancelled, Unreachable
from thinkube_nornir.remote.shell_pool import ShellPool
from thinkube_nornir.remote.ssh_route import Login

if TYPE_CHECKING:
    from thinkube_nornir.remote.ssh_transport import Link

    Connect = Callable[[Login], Link]

_PAUSE = 0.5  # seconds between two tries
_SLICE = 0.25  # seconds between two looks at `cancelled`
_SPARE = 1.0  # seconds that the attempt may take beyond its limit to say itself what it waited for


class Dial:
    """One attempt to connect, made in a thread of its own.

    Whatever hangs in it (a name server, an SSH agent, a ProxyCommand) holds that thread, and no step beyond the
    connect timeout. The outcome stays: a host that did not answer is not asked again.

    Args:
        connect: opens the connection, or raises Unreachable.
        again: a connection was lost just now; a server that restarts refuses for a moment, and that is waited for.
    """

    def __init__(self, login: Login, connect: Connect, *, again: bool = False) -> None:
        self._login = login
        self._open = connect
        self._again = again
        self._until = time.monotonic() + login.connect_timeout
        self._outcome: Future[ShellPool] = Future()
        threading.Thread(target=self._run, name="dial", daemon=True).start()

    @property
    def lost(self) -> bool:
        """Whether it had connected, and that connection is gone."""
        outcome = self._outcome
        return outcome.done() and outcome.exception() is None and not outcome.result().link.alive

    def wait(self, deadline: float, cancelled: Callable[[], bool] = lambda: False) -> ShellPool:
        """Return the shells of the connection.

        Raises:
            Unreachable: there is none, or none by the deadline.
            Cancelled: the operator ended the run.
        """
        while not self._outcome.done():
            now = time.monotonic() - _SPARE
            if now >= self._until:
                self._end(self._silent(self._login.connect_timeout))
            elif now >= deadline:
                raise self._silent(self._login.connect_timeout - (self._until - deadline))
            elif cancelled():
                raise Cancelled(f"the run was ended while it connected to {self._login.route.name}")
            else:
                wait((self._outcome,), min(_SLICE, min(deadline, self._until) - now))
        try:
            return self._outcome.result()
        except Unreachable as error:  # each step gets one of its own
            raise Unreachable(error.what, why=error.why, fix=error.fix) from error

    def close(self) -> None:
        """Close the connection, also one that is yet to come."""
        self._end(Unreachable(f"the connection to {self._login.route.name} was closed"))
        if self._outcome.exception() is None:
            self._outcome.result().link.close()

    def _run(self) -> None:
        try:
            link = self._connect()
        except BaseException as error:
            self._end(error)
            return
        try:
            self._outcome.set_result(ShellPool(link, self._login))
        except InvalidStateError:  # nobody waits for it any more
            link.close()

    def _end(self, error: BaseException) -> None:
        """Settle for the error, unless there is an outcome."""
        try:
            self._outcome.set_exception(error)
        except InvalidStateError:
            return

    def _connect(self) -> Link:
        while True:
            left = self._until - time.monotonic()
            try:
                return self._open(replace(self._login, connect_timeout=max(0.1, left)))
            except Unreachable as error:
                if not (self._again and _refused(error)) or self._until - time.monotonic() < _PAUSE:
                    raise
            time.sleep(_PAUSE)

    def _silent(self, seconds: float) -> Exception:
        from thinkube_nornir.remote.ssh_errors import unreachable

        return unreachable(replace(self._login, connect_timeout=max(0.0, seconds)), TimeoutError())


def current(dial: Dial | None, login: Login, connect: Connect) -> Dial:
    """The attempt to wait for: a new one, if there is none yet or its connection was lost."""
    if dial is None:
        return Dial(login, connect)
    if dial.lost:
        dial.close()
        return Dial(login, connect, again=True)
    return dial


def _refused(error: Unreachable) -> bool:
    return isinstance(error.__cause__, (OSError, EOFError)) and not isinstance(error.__cause__, TimeoutError)
