"""Orders to snapd: while it works on a snap it refuses every other order for that snap, so these are repeated.

It is at work more often than one sees: programs and services of a snap order it about through `snapctl`, and what
`snapctl` gave up waiting for goes on.

Source: canonical/snapd@2.66.1 overlord/snapstate/conflict.go
Source: canonical/snapd@2.66.1 overlord/servicestate/servicestate.go
Source: canonical/snapd@2.66.1 overlord/hookstate/ctlcmd/helpers.go
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from nornir.core.task import Task

from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.errors import CommandFailed, DeadlinePassed
from thinkube_nornir.remote import fresh, read, wait_until
from thinkube_nornir.remote.exchange import facts_forgotten
from thinkube_nornir.remote.retry import retry

T = TypeVar("T")

_BUSY = 600.0
"""Seconds; starting containerd alone may take 300, and each stop of a service 30."""
_EVERY = 2.0
_REFUSAL = re.compile(r'has (?:"[^"]+" change|changes) in progress|no other changes allowed until this is done')
"""Known by its words: the exit status is 10 for a snap's own changes, and 1 for its services' and for snapctl."""
_FIX = "see `snap changes`, and `snap tasks ID` of the one that goes on; `snap abort ID` ends it; then run this again"


@dataclass(frozen=True)
class SnapdChange:
    number: str
    status: str
    """`Doing`, `Do`, `Undoing`, `Wait` ...: of those that are not ready."""
    summary: str


_READY = ("Done", "Undone", "Hold", "Error")


def parse_changes(done: Completed) -> tuple[SnapdChange, ...]:
    """What snapd has not finished, from `snap changes`, which also lists what it did since yesterday.

    Number, status, spawn, ready and summary stand in columns that at least two spaces divide.

    Source: canonical/snapd@2.66.1 cmd/snap/cmd_changes.go
    Source: canonical/snapd@2.66.1 overlord/state/change.go
    """
    rows = [re.split(r" {2,}", line.strip(), maxsplit=4) for line in done.text.splitlines()]
    return tuple(
        SnapdChange(row[0], row[1], row[4])
        for row in rows
        if len(row) == 5 and row[0].isdigit() and row[1] not in _READY
    )


WORK = Fact("work of snapd", ("snap", "changes"), parse_changes, accept=None)


def order(task: Task, snap: str, attempt: Callable[[], T]) -> T:
    """What makes snapd change the snap or its services, directly or through another program, as soon as it accepts it.

    Raises:
        DeadlinePassed: snapd was at work on the snap all the time; says on what.
    """
    what = f"snapd to accept another change of {snap}"
    try:
        return retry(task, attempt, refused=_is_refusal, what=what, timeout=_BUSY, every=_EVERY)
    except DeadlinePassed as error:
        raise DeadlinePassed(error.what, why="\n".join((error.why, *_shown(task))), fix=_FIX) from error


def await_idle(task: Task, snap: str) -> None:
    """What is read about a snap while it is being installed or removed is not what will be.

    Raises:
        DeadlinePassed: snapd did not finish.
    """
    if not _busy_with(snap, read(task, WORK)):
        return
    what = f"snapd to finish its work on {snap}"
    try:
        with facts_forgotten(task):
            wait_until(task, WORK, lambda work: not _busy_with(snap, work), what=what, timeout=_BUSY, every=_EVERY)
    except DeadlinePassed as error:
        raise DeadlinePassed(error.what, why="\n".join(_shown(task)) or error.why, fix=_FIX) from error


def _busy_with(snap: str, work: tuple[SnapdChange, ...]) -> bool:
    """`snap stop` does not say of which snap: it may be this one."""
    return any(snap in change.summary or change.summary == "Running service command" for change in work)


def _is_refusal(error: CommandFailed) -> bool:
    """In what was printed, with its line breaks taken out: snap wraps long messages."""
    return bool(_REFUSAL.search(" ".join((error.stderr + b" " + error.stdout).decode(errors="replace").split())))


def _shown(task: Task) -> tuple[str, ...]:
    return tuple(f"change {work.number}: {work.status}: {work.summary}" for work in fresh(task, WORK))
