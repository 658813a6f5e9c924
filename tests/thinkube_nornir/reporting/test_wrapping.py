"""Lines on a terminal are broken at spaces only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkube_nornir.reporting.wrapping import wrapped

LINE = st.text(st.sampled_from("ab -/`:."), max_size=200).map(lambda text: text.rstrip())


@given(LINE, st.integers(10, 120))
def test_no_word_is_lost_or_broken(line: str, width: int) -> None:
    """The words are the same, in the same order, whatever the width."""
    assert wrapped(line, width).split() == line.split()


@given(LINE, st.integers(10, 120))
def test_only_a_word_is_longer_than_the_width(line: str, width: int) -> None:
    """A line that does not fit holds one word, or one command in backticks."""
    for part in wrapped(line, width).split("\n"):
        words = part.split()
        assert len(part) <= width or len(words) == 1 or "`" in part


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("short", ["short"]),
        ("  fix   look at the log of the server", ["  fix   look at the log", "        of the server"]),
        ("tkc   changed    phase5.coredns setup", ["tkc   changed", "      phase5.coredns", "      setup"]),
        ("    a list's entry that is far too long", ["    a list's entry that", "      is far too long"]),
        ("see: `kubectl -n kube-system get pods`", ["see:", "  `kubectl -n kube-system get pods`"]),
        ("look at /a/path-with/many-hyphens/in-it", ["look at", "  /a/path-with/many-hyphens/in-it"]),
        ("two\nlines that are longer than that", ["two", "lines that are longer", "  than that"]),
    ],
)
def test_lines_hang(line: str, expected: list[str]) -> None:
    """Below the first word after the labels; commands and paths stay whole."""
    assert wrapped(line, 24).split("\n") == expected
