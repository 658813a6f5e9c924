"""The report as one page for people."""

from __future__ import annotations

from thinkube_nornir.reporting.matrix import check_matrix
from thinkube_nornir.reporting.record import Record
from thinkube_nornir.reporting.rendering import WIDE, facts, render, title


def as_html(record: Record) -> str:
    return render(
        "report.html.j2",
        title=title(record),
        facts=facts(record),
        checks="\n".join(check_matrix(record.rows, width=WIDE, first=record.hosts)),
        rows=record.rows,
    )
