"""The only way to a host: read and run look, change and put alter (a dry run promises), undo and restore roll back.

    read(task, files.TEXT("/etc/hosts"), units.ACTIVE)      facts, together in one round trip, cached until a change
    run(task, "hostname", "-f")                             a look, not cached
    change(task, "install x", "snap", "install", "x", root=True, key="snap:x", before={"installed": False})
    put(task, File("/etc/x.conf", b"..."))                  atomic, previous content kept, unchanged files not touched
    undo(task, "snap:x", "remove x", "snap", "remove", "x", root=True)
    restore(task, "/etc/x.conf")
    wait_until(task, units.ACTIVE("x"), bool, what="unit x to become active", timeout=60)

Every text that an error or a result carries is redacted here; commands take argument lists only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from nornir.core.task import Result, Task

from thinkube_nornir.command import Command, Completed, Fact
from thinkube_nornir.context import context, time_left
from thinkube_nornir.errors import Cancelled, DeadlinePassed, Refused, ThinkubeError
from thinkube_nornir.outcome import changed, unchanged
from thinkube_nornir.remote.exchange import accepted, exchange, facts_forgotten, must_not_be_read_only
from thinkube_nornir.remote.on_host_state import changing, record_of, undoing
from thinkube_nornir.secret import redact

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


@overload
def read(task: Task, fact: Fact[T], /) -> T: ...
@overload
def read(task: Task, fact: Fact[T], second: Fact[A], /) -> tuple[T, A]: ...
@overload
def read(task: Task, fact: Fact[T], second: Fact[A], third: Fact[B], /) -> tuple[T, A, B]: ...
@overload
def read(task: Task, fact: Fact[T], second: Fact[A], third: Fact[B], fourth: Fact[C], /) -> tuple[T, A, B, C]: ...
@overload
def read(task: Task, *facts: Fact[Any]) -> Any: ...
def read(task: Task, *facts: Fact[Any]) -> Any:
    """Return one fact's value, or a tuple of several; those not in the cache are read in one round trip.

    Raises:
        CommandFailed: a fact's command ended with a status that its parser does not understand.
    """
    cache = context(task).facts.setdefault(task.host.name, {})
    missing = [fact for fact in dict.fromkeys(facts) if fact not in cache]
    if missing:
        answers = exchange(task, [fact.command for fact in missing], _limit(task, missing))
        cache.update({fact: _value(fact, done) for fact, done in zip(missing, answers, strict=True)})
    values = tuple(cache[fact] for fact in facts)
    return values[0] if len(values) == 1 else values


def fresh(task: Task, fact: Fact[T]) -> T:
    """Return a fact's value as it is now; the cache is neither asked nor changed."""
    return _value(fact, exchange(task, [fact.command], _limit(task, [fact]))[0])


def _limit(task: Task, facts: Sequence[Fact[Any]]) -> float:
    """Seconds for one round trip: what the slowest of its facts may take."""
    return max(context(task).config.timeouts.command, *(fact.timeout or 0.0 for fact in facts))


def run(
    task: Task,
    *argv: str,
    root: bool = False,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    accept: Sequence[int] = (0,),
    timeout: float | None = None,
) -> Completed:
    """Run a command that only looks.

    Raises:
        CommandFailed: its exit status is not in `accept`.
    """
    command = Command(argv, stdin, root, env or {})
    return accepted(exchange(task, [command], timeout)[0], accept)


def change(
    task: Task,
    summary: str,
    *argv: str,
    root: bool = False,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    key: str | None = None,
    before: Mapping[str, Any] | None = None,
    accept: Sequence[int] = (0,),
    timeout: float | None = None,
) -> Result:
    """Run a command that alters the host; a dry run only promises it.

    Args:
        summary: for people, in the imperative: "install microk8s 1.35/stable".
        key: under which it becomes managed, in the change log and on the host; None for what needs no undoing.
        before: the previous state, JSON, for the step that undoes it.

    Raises:
        Refused: the run is read-only, or another controller holds the host's lock.
        CommandFailed: its exit status is not in `accept`.
    """
    summary = redact(summary)
    must_not_be_read_only(task, summary)
    if context(task).dry_run:
        return changed(task, summary, planned=True)
    command = Command(argv, stdin, root, env or {}, alters=True)
    if key is None:
        _effect(task, summary, command, accept, timeout)
        return changed(task, summary)
    change_log, record = context(task).change_log, record_of(task, key, summary, before or {})
    recorded = change_log.intend(host=task.host.name, **vars(record))
    _effect(task, summary, changing(command, record), accept, timeout)
    change_log.done(recorded)
    return changed(task, summary)


