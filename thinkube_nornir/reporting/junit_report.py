"""The report for CI, in JUnit's form: what the schema of Jenkins' xunit plugin (junit-10.xsd) allows and requires."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.record import Failure, Record, Row
from thinkube_nornir.reporting.rendering import words


def as_junit(record: Record) -> str:
    """A test suite for each component and host, a test case for each step."""
    suites: dict[tuple[str, str], list[Row]] = {}
    for row in record.rows:
        suites.setdefault((row.component, row.host), []).append(row)
    root = ET.Element("testsuites", {"name": f"thinkube-nornir {record.verb}", **_totals(record.rows, record.duration)})
    for (component, host), rows in suites.items():
        suite = ET.SubElement(root, "testsuite", {"name": component, "hostname": host, **_suite(record, rows)})
        suite.extend([_case(row) for row in rows])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _totals(rows: Sequence[Row], seconds: float) -> dict[str, str]:
    return {
        "tests": str(len(rows)),
        "failures": str(sum(row.outcome is Outcome.FAILED for row in rows)),
        "errors": str(sum(row.outcome is None for row in rows)),
        "time": f"{seconds:.3f}",
    }


def _suite(record: Record, rows: Sequence[Row]) -> dict[str, str]:
    started = min((row.started for row in rows if row.started is not None), default=record.started)
    return {
        **_totals(rows, sum(row.duration for row in rows)),
        "skipped": str(sum(row.outcome is Outcome.SKIPPED for row in rows)),
        "timestamp": datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    }


def _case(row: Row) -> ET.Element:
    case = ET.Element(
        "testcase",
        {"classname": f"{row.component}.{row.chain}", "name": f"{row.step}[{row.host}]", "time": f"{row.duration:.3f}"},
    )
    if row.failure:
        element = ET.SubElement(case, "failure", {"type": row.failure.kind, "message": row.failure.what})
        element.text = _failed(row, row.failure)
    elif row.outcome is None:
        ET.SubElement(case, "error", {"type": "missing", "message": row.message})
    elif row.outcome is Outcome.SKIPPED:
        ET.SubElement(case, "skipped", {"message": row.message})
    else:
        ET.SubElement(case, "system-out").text = f"{row.word}: {row.message}"
    return case


def _failed(row: Row, failure: Failure) -> str:
    """A check's own statement is what was expected; its error says what was seen."""
    expected = [("expected", row.about or words(row.step))] if row.is_check else []
    seen = "seen" if row.is_check else "what"
    parts = [*expected, (seen, failure.what), ("why", failure.why), ("fix", failure.fix)]
    return "\n".join(f"{name + ':':<10}{text}" for name, text in parts if text)
