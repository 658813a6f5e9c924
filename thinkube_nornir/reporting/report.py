"""Writes a Record to files, by their ending: .json for machines, .xml (JUnit) for CI, .md and .html for people."""

from __future__ import annotations

import html
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from thinkube_nornir import __version__
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.matrix import COUNTED, check_matrix, component_matrix, host_table
from thinkube_nornir.reporting.record import Record, Row, by_host
from thinkube_nornir.reporting.summary import told
from thinkube_nornir.reporting.terminal import clean

SCHEMA = 1
"""docs/report.schema.json; raised when members change."""

WIDE = 10_000
"""A file has no right margin: the matrix stays in one piece."""


def write(record: Record, path: Path) -> None:
    """Write atomically in the format that `path` ends in.

    Raises:
        ConfigError: an ending we do not know, or the file cannot be written.
    """
    text = writer(path)(record)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text)
    except OSError as error:
        raise ConfigError([Problem("--report", f"cannot write {path}: {error.strerror}")]) from None


def writer(path: Path) -> Callable[[Record], str]:
    found = WRITERS.get(path.suffix.lower())
    if found is None:
        raise ConfigError([Problem("--report", f"{path} ends in none of {', '.join(WRITERS)}")])
    return found


def _replace(path: Path, text: str) -> None:
    """A reader sees the old report or the new one, never half of one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
            "started": _iso(record.started),
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
        "started": _iso(row.started),
        "duration": round(row.duration, 3),
        "error": {"kind": failure.kind, "what": failure.what, "why": failure.why, "fix": failure.fix}
        if failure
        else None,
    }


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def as_junit(record: Record) -> str:
    """A test suite for each component and host, a test case for each step."""
    suites: dict[tuple[str, str], list[Row]] = {}
    for row in record.rows:
        suites.setdefault((row.component, row.host), []).append(row)
    root = ET.Element("testsuites", {"name": f"thinkube-nornir {record.verb}", **_totals(record.rows, record.duration)})
    for (component, host), rows in suites.items():
        seconds = sum(row.duration for row in rows)
        suite = ET.SubElement(root, "testsuite", {"name": component, "hostname": host, **_totals(rows, seconds)})
        suite.extend([_case(row) for row in rows])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _totals(rows: Sequence[Row], seconds: float) -> dict[str, str]:
    return {
        "tests": str(len(rows)),
        "failures": str(sum(row.outcome is Outcome.FAILED for row in rows)),
        "errors": str(sum(row.outcome is None for row in rows)),
        "skipped": str(sum(row.outcome is Outcome.SKIPPED for row in rows)),
        "time": f"{seconds:.3f}",
    }


def _case(row: Row) -> ET.Element:
    case = ET.Element(
        "testcase",
        {"classname": f"{row.component}.{row.chain}", "name": f"{row.step}[{row.host}]", "time": f"{row.duration:.3f}"},
    )
    if row.failure:
        told = ET.SubElement(case, "failure", {"type": row.failure.kind, "message": row.failure.what})
        told.text = "\n".join(part for part in (row.failure.why, row.failure.fix) if part)
    elif row.outcome is None:
        ET.SubElement(case, "error", {"type": "missing", "message": row.message})
    elif row.outcome is Outcome.SKIPPED:
        ET.SubElement(case, "skipped", {"message": row.message})
    else:
        ET.SubElement(case, "system-out").text = f"{row.word}: {row.message}"
    return case


_FENCE = "~~~~~~"


def as_markdown(record: Record) -> str:
    lines = [f"# {_title(record)}", "", *(f"- {fact}" for fact in _facts(record)), "", "## Hosts", ""]
    lines += [_FENCE, *host_table(record.rows, first=record.hosts), _FENCE, ""]
    if any(row.chain == "verify" for row in record.rows):
        lines += ["## Checks", "", _FENCE, *check_matrix(record.rows, width=WIDE, first=record.hosts), _FENCE, ""]
    for row in record.failures:
        lines += [f"## Failed: {row.component} {row.chain}: {row.step} on {row.host}", "", _FENCE]
        lines += [*told(row), _FENCE, ""]
    return "\n".join(lines)


def as_html(record: Record) -> str:
    checks = component_matrix(record.rows, width=WIDE, first=record.hosts)
    body = [f"<h1>{html.escape(_title(record))}</h1>", "<ul>"]
    body += [f"<li>{html.escape(fact)}</li>" for fact in _facts(record)]
    body += [
        "</ul>",
        "<h2>Hosts</h2>",
        _pre(host_table(record.rows, first=record.hosts)),
        "<h2>Checks</h2>",
        _pre(checks),
    ]
    body += [_pre(check_matrix(record.rows, width=WIDE, first=record.hosts)), "<h2>Steps</h2>", "<table>"]
    body += ["<tr>" + "".join(f"<th>{name}</th>" for name in _COLUMNS) + "</tr>"]
    body += [
        f'<tr class="{row.word}">' + "".join(f"<td>{html.escape(c)}</td>" for c in _cells(row)) + "</tr>"
        for row in record.rows
    ]
    head = f'<meta charset="utf-8"><title>{html.escape(_title(record))}</title><style>{_STYLE}</style>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(body) + "\n</table></body></html>\n"
    )


_COLUMNS = ("host", "component", "chain", "step", "outcome", "seconds", "message")
_STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2em}pre,td{font-family:monospace}td{padding:0 1em 0 0;white-space:pre-wrap}"
    "th{text-align:left}.failed,.missing{background:#fdd}.changed,.planned{background:#ffd}.skipped{color:#777}"
)


def _cells(row: Row) -> tuple[str, ...]:
    message = "\n".join(told(row)) if row.failure else row.message
    return (row.host, row.component, row.chain, row.step, row.word, f"{row.duration:.1f}", message)


def _pre(lines: Sequence[str]) -> str:
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def _title(record: Record) -> str:
    return f"{record.verb} {' '.join(clean(name) for name in record.selection)}: {record.verdict}"


def _facts(record: Record) -> list[str]:
    facts = [f"run {record.run_id}, started {_iso(record.started)}, {record.duration:.1f} s"]
    facts += [f"target: {record.target}" + (", a dry run" if record.dry_run else "")]
    facts += [f"hosts: {', '.join(record.hosts)}"]
    if record.emulated:
        facts += [f"emulated, not real: {', '.join(record.emulated)}"]
    return facts


WRITERS: Mapping[str, Callable[[Record], str]] = {
    ".json": as_json,
    ".xml": as_junit,
    ".md": as_markdown,
    ".html": as_html,
}
