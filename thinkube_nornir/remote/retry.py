"""Making a change that the host refuses for now: the same change again, until it is accepted or a deadline passes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from nornir.core.task import Task

from thinkube_nornir.context import context, note_retry, time_left
from thinkube_nornir.errors import Cancelled, CommandFailed, DeadlinePassed
from thinkube_nornir.secret import redact

T = TypeVar("T")


def retry(
    task: Task,
    attempt: Callable[[], T],
    *,
    refused: Callable[[CommandFailed], bool],
    what: str,
    timeout: float,
    every: float = 2.0,
) -> T:
    """Call `attempt` again while it fails in the way that `refused` recognises; return what it returns at last.

    Args:
        what: completes "waited 60 s for ...": "snapd to accept another change of microk8s".

    Raises:
        CommandFailed: it failed in another way.
        DeadlinePassed: it was refused until the end; `why` is the last refusal.
    """
    end = time.monotonic() + time_left(task, timeout)
    while True:
        try:
            return attempt()
        except CommandFailed as error:
            if not refused(error):
                raise
            if end - time.monotonic() <= every:
                raise DeadlinePassed(redact(f"waited {timeout:g} s for {what}"), why=error.why) from error
            reason = error.why or error.what
        if context(task).cancelled.wait(every):
            raise Cancelled(f"the run was ended while waiting for {what}")
        note_retry(task, reason)
