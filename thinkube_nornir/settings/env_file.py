"""The file with secrets: NAME=value lines, read exactly as `sh` reads them, or refused.

What a shell would expand or run (`$`, backquotes, `;`) is refused where it is not quoted, so that a file that operators
also source in their shell never means two things.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)")
_SINGLE = r"'[^'\x00]*'"
_DOUBLE = r'"(?:[^"\\$`\x00]|\\[^\x00])*"'
_ESCAPED = r"\\[^\x00-\x1f]"
_BARE = r"[^\s'\"\\$`;&|<>()~\x00-\x1f]"
_PIECE = re.compile(f"(?P<single>{_SINGLE})|(?P<double>{_DOUBLE})|(?P<escaped>{_ESCAPED})|(?P<bare>{_BARE})")
_END = re.compile(r"[ \t]*$|[ \t]+#.*$")


@dataclass(frozen=True)
class EnvFile:
    values: Mapping[str, str]
    mistakes: tuple[tuple[int, str], ...]
    """Line number and what is wrong; never a part of the line, which may be a secret."""


def parse_env(text: str) -> EnvFile:
    """Read `NAME=value` and `export NAME=value` lines; of a name that occurs twice the last counts, as in a shell.

    >>> parse_env("export TOKEN='a b'  # for phase 4").values
    {'TOKEN': 'a b'}
    """
    values: dict[str, str] = {}
    mistakes = []
    for number, line in enumerate(text.split("\n"), 1):
        if re.fullmatch(r"[ \t]*(#.*)?", line):
            continue
        match = _LINE.fullmatch(line)
        value = match and _value(match["value"])
        if match is None:
            mistakes.append((number, "not of the form NAME=value"))
        elif value is None:
            mistakes.append(
                (number, f"the value of {match['name']} is not one plain or quoted word; put it in single quotes")
            )
        else:
            values[match["name"]] = value
    return EnvFile(values, tuple(mistakes))


def _value(text: str) -> str | None:
    pieces, end = [], 0
    while match := _PIECE.match(text, end):
        pieces.append(match)
        end = match.end()
    return "".join(_plain(pieces)) if _END.match(text, end) else None


def _plain(pieces: list[re.Match[str]]) -> Iterator[str]:
    for piece in pieces:
        if piece["single"]:
            yield piece[0][1:-1]
        elif piece["double"]:
            yield re.sub(r'\\(["\\$`])', r"\1", piece[0][1:-1])
        else:
            yield piece[0].removeprefix("\\") if piece["escaped"] else piece[0]
