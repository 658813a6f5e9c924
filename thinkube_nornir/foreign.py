"""What is not managed inside of something that is about to be removed as a whole.

A namespace, an addon, a release or a cluster takes all that is in it along, also what an operator put there. So a step
that is about to remove such a whole lists what is foreign in it (`foreign_in_namespace`, `foreign_in_cluster` and
`foreign_cluster_wide` of thinkube_nornir.cluster do that), names each thing as its owner knows it, `Deployment
gpu-operator/mine`, and calls `refuse_foreign` before its own first change, in a dry run as well. What can be kept is
kept, and not handed over here.

Without permission that raises HoldsForeign, which names each thing and the command that goes on; a dry run reports it
like a real one, whatever is only planned before it. Permission is given by name alone, `--delete-foreign 'Deployment
gpu-operator/mine'` once for each thing, so that nobody agrees to what he has not read, and what came since is safe. A
thing that holds others, such as a namespace of the operator's own, is named as one, and takes along what it holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nornir.core.task import Task

from thinkube_nornir.context import context
from thinkube_nornir.errors import HoldsForeign

_SHOWN = 8  # names of what a foreign thing holds


@dataclass(frozen=True)
class Foreign:
    """A thing that is not managed."""

    name: str
    """As its owner knows it, and as the operator types it."""
    holds: tuple[str, ...] = ()
    """What goes with it, and need not be named."""

    def __str__(self) -> str:
        if not self.holds:
            return self.name
        more = len(self.holds) - _SHOWN
        return f"{self.name}, with {', '.join(self.holds[:_SHOWN])}" + (f" and {more} more" if more > 0 else "")


def refuse_foreign(task: Task, whole: str, inside: Iterable[Foreign]) -> None:
    """Let a step go on only when all that is foreign inside of what it removes was named by the operator.

    Args:
        whole: what is about to be removed, for the message: `namespace gpu-operator`.

    Raises:
        HoldsForeign: with the name of each thing that was not, and the command that goes on.
    """
    things = {thing.name: thing for thing in inside}
    permission = context(task).permission
    refused = permission.refuse(things)
    if refused:
        raise HoldsForeign(
            f"{whole} holds what is not managed, and would take it along",
            why="\n".join(str(things[name]) for name in refused),
            fix=permission.advice,
        )
