"""The report for CI, in JUnit's form."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.record import Record, Row


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
