"""What reaches the operator's terminal."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkube_nornir.reporting.terminal import Terminal, clean
from thinkube_nornir.secret import MASK, Secret


class Screen(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        self.seek(0)
        return self.read()


@given(st.text())
def test_a_host_cannot_steer_the_terminal(said: str) -> None:
    """No control character but tab and newline gets through, and what remains can be encoded."""
    shown = clean(said)

    assert not [c for c in shown if (ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160]
    shown.encode()


def test_secrets_are_masked_on_both_streams() -> None:
    """Neither output nor complaint shows a secret; raw output for other programs neither."""
    Secret("swordfish")
    out, err = io.StringIO(), io.StringIO()
    terminal = Terminal(out=out, err=err)

    terminal.say("a swordfish")
    terminal.raw("b swordfish\n")
    terminal.error("c swordfish")

    assert out.getvalue() == f"a {MASK}\nb {MASK}\n"
    assert err.getvalue() == f"c {MASK}\n"


def test_a_narrow_encoding_is_no_error() -> None:
    """What the stream cannot encode is escaped, and the marks fall back to ASCII."""
    screen = Screen("ascii")
    terminal = Terminal(out=screen, color=False)

    terminal.say("Grüße ✓")

    assert not terminal.unicode
    assert screen.text() == "Gr\\xfc\\xdfe \\u2713\n"


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets colours; a pipe, NO_COLOR and --no-color do not."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def shown(color: bool | None = None, *, pipe: bool = False) -> str:
        screen = io.StringIO() if pipe else Screen()
        Terminal(out=screen, color=color).say("FAILED  x")
        return screen.getvalue() if isinstance(screen, io.StringIO) else screen.text()

    assert "\x1b[31mFAILED" in shown()
    assert shown(color=False) == "FAILED  x\n"
    assert shown(pipe=True) == "FAILED  x\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown() == "FAILED  x\n"


def test_a_pipe_has_no_right_margin() -> None:
    """Nothing is broken or cut: who reads it greps, counts lines, or has a window of his own."""
    out = io.StringIO()
    Terminal(out=out).say("word " * 100)

    assert out.getvalue() == "word " * 100 + "\n"
    assert Terminal(out=out).width > 1000


def test_a_terminal_gets_lines_broken_at_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its width, unless what is said is to be copied as it stands."""
    monkeypatch.setenv("COLUMNS", "20")
    screen = Screen()
    terminal = Terminal(out=screen, color=False)

    terminal.say("fix  restart what has stopped")
    terminal.say("next  a command of many words", wrap=False)

    assert screen.text() == "fix  restart what\n     has stopped\nnext  a command of many words\n"
