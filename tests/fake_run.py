"""Rows, records and plans to report on, without a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nornir.core.inventory import Host
from nornir.core.task import Result, Task

from thinkube_nornir.component import ChainName, Step
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.plan import Node, Plan
from thinkube_nornir.reporting.record import Failure, NodeEvents, Record, Row


def row(
    step: str = "coredns_answers",
    host: str = "tkc",
    outcome: Outcome | None = Outcome.PASSED,
    *,
    component: str = "phase5.coredns",
    chain: str = "verify",
    **more: Any,
) -> Row:
    return Row(
        id=f"{component}/{chain}/{step}@{host}",
        component=component,
        chain=chain,
        step=step,
        host=host,
        outcome=outcome,
        **more,
    )


def failed(step: str = "coredns_answers", host: str = "tkc", what: str = "0 of 2 pods are ready", **more: Any) -> Row:
    failure = Failure(
        "CheckFailed", what, "the Corefile has no forward line", "run: thinkube-nornir run phase5.coredns"
    )
    return row(step, host, Outcome.FAILED, message=what, failure=failure, **more)


def record(*rows: Row, verb: str = "run", **more: Any) -> Record:
    given: dict[str, Any] = {
        "verb": verb,
        "selection": ("phase5",),
        "limit": "",
        "hosts": tuple(dict.fromkeys(r.host for r in rows)),
        "target": "ssh",
        "rows": rows,
        "run_id": 7,
        "started": 1_700_000_000.0,
        "duration": 1.5,
        "log": ".thinkube/logs/run.log",
    }
    return Record(**(given | more))


MIXED = record(
    row("install", chain="setup", outcome=Outcome.CHANGED, message="install microk8s", started=1_700_000_000.5),
    row(),
    failed(host="tkw1"),
    row(host="tkw2", outcome=Outcome.SKIPPED, message="tkw2 is unreachable"),
    row(host="tkw3", outcome=None),
)
"""A change, a check that holds, one that does not, one that was not run, and one that nothing was heard of."""


def plan(*steps: str, hosts: Sequence[str] = ("tkc",), chain: ChainName = "setup") -> Plan:
    """Every step on every host, as component phase5.coredns."""
    nodes = [
        Node(f"phase5.coredns/{chain}/{name}@{host}", "phase5.coredns", chain, Step(_function(name)), host)
        for host in hosts
        for name in steps
    ]
    return Plan("run", tuple(nodes))


def _function(name: str) -> Any:
    def step(task: Task) -> Result:
        raise NotImplementedError

    step.__name__ = name
    return step


def complete(listener: NodeEvents, node: Node, **result: Any) -> None:
    """Let a listener hear that a node ended."""
    listener.node_completed(node.id, node.host, Result(Host(node.host), **result))
