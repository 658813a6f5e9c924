"""What the reports for people share: the templates' environment, the title, the facts of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from thinkube_nornir.reporting.terminal import clean

if TYPE_CHECKING:
    from jinja2 import Environment

    from thinkube_nornir.reporting.record import Record

WIDE = 10_000
"""A file has no right margin: the matrix stays in one piece."""


@cache
def environment() -> Environment:
    """Renders `reporting/templates`: an undefined name is an error, HTML is escaped by itself."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape  # a run without report needs none

    return Environment(
        loader=PackageLoader(__package__),
        undefined=StrictUndefined,
        autoescape=select_autoescape(("html", "html.j2"), default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, **values: object) -> str:
    return environment().get_template(template).render(values)


def iso_time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def title(record: Record) -> str:
    return f"{record.verb} {' '.join(clean(name) for name in record.selection)}: {record.verdict}"


def facts(record: Record) -> list[str]:
    facts = [f"run {record.run_id}, started {iso_time(record.started)}, {record.duration:.1f} s"]
    facts += [f"target: {record.target}" + (", a dry run" if record.dry_run else "")]
    facts += [f"hosts: {', '.join(record.hosts)}"]
    if record.emulated:
        facts += [f"emulated, not real: {', '.join(record.emulated)}"]
    return facts
