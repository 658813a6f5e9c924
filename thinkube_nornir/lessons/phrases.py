"""How findings are told in Markdown: what came from hosts is code, in one line, and of bounded length."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from thinkube_nornir.reporting.terminal import clean
from thinkube_nornir.target import kind_of

if TYPE_CHECKING:
    from thinkube_nornir.lessons.changes import Changes, SettingChange
    from thinkube_nornir.lessons.findings import Findings, Step

MOST = 8
"""Of each kind: a lesson is read by people."""
_LONGEST = 160  # characters of a message
_VALUE = 60  # characters of a setting's value


def target(found: Findings) -> str:
    days = [time.strftime("%Y-%m-%d", time.gmtime(date)) for date in found.dates]
    when = days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}"
    return f"On {kind_of(found.target).place}, {counted(len(found.runs), 'run')} ({runs(found.runs)}, {when} UTC)"


def runs(numbers: Sequence[int]) -> str:
    """Name runs by number; of those that follow each other the first and the last one.

    >>> runs([1, 2, 3, 9])
    'runs 1 to 3 and 9'
    >>> runs([1, 9])
    'runs 1 and 9'
    """
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    parts = [part for span in spans for part in ([f"{span[0]} to {span[-1]}"] if span[2:] else map(str, span))]
    return f"run{'s' if numbers[1:] else ''} {listed(parts)}"


def times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def seconds(number: float) -> str:
    return f"{number:.1f} s" if number < 100 else f"{number / 60:.0f} min"


def step(named: Step) -> str:
    """
    >>> step(("phase5.coredns", "setup", "apply_corefile"))
    '`phase5.coredns` set-up `apply_corefile`'
    """
    component, chain, name = named
    return f"{code(component)} {'set-up' if chain == 'setup' else chain} {code(name)}"


def steps(named: Sequence[Step], most: int = 3) -> str:
    """Name each step; the rest of a long list is counted."""
    more = [f"{len(named) - most} more steps"] if named[most + 1 :] else [step(one) for one in named[most:]]
    return listed([*map(step, named[:most]), *more])


def listed(words: Sequence[str]) -> str:
    """
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    shown = [clean(word) for word in words[:MOST]]
    more = [f"{len(words) - MOST} more"] if words[MOST:] else []
    *first, last = [*shown, *more] or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last


def codes(words: Sequence[str]) -> str:
    more = f" and {len(words) - MOST} more" if words[MOST:] else ""
    return ", ".join(code(word) for word in words[:MOST]) + more


def code(text: str, longest: int = _LONGEST) -> str:
    """Markdown takes nothing in it for its own; fences are longer than any run of backticks inside.

    >>> code("two  lines\\nand a ` tick")
    '`` two lines and a ` tick ``'
    """
    line = " ".join(clean(text).split()) or "-"
    line = line if len(line) <= longest else line[: longest - 3].rstrip() + "..."
    if "`" not in line:
        return f"`{line}`"
    fence = "`" * (1 + max(len(found) for found in re.findall("`+", line)))
    return f"{fence} {line} {fence}"


def changes(between: Changes) -> str:
    """What was changed, as a sentence."""
    parts = [_setting(setting) for setting in between.settings[:MOST]]
    if between.settings[MOST:]:
        parts.append(f"{len(between.settings) - MOST} more settings")
    if between.files:
        parts.append(f"files {codes(between.files)}")
    if between.commits:
        parts.append(f"commit {code(between.commits[0][:9])} -> {code(between.commits[1][:9])}")
    if between.new_hosts:
        parts.append("the hosts were stood up and set up anew")
    elif between.steps:
        parts.append(f"runs changed something in {codes(between.steps)}")
    if between.none:
        return "Nothing was changed in between: it passed on a repeat."
    unknown = [] if between.known else ["what the runs were given is not known"]
    return f"In between: {'; '.join([*parts, *unknown])}."


def _setting(change: SettingChange) -> str:
    before, after = (code(value, _VALUE) if value else "not set" for value in (change.before, change.after))
    return f"setting {code(change.name)} {before} -> {after} ({listed(change.hosts)})"


def counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
