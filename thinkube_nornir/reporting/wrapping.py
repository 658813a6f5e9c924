"""Lines for a terminal of some width: broken at spaces, with what follows below the first word after the labels."""

from __future__ import annotations

import re
import textwrap

_LABELS = re.compile(r" *(?:\S+ {2,})*")
"""`tkc   changed    ` in front of what happened, `  fix   ` in front of what to do."""

_COMMAND = re.compile(r"`[^`]*`")
_GLUE = "\x00"
"""In place of a space that is no place to break at; `clean` lets none of these through."""


def wrapped(text: str, width: int) -> str:
    """No line is longer than `width`, unless a word is: those, and commands in backticks, are left whole to be copied.

    >>> print(wrapped("  fix   restart what has stopped: `systemctl restart x`, and look at its log", 34))
      fix   restart what has stopped:
            `systemctl restart x`, and
            look at its log
    """
    return "\n".join(part for line in text.split("\n") for part in _lines(line, width))


def _lines(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    glued = _COMMAND.sub(lambda command: command.group().replace(" ", _GLUE), line)
    lead = len(line) - len(line.lstrip(" "))
    found = textwrap.wrap(
        glued[lead:],
        max(1, width),
        initial_indent=" " * lead,
        subsequent_indent=" " * _hanging(line, width),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [part.replace(_GLUE, " ") for part in found]


def _hanging(line: str, width: int) -> int:
    """Where further lines start: below what the labels stand in front of, as far as that leaves them room."""
    labels = _LABELS.match(line)
    whole = labels.group() if labels else ""
    ends = [match.end() for match in re.finditer(r" *\S+ {2,}", whole)]
    fitting = [end for end in ends if end <= width // 3]
    return fitting[-1] if fitting else len(line) - len(line.lstrip(" ")) + 2
