"""Runs of a phase with what they were given, as lessons are drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from thinkube_nornir.inputs import Inputs
from thinkube_nornir.journal import NodeRecord, Run
from thinkube_nornir.lessons.past import PhaseRun

_HOUR = 3600.0
NOON = 1_700_000_000.0


def node(name: str = "verify/answers", host: str = "tkc", outcome: str | None = "passed", **more: Any) -> NodeRecord:
    """`setup/join` of component phase5.coredns; `kind`, `what`, `why` for a failure, `seconds` for how long it took."""
    component, seconds = more.pop("component", "phase5.coredns"), more.pop("seconds", 0.1)
    error = None
    if outcome == "failed":
        error = {"kind": "CheckFailed", "what": "it is wrong", "why": "somebody did it", "fix": "repair it"}
        error |= {key: more.pop(key) for key in [*error] if key in more}
    return NodeRecord(
        node=f"{component}/{name}@{host}",
        host=host,
        started=0.0,
        finished=None if outcome is None else seconds,
        outcome=outcome,
        message="",
        error=error,
        **more,
    )


def failed(name: str = "verify/answers", host: str = "tkc", **more: Any) -> NodeRecord:
    return node(name, host, "failed", **more)


def changed(name: str = "setup/apply", host: str = "tkc", **more: Any) -> NodeRecord:
    return node(name, host, "changed", **more)


def phase_run(
    number: int,
    *nodes: NodeRecord,
    verb: str = "run",
    scope: str = "ssh",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    files: Mapping[str, str] | None = None,
    revision: str = "",
    known: bool = True,
    outcome: str | None = "done",
) -> PhaseRun:
    """Run number n started n hours after noon, and its steps followed each other."""
    began = at = NOON + number * _HOUR
    timed = []
    for each in nodes:
        took = each.finished
        timed.append(replace(each, started=at, finished=None if took is None else at + took))
        at += took or 0.0
    run = Run(
        id=number,
        scope=scope,
        verb=verb,
        selection=("phase5",),
        hosts="",
        dry_run=False,
        pid=1,
        started=began,
        finished=at if outcome else None,
        outcome=outcome,
        settings="x" if known else "",
        files="y" if known else "",
        revision=revision,
    )
    own = tuple(each for each in timed if each.component.startswith("phase5."))
    altered = tuple(each for each in timed if each.outcome == "changed")
    return PhaseRun(run, own, altered, Inputs(settings or {}, files or {}, revision))


SET_UP = phase_run(1, changed())
"""A first run, after which the component is set up on tkc."""
