"""The parts of a file that this program fills in, and renews until a person edits them.

    <!-- lessons: challenges 0c3fd1a2b45e6789 -->
    - what the journal knows
    <!-- lessons: end -->

The number is a digest of what stands between. Where it is another one, a person was there, and the part is theirs;
where the marks are gone, nothing is written. What is outside of parts is never touched, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

_BEGIN = re.compile(rb"<!-- lessons: ([a-z-]+) ([0-9a-f]{16}) -->\s*")
_BEGIN_OF_ANY = re.compile(rb"\s*<!-- lessons: ([a-z-]+)\b.*")
_HEADING = re.compile(r" {0,3}#{2,6} +(.*?)[ #]*")
_BULLET = re.compile(r"[ \t]*[-*+][ \t]+\S.*")
_END = re.compile(rb"\s*<!-- lessons: end -->\s*")

State = Literal["renewed", "same", "edited", "gone", "broken"]


@dataclass(frozen=True)
class _Part:
    begin: int
    """Line of the first mark, from 0."""
    end: int
    digest: bytes


def part(name: str, text: str) -> str:
    """A part as it is written; `text` ends its last line."""
    lines = text.encode().split(b"\n")[:-1]
    return f"{_mark(name, lines)}\n{text}<!-- lessons: end -->\n"


def renewed(content: bytes, texts: Mapping[str, str]) -> tuple[bytes, Mapping[str, State]]:
    """The content with each part's new text, and what became of each part.

    edited: its text is a person's. gone: its marks are not there. broken: it has one mark, or it is there twice.
    """
    lines = content.split(b"\n")
    found = {name: _found(lines, name) for name in texts}
    states: dict[str, State] = {}
    for name, place in sorted(found.items(), key=lambda item: _begin(item[1]), reverse=True):
        states[name] = place if isinstance(place, str) else _renew(lines, place, name, texts[name])
    return b"\n".join(lines), {name: states[name] for name in texts}


def written_bullets(content: bytes, names: Iterable[str]) -> Mapping[str, list[str]]:
    """Heading to the bullets below it that a person wrote: outside of parts, or in a part that was edited."""
    lines = content.split(b"\n")
    generated: set[int] = set()
    for name in names:
        place = _found(lines, name)
        if isinstance(place, _Part) and _is_unedited(lines, place):
            generated |= {*range(place.begin, place.end + 1)}
    found: dict[str, list[str]] = {}
    heading = ""
    for number, line in enumerate(lines):
        text = line.decode(errors="backslashreplace").rstrip()
        if match := _HEADING.fullmatch(text):
            heading = match[1]
        elif number not in generated and _BULLET.fullmatch(text):
            found.setdefault(heading, []).append(text)
    return found


def _begin(place: _Part | State) -> int:
    return place.begin if isinstance(place, _Part) else -1


def _renew(lines: list[bytes], place: _Part, name: str, text: str) -> State:
    if not _is_unedited(lines, place):
        return "edited"
    wanted = text.encode().split(b"\n")[:-1]
    if _written(lines, place) == wanted:
        return "same"
    ending = b"\r" if lines[place.begin].endswith(b"\r") else b""
    lines[place.begin : place.end] = [line + ending for line in (_mark(name, wanted).encode(), *wanted)]
    return "renewed"


def _is_unedited(lines: Sequence[bytes], place: _Part) -> bool:
    """Whether it stands as it was filled in."""
    return _digest(_written(lines, place)) == place.digest


def _written(lines: Sequence[bytes], place: _Part) -> list[bytes]:
    return [line.removesuffix(b"\r") for line in lines[place.begin + 1 : place.end]]


def _found(lines: Sequence[bytes], name: str) -> _Part | State:
    """Where a part is."""
    begins = [number for number, line in enumerate(lines) if _names(line, name)]
    if not begins:
        return "gone"
    mark = _BEGIN.fullmatch(lines[begins[0]])
    end = next((n for n in range(begins[0] + 1, len(lines)) if _END.fullmatch(lines[n])), None)
    inside = range(begins[0] + 1, end or 0)
    if len(begins) > 1 or mark is None or end is None or any(_BEGIN_OF_ANY.fullmatch(lines[n]) for n in inside):
        return "broken"
    return _Part(begins[0], end, mark[2])


def _names(line: bytes, name: str) -> bool:
    mark = _BEGIN_OF_ANY.fullmatch(line)
    return mark is not None and mark[1] == name.encode()


def _mark(name: str, lines: Sequence[bytes]) -> str:
    return f"<!-- lessons: {name} {_digest(lines).decode()} -->"


def _digest(lines: Sequence[bytes]) -> bytes:
    return blake2b(b"\n".join(lines), digest_size=8).hexdigest().encode()
