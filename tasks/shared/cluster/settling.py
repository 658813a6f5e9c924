"""Asking again: right after a change of names or servers, some askers still get the answer from before.

After a roll-out of CoreDNS kube-proxy of another node sends to the old pod for seconds, and answers are cached: CoreDNS
keeps them for 30 s. So a check of names says no only when the answer is still wrong after `dns_settle_seconds`, counted
per host from the first wrong one; a host whose names stay wrong costs that time once, not once for each check.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from nornir.core.task import Task

from thinkube_nornir.command import Fact
from thinkube_nornir.context import context, setting
from thinkube_nornir.errors import Cancelled

T = TypeVar("T")
_PAUSE = 1.0  # seconds between two attempts
_UNTIL: Fact[float] = Fact("when names have settled", (), lambda _: 0.0)


def settled(task: Task, ask: Callable[[], T], right: Callable[[T], bool], *, forget: tuple[Fact[Any], ...]) -> T:
    """The answer as soon as it is right, or the last one when time is over.

    Args:
        forget: the facts of which the answer is made; they are read anew before it is asked for again.

    Raises:
        Cancelled: the operator ended the run.
    """
    while not right(answer := ask()) and _may_ask_again(task):
        for fact in forget:
            context(task).facts[task.host.name].pop(fact, None)
    return answer


def _may_ask_again(task: Task) -> bool:
    run = context(task)
    known = run.facts.setdefault(task.host.name, {})
    now = time.monotonic()
    seconds = float(setting(task, "dns_settle_seconds"))
    left = known.setdefault(_UNTIL, now + seconds) - now
    if left <= 0:
        return False
    if run.cancelled.wait(min(_PAUSE, left)):
        raise Cancelled("the run was ended while names settled")
    return True
