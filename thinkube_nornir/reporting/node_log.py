"""What each node came to, in the log file; of a failure all the evidence there is.

Starts, and what was as it should be, with `-vv` only: the journal has them, and a line for each makes verify slower.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from thinkube_nornir.errors import CommandFailed
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.reporting.record import NodeEvents

if TYPE_CHECKING:
    from nornir.core.task import Result

log = logging.getLogger(__name__)


class NodeLog(NodeEvents):
    def node_started(self, node: str, host: str) -> None:  # noqa: ARG002 the node's id names the host
        log.debug("%s: started", node)

    def node_completed(self, node: str, host: str, result: Result) -> None:  # noqa: ARG002 the protocol gives it, too
        outcome = outcome_of(result)
        if outcome is not Outcome.FAILED:
            level = logging.DEBUG if outcome in (Outcome.UNCHANGED, Outcome.PASSED) else logging.INFO
            log.log(level, "%s: %s: %s", node, outcome, result.result)
            return
        log.error("%s: failed: %s%s", node, result.exception or result.result, _output(result.exception))


def _output(error: BaseException | None) -> str:
    """A failed command's output, whole: an error shows the end of it only."""
    if not isinstance(error, CommandFailed):
        return ""
    streams = (("stdout", error.stdout), ("stderr", error.stderr))
    return "".join(f"\n{name}:\n{data.decode(errors='backslashreplace')}" for name, data in streams if data)
