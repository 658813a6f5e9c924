"""The report for machines, as docs/report-schema.md describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from thinkube_nornir import __version__
from thinkube_nornir.reporting.causes import Cause, causes
from thinkube_nornir.reporting.critical_path import critical_path
from thinkube_nornir.reporting.matrix import COUNTED
from thinkube_nornir.reporting.planned import planned, unknown
from thinkube_nornir.reporting.record import Failure, Record, Row, by_host
from thinkube_nornir.reporting.rendering import iso_time
from thinkube_nornir.reporting.terminal import clean

if TYPE_CHECKING:
    from thinkube_nornir.reporting.topology import Topology

SCHEMA = 2
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
            "left_out": {name: list(hosts) for name, hosts in record.left_out.items()},
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
        "next": clean(record.next_command),
        "causes": [_cause(cause) for cause in causes(record)],
        "planned": [{**asdict(change), "hosts": list(change.hosts)} for change in planned(record)],
        "unknown": [{**asdict(part), "steps": list(part.steps), "hosts": list(part.hosts)} for part in unknown(record)]
        if record.dry_run
        else [],
        "critical_path": [row.id for row in critical_path(record.rows)],
        "topology": _topology(record.topology) if record.topology else None,
        "nodes": [_node(row) for row in record.rows],
    }


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "error": _error(cause.failure),
        "hosts": list(cause.hosts),
        "failed": [row.id for row in cause.rows],
        "not_run": [row.id for row in cause.not_run],
    }


def _error(failure: Failure) -> dict[str, str]:
    return {"kind": failure.kind, "what": failure.what, "why": failure.why, "fix": failure.fix}


def _topology(topology: Topology) -> dict[str, Any]:
    return {
        "hosts": [_cleaned(asdict(host)) for host in topology.hosts],
        "networks": [_cleaned(asdict(network)) for network in topology.networks],
        "clusters": [_cleaned(asdict(cluster)) for cluster in topology.clusters],
        "facts": _cleaned(dict(topology.facts)),
    }


def _cleaned(value: Any) -> Any:
    """It comes from the operator's files, and was not cleaned as rows are."""
    if isinstance(value, Mapping):
        return {clean(key): _cleaned(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list | tuple) else clean(value)


def _counts(counts: Mapping[str, int]) -> dict[str, int]:
    return {word: counts.get(word, 0) for word in COUNTED}


def _node(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "component": row.component,
        "chain": row.chain,
        "step": row.step,
        "about": row.about,
        "host": row.host,
        "prerequisite": row.prerequisite,
        "needs": list(row.needs),
        "limited_by": row.limited_by,
        "outcome": row.word,
        "message": row.message,
        "diff": row.diff,
        "started": iso_time(row.started),
        "duration": round(row.duration, 3),
        "retries": row.retries,
        "retried": row.retried,
        "error": _error(row.failure) if row.failure else None,
    }
