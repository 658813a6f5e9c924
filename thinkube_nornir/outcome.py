"""What became of a step: the six outcomes, and the results that steps return."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from nornir.core.task import MultiResult, Result, Task

from thinkube_nornir.errors import ThinkubeError


class Outcome(StrEnum):
    CHANGED = "changed"
    PLANNED = "planned"
    """A dry run promises this change and has not made it."""
    UNCHANGED = "unchanged"
    PASSED = "passed"
    """A check, of preconditions or verify, holds."""
    SKIPPED = "skipped"
    FAILED = "failed"

    @property
    def good(self) -> bool:
        """Whether steps that need this one may start."""
        return self in (Outcome.CHANGED, Outcome.PLANNED, Outcome.UNCHANGED, Outcome.PASSED)

    @property
    def quiet(self) -> bool:
        """Whether the end of a run tells it well enough: nothing was done, and nothing is wrong with this step."""
        return self not in (Outcome.CHANGED, Outcome.FAILED)

    def of_check(self) -> Outcome:
        """The outcome of a check that answered this: a plain Nornir task says `unchanged` for passed."""
        return Outcome.PASSED if self is Outcome.UNCHANGED else self


def unchanged(task: Task, message: str) -> Result:
    """What a step returns that had nothing to change; `message` says what was seen."""
    return Result(task.host, result=message, outcome=Outcome.UNCHANGED)


def passed(task: Task, message: str) -> Result:
    """What a check returns that holds; `message` says what was seen."""
    return Result(task.host, result=message, outcome=Outcome.PASSED)


def changed(task: Task, message: str, *, diff: str = "", planned: bool = False) -> Result:
    return Result(
        task.host,
        result=message,
        diff=diff,
        changed=True,
        outcome=Outcome.PLANNED if planned else Outcome.CHANGED,
    )


def skipped(task: Task, reason: str) -> Result:
    return Result(task.host, result=reason, outcome=Outcome.SKIPPED)


def all_of(task: Task, *results: Result) -> Result:
    """One result for a step that made several changes: changed if any was, and every message of those."""
    shown = [r for r in results if r.changed] or list(results)
    diff = "".join(r.diff for r in results)
    if not any(r.changed for r in results):
        return unchanged(task, "; ".join(str(r.result) for r in shown))
    planned = any(outcome_of(r) is Outcome.PLANNED for r in results)
    return changed(task, "; ".join(str(r.result) for r in shown), diff=diff, planned=planned)


def said_with_changes(task: Task, results: Sequence[Result]) -> Result:
    """Return one result as all_of does, with messages of what did not change, too."""
    result = all_of(task, *results)
    if result.changed:
        result.result = "; ".join(str(each.result) for each in results)
    return result


def outcome_of(result: Result | MultiResult) -> Outcome:
    """The outcome of any Nornir result, also of one from a task that knows nothing of outcomes."""
    if result.failed or result.exception:
        return Outcome.FAILED
    outcome = getattr(result, "outcome", None)
    if isinstance(outcome, Outcome):
        return outcome
    return Outcome.CHANGED if result.changed else Outcome.UNCHANGED


def error_of(result: Result | MultiResult) -> ThinkubeError | None:
    """The error of a failed result; an exception nobody foresaw is wrapped, its traceback goes to the log."""
    error = result.exception
    if error is None or isinstance(error, ThinkubeError):
        return error
    return ThinkubeError(
        f"unexpected {type(error).__name__}: {error}",
        why="this is a fault of thinkube-nornir, not of the host",
        fix="run again with -v and report the traceback in the log",
    )
