"""The report for machines, as docs/report-schema.md describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from thinkube_nornir import __version__
from thinkube_nornir.reporting.matrix import COUNTED
from thinkube_nornir.reporting.record import Record, Row, by_host
from thinkube_nornir.reporting.rendering import iso_time
from thinkube_nornir.reporting.terminal import clean

SCHEMA = 1
"""docs/report.schema.json; raised when members change."""


def as_json(record: Record) -> str:
    return json.dumps(as_dict(record), indent=2, ensure_ascii=False) + "\n"


def as_dict(record: Record) -> dict[str, Any]:
    """The report as docs/report-schema.md describes it."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "thinkube-nornir", "version": __version__},
        "run": {
            "id": record.run_id,
            "verb": record.verb,
            "selection": [clean(name) for name in record.selection],
            "limit": clean(record.limit),
            "hosts": list(record.hosts),
            "target": record.target,
            "emulated": list(record.emulated),
            "dry_run": record.dry_run,
            "started": iso_time(record.started),
            "duration": round(record.duration, 3),
            "log": record.log,
        },
        "verdict": record.verdict,
        "exit_code": record.exit_code,
        "counts": _counts(record.counts),
        "hosts": {host: _counts(counts) for host, counts in by_host(record.rows).items()},
        "nodes": [_node(row) for row in record.rows],
    }


def _counts(counts: Mapping[str, int]) -> dict[str, int]:
    return {word: counts.get(word, 0) for word in COUNTED}


def _node(row: Row) -> dict[str, Any]:
    failure = row.failure
    return {
        "id": row.id,
        "component": row.component,
        "chain": row.chain,
        "step": row.step,
        "host": row.host,
        "prerequisite": row.prerequisite,
        "outcome": row.word,
        "message": row.message,
        "diff": row.diff,
        "started": iso_time(row.started),
        "duration": round(row.duration, 3),
        "error": {"kind": failure.kind, "what": failure.what, "why": failure.why, "fix": failure.fix}
        if failure
        else None,
    }
