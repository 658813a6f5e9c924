"""Which steps of a past run are meant, and what is worth saying of them first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.history.runs import PastRun
from thinkube_nornir.journal import NodeRecord

SLOWEST = 5
NOTABLE = 0.5
"""Seconds that a step must have taken to be named among the slowest."""


@dataclass(frozen=True)
class Steps:
    """What is asked of a step; empty is anything."""

    outcomes: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    @property
    def all(self) -> bool:
        return not (self.outcomes or self.components or self.chains or self.hosts)

    def of(self, run: PastRun) -> tuple[NodeRecord, ...]:
        return tuple(node for node in run.nodes if self._has(node))

    def _has(self, node: NodeRecord) -> bool:
        return (
            (not self.outcomes or (node.outcome or "unfinished") in self.outcomes)
            and (not self.components or any(_is_of(node, name) for name in self.components))
            and (not self.chains or node.chain in self.chains)
            and (not self.hosts or node.host in self.hosts)
        )


def _is_of(node: NodeRecord, name: str) -> bool:
    """A component's own name, or its phase's."""
    return node.component == name or node.component.startswith(f"{name}.")


def known_components(names: Sequence[str], run: PastRun) -> tuple[str, ...]:
    """The same names.

    Raises:
        ConfigError: the run had no component or phase of a name.
    """
    known = dict.fromkeys([*run.components, *(name.partition(".")[0] for name in run.components)])
    problems = [
        Problem("--component", f"run {run.run.id} had nothing of {name}", did_you_mean(name, [*known]))
        for name in names
        if name not in known
    ]
    if problems:
        raise ConfigError(problems)
    return tuple(names)


def slowest(nodes: Sequence[NodeRecord]) -> list[NodeRecord]:
    notable = [node for node in nodes if node.duration >= NOTABLE]
    return sorted(notable, key=lambda node: -node.duration)[:SLOWEST]


def retried(nodes: Sequence[NodeRecord]) -> list[NodeRecord]:
    """Steps inside of which something was tried again, the most often first."""
    return sorted((node for node in nodes if node.retries), key=lambda node: -node.retries)
