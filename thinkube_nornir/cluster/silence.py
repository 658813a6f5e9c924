"""An API server that takes everything and says nothing: how long it is waited for, over all calls together."""

from __future__ import annotations

import time

from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError

from thinkube_nornir.cluster.messages import Call
from thinkube_nornir.errors import ClusterUnreachable, DeadlinePassed

_SHORT = 10.0  # seconds of silence that say nothing yet, also when a call gives up


class Silence:
    """Thread-safe.

    After `longest` seconds without any answer, or when a call gives up on a silent server, all calls fail at once for
    as long again: a dozen checks must not take a dozen deadlines, and a wait must not outlast its server by minutes.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._answered = 0.0
        """When the last answer came, on time.monotonic()'s clock."""
        self._since: float | None = None
        self._until = 0.0

    def end(self) -> None:
        self._answered = time.monotonic()
        self._since = None
        self._until = 0.0

    def note(self, began: float) -> None:
        """Take in that an attempt got no answer; `began` is when its call was first sent."""
        self._since = max(began, self._answered)
        if time.monotonic() - self._since >= self._longest:
            self._until = time.monotonic() + self._longest

    def given_up(self, began: float) -> None:
        """Take in that a call makes no more attempts."""
        if self._since is not None and time.monotonic() - max(began, self._answered) >= _SHORT:
            self._until = time.monotonic() + self._longest

    def must_be_over(self, call: Call, host: str) -> None:
        """
        Raises:
            ClusterUnreachable: it lasts.
        """
        since = self._since
        if since is None or time.monotonic() >= self._until:
            return
        raise ClusterUnreachable(
            f"{call.doing} failed (cluster of {host}): its API server is silent",
            why=f"nothing came from it for {time.monotonic() - since:.0f} s",
            fix=f"see whether {host} is up and its API server can be reached from here, then run again",
        )


def is_silence(error: BaseException | None) -> bool:
    """Whether nothing came: a refused or a lost connection is an answer."""
    if isinstance(error, NewConnectionError):
        return isinstance(error.__cause__, (TimeoutError, DeadlinePassed))
    return isinstance(error, (ConnectTimeoutError, ReadTimeoutError, TimeoutError))
