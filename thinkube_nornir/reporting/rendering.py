"""The templates of texts and pages for people: their environment, and how they write numbers, times and names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from thinkube_nornir.reporting.markdown_text import cell, code, fenced, on_hosts, prose

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from thinkube_nornir.reporting.record import Row


def seconds(length: float) -> str:
    """
    >>> seconds(0.4321), seconds(25.08), seconds(605)
    ('0.43 s', '25.1 s', '10 min 5 s')
    """
    if length < 60:
        return f"{length:.2f} s" if length < 10 else f"{length:.1f} s"
    minutes, rest = divmod(round(length), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def clock(at: float) -> str:
    """
    >>> clock(0), clock(0.5), clock(15), clock(90)
    ('0', '0.5 s', '15 s', '1:30')
    """
    if at < 60:
        return f"{at:g} s" if at else "0"
    return f"{int(at) // 60}:{int(at) % 60:02d}"


def day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%-d %b %Y, %H:%M UTC")


def words(name: str) -> str:
    """
    >>> words("node_is_ready")
    'node is ready'
    """
    return name.replace("_", " ")


def _diff_lines(text: str, sign: str) -> int:
    return sum(line.startswith(sign) and not line.startswith(3 * sign) for line in text.split("\n"))


def added(diff: str) -> int:
    return _diff_lines(diff, "+")


def removed(diff: str) -> int:
    return _diff_lines(diff, "-")


def groupby_in_order(items: Iterable[Any], attribute: str) -> list[tuple[Any, list[Any]]]:
    """jinja2's own filter sorts."""
    groups: dict[Any, list[Any]] = {}
    for item in items:
        groups.setdefault(getattr(item, attribute), []).append(item)
    return list(groups.items())


def by_step(rows: Iterable[Row]) -> list[tuple[tuple[str, str, str], list[Row]]]:
    """Rows of one step on several hosts together."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.component, row.chain, row.step), []).append(row)
    return list(groups.items())


def commands(text: str) -> Markup:
    """What stands in backquotes, as code; all of it escaped.

    >>> commands("see `ls <dir>`")
    Markup('see <code>ls &lt;dir&gt;</code>')
    """
    from markupsafe import Markup, escape  # of the page alone

    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 it was escaped


FILTERS: Mapping[str, Callable[..., Any]] = {
    made.__name__: made for made in (seconds, clock, day, words, added, removed, commands, groupby_in_order, by_step)
}


@cache
def environment() -> Environment:
    """Renders `reporting/templates`: an undefined name is an error, HTML is escaped by itself."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape  # a run without report needs none

    made = Environment(
        loader=PackageLoader(__package__),
        undefined=StrictUndefined,
        autoescape=select_autoescape(("html", "html.j2"), default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= FILTERS
    made.filters |= {"code": code, "cell": cell, "fenced": fenced, "on_hosts": on_hosts, "prose": prose}
    return made


def render(template: str, **values: object) -> str:
    return environment().get_template(template).render(values)


def iso_time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
