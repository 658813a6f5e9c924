"""How a list is printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkube_nornir.checklist.document import parse
from thinkube_nornir.checklist.tree import View, next_open, plain, show, summary, wrapped

LIST = parse(b"""\
## Phase 15: later
- [ ] **Head** <!-- phase15.head -->
  - [x] Read [the guide](docs/a.md) first, all of it, with care: `python -m thinkube_nornir plan phase15` <!-- a/b -->
    - [ ] deep
## Phase 1: first
- [x] done
""")


def test_a_terminals_width_is_kept() -> None:
    """Lines are broken at blanks, below where their text begins, and a command stays in one piece."""
    lines = show(LIST, View(width=52))

    assert lines == [
        "Phase 15: later  (1 of 3 done)",
        "  2  [ ] Head",
        "  3    [x] Read the guide first, all of it, with",
        "           care:",
        "           `python -m thinkube_nornir plan phase15`",
        "  4      [ ] deep",
        "",
        "Phase 1: first  (1 of 1 done)",
        "  6  [x] done",
    ]


def test_a_phase_is_called_by_its_number() -> None:
    """Phase 1 is not phase 15."""
    assert show(LIST, View("phase1"))[0] == "Phase 1: first  (1 of 1 done)"
    assert show(LIST, View("15"))[0] == "Phase 15: later  (1 of 3 done)"
    assert show(LIST, View("phase 1: f"))[0] == "Phase 1: first  (1 of 1 done)"


def test_phases_are_summed_up() -> None:
    """At the end, where there are several."""
    assert summary(LIST, "") == ["Phase 15: later  1 of 3 done", "Phase 1: first   1 of 1 done"]
    assert summary(LIST, "phase1") == []


def test_what_is_open_is_shown_with_what_it_is_below() -> None:
    """A done task with an open one below it is not left out."""
    assert [line.split()[0] for line in show(LIST, View(only_open=True))[1:4]] == ["2", "3", "4"]


def test_next_is_the_first_that_waits_for_nothing() -> None:
    """A parent comes after what is below it."""
    found = next_open(LIST)

    assert found
    assert found.line == 4


@given(st.text("ab `-\0", max_size=80), st.integers(20, 40))
def test_no_line_is_wider_and_no_word_is_lost(text: str, width: int) -> None:
    """Words that are wider than the terminal stay whole."""
    lines = wrapped(text, width)

    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\0", "")
    assert all(len(line) <= width or " " not in line or "`" in line for line in lines)


@pytest.mark.parametrize("text", ["2 * 3 * 4", "a [x] b", "f(x)[0]", "**", "`*`"])
def test_what_is_no_markdown_stays(text: str) -> None:
    """Only bold text and links are printed otherwise."""
    assert plain(text) == text
