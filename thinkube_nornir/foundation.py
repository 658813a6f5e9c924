"""What a node of a running plan stands on: what went wrong before it, and in a dry run what is only promised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nornir.core.task import Result

from thinkube_nornir.blocked_reason import INTERRUPTED, BlockedReason
from thinkube_nornir.context import Context
from thinkube_nornir.errors import Refused
from thinkube_nornir.outcome import Outcome, outcome_of
from thinkube_nornir.plan import Node, Plan


@dataclass
class Foundation:
    """Not thread-safe where it is told something; asking is."""

    plan: Plan
    context: Context
    results: Mapping[str, Result]
    """The runner's own, as they come."""
    blocked: set[str] = field(default_factory=set)
    """Nodes that were not started; what needs them is not started either."""
    _causes: dict[str, str] = field(default_factory=dict)
    """Of gates: a node that failed or was not started; empty when there is none."""
    _promises: dict[str, int] = field(default_factory=dict)
    """In a dry run, of nodes and gates: the promised changes up to and with it, a bit for each."""

    def blocked_reason(self, node: Node, *, stopping: bool) -> str:
        """Why a node is not started, which is remembered; empty when nothing stands in its way."""
        reason = INTERRUPTED if stopping else self._in_the_way(node)
        if reason:
            self.blocked.add(node.id)
        return reason

    def _in_the_way(self, node: Node) -> str:
        if node.host in self.context.roster.unreachable:
            return str(BlockedReason(unreachable=node.host))
        for need in sorted(node.needs):
            if cause := self._cause(need):
                return str(self._behind(self._root(cause)))
        return ""

    def _cause(self, need: str) -> str:
        """The node that failed or was not started, of a gate the first by name; empty when all is well."""
        if need not in self.plan.gates:
            return need if self.is_bad(need) else ""
        if need not in self._causes:
            self._causes[need] = min(filter(self.is_bad, self.plan.gates[need]), default="")
        return self._causes[need]

    def is_bad(self, node: str) -> bool:
        """Whether it keeps others from starting. A refusal in the dry run of a rollback does not."""
        if node in self.blocked:
            return True
        found = self.results.get(node)
        if found is None or outcome_of(found) is not Outcome.FAILED:
            return False
        no_effect = self.context.dry_run and self.plan.by_id[node].chain == "rollback"
        return not (no_effect and isinstance(found.exception, Refused))

    def _root(self, need: str) -> str:
        """The failed node behind a chain of nodes that were not started because of it."""
        seen = need
        while seen in self.blocked:
            causes = [cause for need in sorted(self.plan.by_id[seen].needs) if (cause := self._cause(need))]
            if not causes:
                break
            seen = causes[0]
        return seen

    def _behind(self, root: str) -> BlockedReason:
        host = self.plan.by_id[root].host
        return BlockedReason(root, host if host in self.context.roster.unreachable else "")

    def promised(self, node: Node) -> int:
        """How many promised changes this one stands on, directly or not."""
        return self._standing_on(node.needs | node.after).bit_count()

    def _standing_on(self, names: Iterable[str]) -> int:
        found = 0
        for name in names:
            if name in self.plan.gates and name not in self._promises:
                self._promises[name] = self._standing_on(self.plan.gates[name])
            found |= self._promises.get(name, 0)
        return found

    def promise(self, node: Node, planned: bool) -> None:
        """A node of a dry run has ended, with a promise of its own or without."""
        own = 1 << len(self._promises) if planned else 0
        self._promises[node.id] = self._standing_on(node.needs | node.after) | own
