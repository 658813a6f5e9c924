"""Parts of a file are renewed until a person edits them; what a person wrote stays, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkube_nornir.lessons.parts import part, renewed

OLD = {"challenges": "- one\n", "solutions": "- two\n  - below it\n"}
NEW = {"challenges": "- other\n", "solutions": "- second\n"}


def document(texts: dict[str, str] = OLD) -> str:
    parts = (f"## {name}\n\n{part(name, text)}\n- \n" for name, text in texts.items())
    return "# Phase 5\n\n" + "\n".join(parts)


def test_parts_that_nobody_edited_are_renewed() -> None:
    """Everything around them stays."""
    content, states = renewed(document().encode(), NEW)

    assert content.decode() == document(NEW)
    assert states == {"challenges": "renewed", "solutions": "renewed"}
    assert renewed(content, NEW) == (content, {"challenges": "same", "solutions": "same"})


def test_an_edited_part_is_left_as_it_is() -> None:
    """Be it a word, a line, or a blank; other parts are renewed all the same."""
    for edited in (document().replace("- one", "- One"), document().replace("- one\n", "- one\n\n")):
        content, states = renewed(edited.encode(), NEW)

        assert content.decode() == edited.replace(
            part("solutions", OLD["solutions"]), part("solutions", NEW["solutions"])
        )
        assert states == {"challenges": "edited", "solutions": "renewed"}


def test_a_part_whose_marks_were_removed_is_not_written_again() -> None:
    """The person keeps what stood between, or removed it."""
    without = document().replace(part("challenges", OLD["challenges"]), "my own words\n")

    content, states = renewed(without.encode(), NEW)

    assert content.decode() == without.replace(part("solutions", OLD["solutions"]), part("solutions", NEW["solutions"]))
    assert states["challenges"] == "gone"


@pytest.mark.parametrize(
    "broken",
    [
        document().replace("<!-- lessons: end -->\n", "", 1),
        document() + "```\n" + part("challenges", OLD["challenges"]) + "```\n",
        document().replace("<!-- lessons: challenges ", "<!-- lessons: challenges x"),
        document().replace("<!-- lessons: challenges ", "  <!-- lessons: challenges "),
    ],
    ids=["no end", "twice", "another digest", "indented"],
)
def test_marks_that_are_not_in_order_are_left_alone(broken: str) -> None:
    """What was moved, copied or half removed is not guessed at."""
    content, states = renewed(broken.encode(), NEW)

    assert content.decode() == broken.replace(part("solutions", OLD["solutions"]), part("solutions", NEW["solutions"]))
    assert states["challenges"] == "broken"


def test_line_ends_and_a_missing_last_one_stay() -> None:
    """A file from Windows gets Windows' line ends in renewed parts; the digest is the same with either."""
    windows = document().replace("\n", "\r\n").removesuffix("\r\n")

    content, states = renewed(windows.encode(), NEW)

    assert content.decode() == document(NEW).replace("\n", "\r\n").removesuffix("\r\n")
    assert set(states.values()) == {"renewed"}


def test_bytes_that_are_no_text_stay() -> None:
    """A name in Latin 1 is not for us to repair."""
    content, _ = renewed(b"\xe9t\xe9\n" + document().encode(), NEW)

    assert content == b"\xe9t\xe9\n" + document(NEW).encode()


_TEXT = st.binary(max_size=20) | st.sampled_from(["- ", "<!--", "-->", "<!-- lessons: end -->\n", "\r\n", "x"]).map(
    str.encode
)


@given(
    written=st.lists(st.tuples(st.integers(0, 400), _TEXT), max_size=4),
    windows=st.booleans(),
    texts=st.fixed_dictionaries({name: st.text("ab -\n").map(lambda text: f"{text}\n") for name in OLD}),
)
def test_what_a_person_wrote_survives(written: list[tuple[int, bytes]], windows: bool, texts: dict[str, str]) -> None:
    """Anything, anywhere: outside of parts, inside of them, in the marks; and renewing once more changes nothing."""
    content = document().replace("\n", "\r\n" if windows else "\n").encode()
    for place, text in written:
        content = content[:place] + text + content[place:]

    after, states = renewed(content, texts)

    assert renewed(after, texts)[0] == after
    kept = content
    for name, state in states.items():
        if state == "renewed":
            before, now = (part(name, t).encode() for t in (OLD[name], texts[name]))
            if windows:
                before, now = before.replace(b"\n", b"\r\n"), now.replace(b"\n", b"\r\n")
            assert kept.count(before[:-2]) == 1
            kept = kept.replace(before[:-2], now[:-2])
    assert after == kept
