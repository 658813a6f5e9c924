"""Past runs for machines: docs/history.md describes it, docs/history.schema.json is its exact form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from thinkube_nornir.history.difference import KINDS, Difference, Fact, Pair
from thinkube_nornir.history.runs import Listed, PastRun, duration
from thinkube_nornir.journal import NodeRecord, Run
from thinkube_nornir.reporting.rendering import iso_time
from thinkube_nornir.reporting.terminal import clean

SCHEMA = 1
"""Raised when members change."""


def text(value: Mapping[str, Any]) -> str:
    """Write JSON in ASCII, which any stream can carry."""
    return json.dumps({"schema": SCHEMA, **value}, indent=2) + "\n"


def history(listed: Iterable[Listed], total: int) -> dict[str, Any]:
    return {"total": total, "runs": [run(each.run, each.verdict, each.counts) for each in listed]}


def shown(past: PastRun, nodes: Iterable[NodeRecord]) -> dict[str, Any]:
    return {"run": run(past.run, past.verdict, past.counts), "nodes": [node(each) for each in nodes]}


def difference(found: Difference) -> dict[str, Any]:
    return {
        "old": run(found.old.run, found.old.verdict, found.old.counts),
        "new": run(found.new.run, found.new.verdict, found.new.counts),
        "differs": [_fact(fact) for fact in found.facts],
        "steps": {kind: [_pair(pair) for pair in found.steps.get(kind, ())] for kind in KINDS},
    }


def _fact(fact: Fact) -> dict[str, Any]:
    plain = {"kind": fact.kind, "name": clean(fact.name), "old": clean(fact.old), "new": clean(fact.new)}
    return {**plain, "hosts": list(fact.hosts)}


def _pair(pair: Pair) -> dict[str, Any]:
    each = {"old": pair.old and node(pair.old), "new": pair.new and node(pair.new)}
    return {"id": pair.node.node, **each}


def run(run: Run, verdict: str, counts: Mapping[str, int]) -> dict[str, Any]:
    seconds = duration(run)
    return {
        "id": run.id,
        "verb": run.verb,
        "selection": [clean(name) for name in run.selection],
        "limit": clean(run.hosts),
        "dry_run": run.dry_run,
        "target": run.target,
        "started": iso_time(run.started),
        "duration": None if seconds is None else round(seconds, 3),
        "verdict": verdict,
        "counts": dict(sorted(counts.items())),
    }


def node(node: NodeRecord) -> dict[str, Any]:
    error = node.error
    return {
        "id": node.node,
        "component": node.component,
        "chain": node.chain,
        "step": node.step,
        "host": node.host,
        "outcome": node.outcome or "unfinished",
        "message": clean(node.message),
        "started": iso_time(node.started),
        "duration": round(node.duration, 3) if node.finished else None,
        "error": {name: clean(error.get(name, "")) for name in ("kind", "what", "why", "fix")} if error else None,
        "retries": node.retries,
        "retried": clean(node.retried),
    }
