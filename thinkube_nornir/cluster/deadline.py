"""How long a call to the API may take: one deadline for all of its attempts, and the operator's wish to end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from nornir.core.task import Task

from thinkube_nornir.context import context, note_retry, time_left
from thinkube_nornir.errors import Cancelled

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds


@dataclass(frozen=True)
class Deadline:
    until: float
    """On time.monotonic()'s clock."""
    cancelled: threading.Event
    note: Callable[[str], None] = lambda _reason: None
    """Is told why a call is sent again."""

    @property
    def left(self) -> float:
        return self.until - time.monotonic()

    def attempts(self, most: int) -> Iterator[int]:
        """Numbers of attempts, with pauses between them that double and differ by chance; it ends with the deadline.

        For what several do at the same moment: those who met once would meet again after the same pause.
        """
        pause = _FIRST_PAUSE
        for number in range(1, most + 1):
            yield number
            wait = pause * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            if number == most or wait >= self.left:
                return
            self.pause(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def pause(self, seconds: float) -> None:
        """Between two attempts; ends early with the deadline or a cancelled run.

        Raises:
            Cancelled: the operator ended the run.
        """
        if self.cancelled.wait(max(0.0, min(seconds, self.left))):
            raise Cancelled("the run was ended while it waited for the cluster")


def deadline(task: Task, timeout: float | None = None) -> Deadline:
    """Seconds from now, None for config.yaml's `timeouts.command`, and never more than the step has left."""
    run = context(task)
    seconds = time_left(task, run.config.timeouts.command if timeout is None else timeout)
    return Deadline(time.monotonic() + seconds, run.cancelled, partial(note_retry, task))


def deadline_for_cleanup(seconds: float) -> Deadline:
    """What must still be done when the step is out of time or cancelled."""
    return Deadline(time.monotonic() + seconds, threading.Event())
