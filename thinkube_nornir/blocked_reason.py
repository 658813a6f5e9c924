"""Why a node was not started, as a skipped result says it: written by the runner, read back by who counts causes."""

from __future__ import annotations

import re
from dataclasses import dataclass

INTERRUPTED = "interrupted"
NOT_FORESEEN = "cannot be foreseen"
"""How a dry run begins what it says of a step that would have to look at what is only promised."""

_UNREACHABLE = re.compile(r"(?P<host>\S+) is unreachable")
_NEEDS = re.compile(r"needs (?P<node>\S+), (?:which failed|and (?P<host>\S+) is unreachable)")


@dataclass(frozen=True)
class BlockedReason:
    """What stands in the way: a node that failed, a host without a connection, or both.

    >>> blocked_reason_in(str(BlockedReason(node="a/setup/b@tkc")))
    BlockedReason(node='a/setup/b@tkc', unreachable='')
    """

    node: str = ""
    unreachable: str = ""

    def __str__(self) -> str:
        if not self.node:
            return f"{self.unreachable} is unreachable"
        return f"needs {self.node}, " + (
            f"and {self.unreachable} is unreachable" if self.unreachable else "which failed"
        )


def blocked_reason_in(message: str) -> BlockedReason | None:
    """None: the step was skipped for a reason of its own."""
    if alone := _UNREACHABLE.fullmatch(message):
        return BlockedReason(unreachable=alone["host"])
    if needed := _NEEDS.fullmatch(message):
        return BlockedReason(needed["node"], needed["host"] or "")
    return None