def run_for_output(
    task: Task,
    summary: str,
    *argv: str,
    root: bool = False,
    stdin: bytes = b"",
    timeout: float | None = None,
) -> Completed:
    """Run a command that alters the host for the sake of what it prints: a token. It is not recorded, and never undone.

    Raises:
        Refused: the run is read-only or dry; a dry run must promise and return before it comes here.
        CommandFailed: its exit status is not 0.
    """
    must_not_be_read_only(task, summary)
    if context(task).dry_run:
        raise Refused(f"{summary}: a dry run changes nothing")
    command = Command(argv, stdin, root, alters=True)
    return accepted(exchange(task, [command], timeout)[0], (0,), summary)


def undo(
    task: Task,
    key: str,
    summary: str,
    *argv: str,
    root: bool = False,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    accept: Sequence[int] = (0,),
    timeout: float | None = None,
) -> Result:
    """Run the command that rolls back the change `key`, if that is managed, and forget it; else do nothing.

    Without a command only the record goes: what we changed is not there any more. `root` as it was in the change.
    """
    summary = redact(summary)
    change_log = context(task).change_log
    recorded = change_log.managed(task.host.name, key)
    if recorded is None:
        return unchanged(task, f"{key} is not managed")
    must_not_be_read_only(task, summary)
    if context(task).dry_run:
        return changed(task, summary, planned=True)
    command = Command(argv or ("true",), stdin, root, env or {}, alters=True)
    _effect(task, summary, undoing(command, key, accept), accept, timeout)
    change_log.undone(recorded)
    return changed(task, summary)


def wait_until(
    task: Task,
    fact: Fact[T],
    condition: Callable[[T], bool],
    *,
    what: str,
    timeout: float,
    every: float = 0.5,
) -> T:
    """Read the fact anew every `every` seconds until the condition holds; return the value that met it.

    Args:
        what: completes "waited 60 s for ...": "snapd to finish its changes".

    Raises:
        DeadlinePassed: it never held; says what was seen last.
    """
    left = _countdown(task, timeout)
    while not condition(value := fresh(task, fact)):
        if left() <= every:
            raise DeadlinePassed(
                redact(f"waited {timeout:g} s for {what}"),
                why=redact(f"last seen: {fact.name} = {value!r}"),
            )
        if context(task).cancelled.wait(every):
            raise Cancelled(f"the run was ended while waiting for {what}")
    return value


def _countdown(task: Task, timeout: float) -> Callable[[], float]:
    end = time.monotonic() + time_left(task, timeout)
    return lambda: end - time.monotonic()


def _effect(task: Task, summary: str, command: Command, accept: Sequence[int], timeout: float | None) -> None:
    with facts_forgotten(task):
        done = exchange(task, [command], timeout)[0]
    accepted(done, accept, summary)


def _value(fact: Fact[T], done: Completed) -> T:
    if fact.accept is not None:
        accepted(done, fact.accept)
    try:
        return fact.parse(done)
    except (ValueError, LookupError, TypeError) as error:
        raise ThinkubeError(
            f"{fact.name}: the answer of {done.command} is not understood",
            why=redact(_misunderstood(done, error)),
            fix=redact(f"try it on the host: {done.command}"),
        ) from error


def _misunderstood(done: Completed, error: Exception) -> str:
    if not done.stdout.strip():
        stderr = done.stderr.decode(errors="backslashreplace").strip()[-500:]
        return f"it ended with status {done.status} and said nothing{f'; on stderr: {stderr}' if stderr else ''}"
    counted = "it has not as many lines as were asked for" if "zip()" in str(error) else str(error)
    return f"{counted}; it said: {done.text[:500]!r}"
