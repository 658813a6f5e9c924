"""What is ours: every change with what is needed to undo it. journal.py keeps it in SQLite; tests keep it in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Change:
    """One alteration we made, or began to make, and have not undone.

    Args:
        host: the host it was made on; for cluster objects the host through which the cluster was reached.
        component: full name, `phase5.coredns`.
        key: what was altered, unique on the host: `file:/etc/microk8s.yaml`, `snap:microk8s`,
            `object:v1/ConfigMap/kube-system/coredns`.
        summary: for people, "install microk8s 1.32/stable".
        before: the former state, JSON; what it holds is between the step that records and the one that undoes.
        state: `intended` before the effect, `done` after it. A killed run leaves `intended`: it may or may not be there.
    """

    id: int
    host: str
    component: str
    key: str
    summary: str
    before: Mapping[str, Any]
    state: str


class Ledger(Protocol):
    """Thread-safe."""

    def intend(self, *, host: str, component: str, key: str, summary: str, before: Mapping[str, Any]) -> Change:
        """Record what is about to be done. When `key` is ours on this host already, its first `before` is kept."""
        ...

    def done(self, change: Change) -> None: ...

    def undone(self, change: Change) -> None:
        """It is no longer ours."""
        ...

    def ours(self, host: str, key: str) -> Change | None:
        """The change recorded under `key`, intended or done, and not undone."""
        ...

    def changes(self, *, host: str | None = None, component: str | None = None) -> list[Change]:
        """All that is ours, oldest first."""
        ...
