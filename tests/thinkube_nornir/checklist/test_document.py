"""Lists of any form: what is a task in them, and that nothing but a mark changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkube_nornir.checklist.document import parse
from thinkube_nornir.checklist.task_line import Evidence, Mark

RUN = Evidence("2026-11-27", 12)

LIST = b"""\
# Tasks

Usage: `- [ ] none` is no task.

## Phase 5: core services

### Implementation

- [ ] **CoreDNS** <!-- phase5.coredns -->
  - [x] set up <!-- phase5.coredns/setup --> *(run 12, 2026-11-27)*
    - [X] deeper

      with text below
  - a remark
    - [ ] below the remark
- [ ] another

## Phase 6
  - [ ] indented under a heading
"""

ENDS = [b"\n", b"\r\n", b"\r", b""]
PIECES = st.sampled_from([
    b"- [ ] open", b"- [x] done", b"  - [X] Done", b"\t- [ ] tab", b"* [ ] star", b"3. [x] number", b"- item", b"text",
    b"", b"   ", b"```", b"~~~~", b"  ```", b"- ```", b"## Phase 5", b"<!--", b"-->", b"\xef\xbb\xbf", b"\xff\xfe",
    b" <!-- phase5.coredns/verify -->", b" *(run 12, 2026-11-27)*", b" *(by hand, 2026-11-27)*", b"  ", b"\xc3\xa9",
])  # fmt: skip
LINES = st.tuples(st.lists(PIECES, max_size=4).map(b"".join), st.sampled_from(ENDS)).map(b"".join)
FILES = st.lists(LINES, max_size=12).map(b"".join) | st.binary(max_size=60)


@given(FILES)
def test_any_bytes_come_back(content: bytes) -> None:
    """Whatever the file is, taking it apart loses nothing."""
    assert parse(content).content == content


@given(FILES)
def test_line_numbers_are_an_editors(content: bytes) -> None:
    """Each task is on the line that its number names, as an editor counts."""
    lines = content.split(b"\n") if b"\n" in content else content.split(b"\r")

    for task in parse(content).tasks:
        assert b"[x]" in lines[task.line - 1].lower() or b"[ ]" in lines[task.line - 1]


@given(FILES, st.data())
def test_a_mark_changes_one_byte_of_one_line(content: bytes, data: st.DataObject) -> None:
    """Without an identifier no evidence is written, and nothing else differs."""
    document = parse(content)
    plain = [task for task in document.tasks if task.identifier is None]
    if not plain:
        return
    task = data.draw(st.sampled_from(plain))

    after = document.marked({task.line: Mark(not task.done, RUN)})

    assert [n for n, (a, b) in enumerate(zip(document.lines, after.lines, strict=True), 1) if a != b] == [task.line]
    before, now = document.lines[task.line - 1], after.lines[task.line - 1]
    assert len(before) == len(now)
    assert sum(a != b for a, b in zip(before, now, strict=True)) == 1
    assert after.by_line[task.line].done is not task.done


@given(FILES, st.data())
def test_to_complete_and_to_take_it_back_is_nothing(content: bytes, data: st.DataObject) -> None:
    """Evidence that was written goes with the mark, and the file is what it was."""
    document = parse(content)
    open_ones = [task for task in document.tasks if not task.done and task.evidence is None]
    if not open_ones:
        return
    chosen = data.draw(st.sets(st.sampled_from([task.line for task in open_ones]), min_size=1))

    done = document.marked(dict.fromkeys(chosen, Mark(True, RUN)))
    again = done.marked(dict.fromkeys(chosen, Mark(False)))

    assert again.content == content
    for line in chosen:
        assert done.by_line[line].done
        assert done.by_line[line].evidence == (RUN if document.by_line[line].identifier else None)
        assert done.by_line[line].text == document.by_line[line].text


def test_a_list_has_its_tasks_with_their_places() -> None:
    """Depth and parent by nesting, phase and section by heading."""
    document = parse(LIST)

    assert [(t.line, t.depth, t.done, t.text, t.parent) for t in document.tasks] == [
        (9, 0, False, "**CoreDNS**", None),
        (10, 1, True, "set up", 9),
        (11, 2, True, "deeper", 10),
        (15, 1, False, "below the remark", 9),
        (16, 0, False, "another", None),
        (19, 0, False, "indented under a heading", None),
    ]
    assert document.by_line[10].identifier == "phase5.coredns/setup"
    assert document.by_line[10].evidence == RUN
    assert document.by_line[10].phase == "Phase 5: core services"
    assert document.by_line[10].section == "Implementation"
    assert document.by_line[19].phase == "Phase 6"
    assert [task.line for task in document.children(document.by_line[9])] == [10, 15]
    assert [task.line for task in document.above(document.by_line[11])] == [10, 9]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"```\n- [ ] a\n```\n- [ ] b\n", [4]),
        (b"~~~~\n- [ ] a\n~~~\n- [ ] a\n~~~~\n- [ ] b\n", [6]),
        (b"- [ ] a\n  ```bash\n  - [ ] no\n  ```\n  - [ ] b\n", [1, 5]),
        (b"- [ ] a\n  ```\n  never closed\n- [ ] b\n", [1, 4]),
        (b"  ```\n- [ ] no\n  ```\n- [ ] a\n", [4]),
        (b"- ```\n  - [ ] no\n  ```\n- [ ] a\n", [4]),
        (b"- ```\n  never closed\n- [ ] a\n", [3]),
        (b"```\nnever closed\n- [ ] no\n", []),
        (b"``` not `code\n- [ ] a\n", [2]),
        (b"<!--\n- [ ] no\n-->\n- [ ] a\n", [4]),
        (b"<!-- one line -->\n- [ ] a\n", [2]),
    ],
)
def test_code_and_comments_have_no_tasks(content: bytes, lines: list[int]) -> None:
    """Nobody sees a box there."""
    assert [task.line for task in parse(content).tasks] == lines


@pytest.mark.parametrize(
    "line", ["- [x](link) text", "-[ ] a", "- [] a", "- [y] a", "[ ] a", "> - [ ] a", "- text [ ]"]
)
def test_what_only_looks_like_a_box_is_none(line: str) -> None:
    """A link, other letters, no list item."""
    assert parse(line.encode()).tasks == ()


@pytest.mark.parametrize(
    "line", ["- [ ] a", "* [ ] a", "+ [ ] a", "1. [ ] a", "-  [ ] a", "- [ ]", "- [ ]\ta", "\t- [ ] a"]
)
def test_every_box_that_is_shown_is_a_task(line: str) -> None:
    """All list marks, and an empty one."""
    assert [task.text for task in parse(line.encode()).tasks] in (["a"], [""])


@pytest.mark.parametrize(
    ("line", "evidence", "text"),
    [
        ("- [x] a <!-- b/c --> *(run 7, 2026-01-02)*", Evidence("2026-01-02", 7), "a"),
        ("- [x] a <!-- b/c --> *(run 7 on the lab, 2026-01-02)*", Evidence("2026-01-02", 7, place="the lab"), "a"),
        ("- [x] a <!-- b/c --> *(by hand, 2026-01-02)*", Evidence("2026-01-02"), "a"),
        ("- [x] a <!-- b/c --> *(by hand, 2026-01-02)* and more", Evidence("2026-01-02"), "a and more"),
        ("- [x] a <!-- b/c --> *(by Bob, 2026-01-02)*", None, "a *(by Bob, 2026-01-02)*"),
        ("- [x] a <!-- b/c --> *(run 7, 2026-01-02)*.", None, "a *(run 7, 2026-01-02)*."),
        ("- [x] a <!-- b/c -->  *(run 7, 2026-01-02)*", None, "a *(run 7, 2026-01-02)*"),
        ("- [x] a *(run 7, 2026-01-02)*", None, "a *(run 7, 2026-01-02)*"),
        ("- [x] a *(run 7, 2026-01-02)* <!-- b/c -->", None, "a *(run 7, 2026-01-02)*"),
    ],
)
def test_only_evidence_in_its_place_and_form_is_ours(line: str, evidence: Evidence | None, text: str) -> None:
    """Whatever a person wrote stays when the mark is taken off."""
    document = parse(line.encode())
    [task] = document.tasks

    assert (task.evidence, task.text) == (evidence, text)

    taken_off = document.marked({1: Mark(False)}).content.decode()

    assert taken_off == line.replace("[x]", "[ ]").replace(f" {evidence}" if evidence else "\0", "")


def test_blanks_at_the_end_of_a_line_stay_at_its_end() -> None:
    """Two blanks are a line break in Markdown."""
    document = parse(b"- [ ] a <!-- b/c -->  \r\n")

    assert document.marked({1: Mark(True, RUN)}).content == b"- [x] a <!-- b/c --> *(run 12, 2026-11-27)*  \r\n"


def test_the_last_comment_is_the_name() -> None:
    """Others may stand before it."""
    [task] = parse(b"- [ ] a <!-- todo --> b <!-- c/d -->").tasks

    assert (task.identifier, task.text) == ("c/d", "a <!-- todo --> b")


def test_a_paragraph_ends_a_list() -> None:
    """What comes after it is below no task from before."""
    document = parse(b"- [ ] a\ngoes on\n  - [ ] b\n\nA paragraph.\n\n  - [ ] c\n")

    assert [(task.line, task.parent) for task in document.tasks] == [(1, None), (3, 1), (7, None)]


def test_lists_may_be_as_deep_as_they_like() -> None:
    """Nobody writes such a list, and a program may."""
    document = parse(b"".join(b" " * depth + b"- [x] a\n" for depth in range(1500)) + b" " * 1500 + b"- [ ] b\n")

    assert [task.text for task in document.open_below(document.tasks[0])] == ["b"]
    assert document.tasks[-1].depth == 1500


def test_lines_of_old_macs_are_lines() -> None:
    """A carriage return ends a line where no line feed does."""
    assert [task.line for task in parse(b"- [ ] a\r- [ ] b\r").tasks] == [1, 2]
    assert [task.line for task in parse(b"- [ ] a\r- [ ] b\n- [ ] c").tasks] == [1, 2]


def test_a_mark_that_stands_keeps_its_form() -> None:
    """An upper-case X is a mark, too."""
    assert parse(b"- [X] a").marked({1: Mark(True)}).content == b"- [X] a"


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    """Windows editors write one."""
    document = parse(b"\xef\xbb\xbf- [ ] a\r\n")

    assert document.marked({1: Mark(True)}).content == b"\xef\xbb\xbf- [x] a\r\n"
    assert parse(b"\xef\xbb\xbf## Phase 5\n- [ ] a\n").tasks[0].phase == "Phase 5"


@pytest.mark.parametrize(
    "line", [b"- [ ] " + b" " * 200_000, b"`" * 200_000, b"<!-- " * 40_000, b"# " + b"#" * 200_000]
)
def test_long_lines_take_no_longer_than_they_are(line: bytes) -> None:
    """A form of search that goes back over and over would not end here."""
    assert parse(line + b" x\n").content == line + b" x\n"
