"""The report for pull requests and notes."""

from __future__ import annotations

from thinkube_nornir.reporting.matrix import check_matrix, host_table
from thinkube_nornir.reporting.record import Record
from thinkube_nornir.reporting.rendering import WIDE, facts, title
from thinkube_nornir.reporting.summary import told

_FENCE = "~~~~~~"


def as_markdown(record: Record) -> str:
    lines = [f"# {title(record)}", "", *(f"- {fact}" for fact in facts(record)), "", "## Hosts", ""]
    lines += [_FENCE, *host_table(record.rows, first=record.hosts), _FENCE, ""]
    if any(row.chain == "verify" for row in record.rows):
        lines += ["## Checks", "", _FENCE, *check_matrix(record.rows, width=WIDE, first=record.hosts), _FENCE, ""]
    for row in record.failures:
        lines += [f"## Failed: {row.component} {row.chain}: {row.step} on {row.host}", "", _FENCE]
        lines += [*told(row), _FENCE, ""]
    return "\n".join(lines)
