"""What is printed: redacted, free of control characters, in the stream's encoding and width, coloured where wanted."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TextIO

import click

from thinkube_nornir.reporting.wrapping import wrapped
from thinkube_nornir.secret import redact

UNLIMITED = 1_000_000
"""A pipe has no right margin: who reads it breaks lines, or counts them."""

_WIDTH = 80
"""Of a terminal that does not tell."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Control characters, changes of writing direction, and what neither UTF-8 nor XML can carry."""

_PAINT = {
    "✓": "green",
    "✗": "red",
    "FAILED": "red",
    "failed": "red",
    "changed": "yellow",
    "planned": "yellow",
    "unreachable": "red",
}
_PAINTED = re.compile("|".join(rf"(?<!\w){word}(?!\w)" for word in _PAINT))


def clean(text: object) -> str:
    r"""Redact, and make control characters visible: a host must not be able to steer the operator's terminal.

    >>> clean("bell\x07 and \x1b[2J")
    'bell\\x07 and \\x1b[2J'
    """
    redacted = redact(str(text)).replace("\r\n", "\n")
    return _CONTROL.sub(lambda match: repr(match.group())[1:-1], redacted)


@dataclass
class Terminal:
    """Standard output and standard error of one command."""

    verbose: int = 0
    color: bool | None = None
    """None to find out: a terminal that is not dumb, and no NO_COLOR."""
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)

    def __post_init__(self) -> None:
        if self.color is None:
            self.color = self.live and not os.environ.get("NO_COLOR")

    @property
    def live(self) -> bool:
        """Whether lines can be drawn again in place."""
        return self.out.isatty() and os.environ.get("TERM", "") not in ("", "dumb")

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked."""
        return self.out.isatty() and sys.stdin.isatty()

    @property
    def width(self) -> int:
        return _width(self.out)

    @property
    def unicode(self) -> bool:
        return _encodable("✓✗–", self.out)  # noqa: RUF001 the marks of matrix.py

    def say(self, text: object = "", *, wrap: bool = True) -> None:
        """
        Args:
            wrap: False for what is to be copied, or compared, as it stands.
        """
        self._write(clean(text), self.out, wrap=wrap)

    def error(self, text: object) -> None:
        self._write(clean(text), self.err)

    def raw(self, text: str) -> None:
        """Redacted and otherwise as it is: file contents for another program."""
        self._put(_in_encoding(redact(text), self.out), self.out)

    def _write(self, text: str, stream: TextIO, *, wrap: bool = True) -> None:
        text = _in_encoding(wrapped(text, _width(stream)) if wrap else text, stream)
        if self.color and stream.isatty():
            text = _PAINTED.sub(lambda match: click.style(match.group(), fg=_PAINT[match.group()]), text)
        self._put(text + "\n", stream)

    def _put(self, text: str, stream: TextIO) -> None:
        """A reader that went away, as `head` does, ends no run: the rest is unsaid, the exit code stays the run's."""
        try:
            stream.write(text)
            stream.flush()
        except BrokenPipeError:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _width(stream: TextIO) -> int:
    if not stream.isatty():
        return UNLIMITED
    try:
        return int(os.environ.get("COLUMNS", "")) or _WIDTH
    except ValueError:
        pass
    try:
        return os.get_terminal_size(stream.fileno()).columns or _WIDTH
    except OSError:
        return _WIDTH


def _in_encoding(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _encodable(text: str, stream: TextIO) -> bool:
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
