"""Text from hosts in Markdown: code, but for plain words, so that it is neither markup nor HTML, and mentions nobody.

Escaping is not enough: GitHub looks for mentions and references in text after it was unescaped, and not in code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

_BACKTICKS = re.compile("`+")
_WORD = re.compile(r"\(?(?!GH-|[0-9a-f]{7,40}\b)[^\W_]+(['-][^\W_]+)*[).,:;?!]*", re.IGNORECASE)
"""Nothing that GitHub makes a reference, a link or markup of, as it does of GH-1 and of a commit's number."""

MOST_HOSTS = 12


def code(text: object) -> str:
    """A code span of one line; nothing for nothing.

    >>> print(code("a `b` c"), code("two\\nlines"))
    `` a `b` c `` `two lines`
    """
    line = " ".join(str(text).split())
    if not line:
        return ""
    fence = "`" * (_longest(line) + 1)
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def prose(text: object) -> str:
    """A sentence with its commands, and whatever is no plain word, as code.

    >>> print(prose("run it again: `list all`; ask @you or 10.0.0.1 twice"))
    run it again: `list all`; ask `@you` or `10.0.0.1` twice
    """
    parts = str(text).split("`")
    if len(parts) % 2 == 0 or "" in parts[1:-1]:  # no pairs: what is a command cannot be known
        return code(text)
    return "".join(code(part) if number % 2 else _plain(part) for number, part in enumerate(parts))


def _plain(text: str) -> str:
    """Words, punctuation that stands alone, and the spaces around them."""
    words = groupby(text.split(), lambda word: bool(_WORD.fullmatch(word)) or word in (",", ";", ":", ".", "-"))
    written = " ".join(" ".join(group) if plain else code(" ".join(group)) for plain, group in words)
    return " " * text[:1].isspace() + written + " " * (text[-1:].isspace() and bool(written))


def cell(text: object) -> str:
    """The same for a table, whose cells end at a bar even inside of code."""
    return code(text).replace("|", r"\|")


def fenced(text: str, language: str = "") -> str:
    """A block of lines as they are."""
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"


def on_hosts(hosts: Iterable[str]) -> str:
    names = list(hosts)
    rest = f" and {len(names) - MOST_HOSTS} more" if len(names) > MOST_HOSTS else ""
    return ", ".join(code(name) for name in names[:MOST_HOSTS]) + rest


def cut(text: str, most: int) -> str:
    """What fits, in whole lines where that is possible, and how much does not.

    >>> cut("one\\ntwo\\nthree", 8)
    'one\\ntwo\\n(cut here: 1 more line, 5 characters)'
    """
    if len(text) <= most:
        return text
    kept = text[:most].rpartition("\n")[0] or text[:most]
    rest = text[len(kept) :].strip("\n")
    lines = rest.count("\n") + 1
    return f"{kept}\n(cut here: {lines} more line{'s' if lines > 1 else ''}, {len(rest)} characters)"


def _longest(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)
