"""Which nodes of a plan may start now: by what they wait for, their concurrency limits, and the number of workers."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping

from thinkube_nornir.plan import Node, Plan


class Schedule:
    """Not thread-safe.

    Args:
        workers: nodes that may run at once.
        limits: name of a concurrency limit to how many nodes may hold it at once; 1 for those that are not named.
    """

    def __init__(self, plan: Plan, workers: int, limits: Mapping[str, int]) -> None:
        self._plan = plan
        self._free = workers
        self._limits = limits
        self._held: Counter[str] = Counter()
        self._unfinished = len(plan.nodes)
        self._waiting = {node.id: len(node.needs | node.after) for node in plan.nodes}
        self._waiting |= {gate: len(nodes) for gate, nodes in plan.gates.items()}
        self._place = {node.id: number for number, node in enumerate(plan.nodes)}
        self._ready = [self._ranked(node.id) for node in plan.nodes if not self._waiting[node.id]]
        heapq.heapify(self._ready)

    @property
    def over(self) -> bool:
        """Every node is finished."""
        return not self._unfinished

    def start(self) -> list[Node]:
        """Take the nodes that may start now; what its concurrency limit holds back stays."""
        chosen: list[Node] = []
        lacking: list[tuple[float, int]] = []
        while self._ready and self._free:
            ranked = heapq.heappop(self._ready)
            node = self._plan.nodes[ranked[1]]
            limit = node.step.concurrency
            if limit and self._held[limit] >= self._limits.get(limit, 1):
                lacking.append(ranked)
                continue
            if limit:
                self._held[limit] += 1
            self._free -= 1
            chosen.append(node)
        for ranked in lacking:
            heapq.heappush(self._ready, ranked)
        return chosen

    def finish(self, node: Node) -> None:
        self._unfinished -= 1
        self._free += 1
        if node.step.concurrency:
            self._held[node.step.concurrency] -= 1
        ended = [node.id]
        while ended:
            for name in self._plan.dependents[ended.pop()]:
                self._waiting[name] -= 1
                if self._waiting[name]:
                    continue
                if name in self._plan.gates:
                    ended.append(name)
                else:
                    heapq.heappush(self._ready, self._ranked(name))

    def _ranked(self, node: str) -> tuple[float, int]:
        """Longest chain of dependent steps first: it decides how long the whole takes. Then as in the plan."""
        return -self._plan.remaining[node], self._place[node]
