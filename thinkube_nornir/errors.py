"""Every error that is raised on purpose. The raiser knows what, why and fix; the runner adds where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ThinkubeError(Exception):
    """Base of all errors this program raises on purpose.

    Args:
        what: the statement that failed, one line.
        why: the evidence or the cause; may have several lines.
        fix: what the operator does next.
    """

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.why, self.fix) if part)


@dataclass(frozen=True)
class Problem:
    """One mistake in the operator's input, and where it stands."""

    where: str
    """`inventory/hosts.yaml:12`, or `-l/--limit` for the command line."""
    what: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.fix})" if self.fix else "")


class ConfigError(ThinkubeError):
    """The request, config.yaml or the inventory is wrong; nothing was changed. Exit code 2.

    Carries every mistake found, not only the first.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Unreachable(ThinkubeError):
    """No connection to the host: refused, timed out, host key unknown or changed, authentication failed."""


class CommandFailed(ThinkubeError):
    """A remote command ended with a status that was not accepted."""

    def __init__(self, what: str, *, status: int, stdout: bytes, stderr: bytes, why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.status = status
        self.stdout = stdout
        self.stderr = stderr


class DeadlinePassed(ThinkubeError):
    """A command, wait or connection ran out of time; `why` says what was last seen."""


class CheckFailed(ThinkubeError):
    """A check of a verify chain, or a precondition, is false. State what was expected and what was seen."""


class Refused(ThinkubeError):
    """It could be done and must not: something foreign, or something that others still need, is in the way.

    Args:
        may_pass: in a dry run what is only planned before it may put it right; else a dry run of a rollback fails, too.
    """

    def __init__(self, what: str, *, why: str = "", fix: str = "", may_pass: bool = False) -> None:
        super().__init__(what, why=why, fix=fix)
        self.may_pass = may_pass


class HoldsForeign(Refused):
    """What is to be removed as a whole holds something foreign. Nothing is removed, and a dry run fails as well."""


class SkippedInDryRun(Refused):
    """A check that has to write, as a probe pod does, is skipped in a dry run; the host is not at fault."""


class ClusterError(ThinkubeError):
    """The Kubernetes API answered with an error, or did not answer."""

    def __init__(self, what: str, *, status: int | None = None, why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.status = status
        self.answered = "" if status is None else why
        """What it said when it last answered, though that may have been before the attempt that failed."""


class ClusterUnreachable(ClusterError):
    """The host through which the Kubernetes API is reached does not answer; the step acts on another one."""


class Cancelled(ThinkubeError):
    """The operator ended the run (second Ctrl-C) while this step was at work."""
