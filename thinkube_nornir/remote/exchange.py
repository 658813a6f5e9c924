"""One round trip to a host on behalf of a step: deadlines, cancelling, redaction and the fact cache, in one place."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

from nornir.core.task import Task

from thinkube_nornir.command import Command, Completed, HostConnection
from thinkube_nornir.context import cancelled, component_of, context, is_read_only, loss, note_retry, time_left
from thinkube_nornir.errors import CommandFailed, Refused, ThinkubeError
from thinkube_nornir.secret import redact

CONNECTION = "thinkube_ssh"
_opening = threading.Lock()
_EVIDENCE = 2000  # characters of a failed command's output that an error shows


def connection(task: Task) -> HostConnection:
    """The host's connection; opening it costs nothing until the first command.

    Raises:
        Unreachable: this run has lost the host: each further attempt would take as long as the first.
    """
    if gone := loss(task):
        raise gone
    with _opening:  # Nornir would open two for two steps that start at once
        return cast(HostConnection, task.host.get_connection(CONNECTION, task.nornir.config))


def exchange(task: Task, commands: Sequence[Command], timeout: float | None = None) -> list[Completed]:
    """Run the commands on the task's host in one round trip.

    Args:
        timeout: seconds for all of them; None for config.yaml's `timeouts.command`.
    """
    limit = context(task).config.timeouts.command if timeout is None else timeout
    evidence, began = context(task).evidence, time.monotonic()
    try:
        answers = connection(task).execute(
            commands, timeout=time_left(task, limit), cancelled=cancelled(task), retried=partial(note_retry, task)
        )
    except ThinkubeError as error:
        if evidence:
            evidence.no_answer(task.host.name, commands, error, began)
        raise
    if evidence:
        evidence.commands(task.host.name, answers, began)
    return answers


def accepted(done: Completed, accept: Sequence[int], what: str = "") -> Completed:
    """Return `done`, or raise CommandFailed when its status is not accepted."""
    if done.status in accept:
        return done
    evidence = redact((done.stderr or done.stdout).decode(errors="backslashreplace").strip())[-_EVIDENCE:]
    raise CommandFailed(
        redact(f"{what or done.command}: exit status {done.status}"),
        status=done.status,
        stdout=done.stdout,
        stderr=done.stderr,
        why=evidence or "the command wrote nothing to stderr or stdout",
        fix=f"try it on the host: {redact(str(done.command))}" if not what else "",
    )


def must_not_be_read_only(task: Task, summary: str) -> None:
    if is_read_only(task):
        raise Refused(
            f"{summary}: a check changes nothing",
            why=f"step {task.name} of {component_of(task)} asked for a change",
            fix="move the change to the setup or rollback chain",
        )


@contextmanager
def facts_forgotten(task: Task) -> Iterator[None]:
    """What was read before or during a change is not believed after it."""
    try:
        yield
    finally:
        context(task).facts.pop(task.host.name, None)
