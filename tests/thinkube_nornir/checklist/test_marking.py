"""Which marks an operator may set, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from thinkube_nornir.checklist.document import Document, Task, parse
from thinkube_nornir.checklist.marking import Selection, complete, reopen
from thinkube_nornir.checklist.task_line import Evidence
from thinkube_nornir.errors import ConfigError, Problem

LIST = parse(b"""\
# Tasks
- [ ] top <!-- a/top -->
  - [x] one <!-- a/one -->
  - [ ] two <!-- a/two -->
    - [ ] deep <!-- a/deep -->
- [x] closed <!-- b/closed -->
  - [x] below <!-- b/below -->
    - [x] lowest <!-- b/lowest -->
- [ ] twice <!-- c/twice -->
- [ ] twice <!-- c/twice -->
""")


def _none(tasks: Sequence[Task]) -> Mapping[int, Evidence]:
    return {}


def _problems(error: pytest.ExceptionInfo[ConfigError]) -> list[str]:
    return [str(problem) for problem in error.value.problems]


def _done(document: Document) -> list[str]:
    return [task.text for task in document.tasks if task.done]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("1", "line 1: no task stands there (the nearest one is on line 2: top)"),
        ("0", "line 0: there is none: the file has 10 lines"),
        ("-3", "line -3: there is none: the file has 10 lines"),
        ("11", "line 11: there is none: the file has 10 lines"),
        ("9" * 30, f"line {'9' * 30}: there is none: the file has 10 lines"),
        ("a/tow", "a/tow: no task has this name (did you mean a/two?)"),
        ("xyz", "xyz: no task has this name (`checklist show -v` has them)"),
        ("c/twice", "c/twice: is ambiguous: lines 9, 10 have it (name the line, and give each task its own)"),
        ("", ": no task has this name (`checklist show -v` has them)"),
        ("²", "²: no task has this name (`checklist show -v` has them)"),
    ],
)
def test_what_names_no_task_is_an_error(name: str, said: str) -> None:
    """It says what is there instead."""
    with pytest.raises(ConfigError) as error:
        Selection([name]).of(LIST)

    assert _problems(error) == [said]


def test_a_task_has_a_number_and_a_name() -> None:
    """Both name it, once."""
    assert [task.line for task in Selection(["4", "a/one", "3"]).of(LIST)] == [4, 3]


def test_every_wrong_name_is_reported() -> None:
    """All at once, so that they are repaired at once."""
    with pytest.raises(ConfigError) as error:
        Selection(["1", "a/two", "99"]).of(LIST)

    assert len(_problems(error)) == 2


def test_a_line_that_has_become_another_task_is_refused() -> None:
    """Somebody put a line above while the command ran."""
    selection = Selection(["4"])
    selection.of(LIST)

    with pytest.raises(ConfigError, match="line 4: is another task now"):
        selection.of(parse(b"\n" + LIST.content))


def test_a_name_is_found_again_after_an_edit() -> None:
    """That is what names are for."""
    selection = Selection(["a/two"])
    selection.of(LIST)

    assert [task.line for task in selection.of(parse(b"\n" + LIST.content))] == [5]


def test_a_task_is_completed() -> None:
    """It, and no other."""
    after, told = complete(LIST, Selection(["a/deep"]).of(LIST), _none)

    assert _done(after) == ["one", "deep", "closed", "below", "lowest"]
    assert [(marked.task.line, marked.changed) for marked in told] == [(5, True)]


def test_a_parent_with_open_children_is_refused() -> None:
    """They are named, with their lines."""
    with pytest.raises(ConfigError) as error:
        complete(LIST, Selection(["2"]).of(LIST), _none)

    assert _problems(error) == ["line 2: top: open below it: 4 two (complete these first)"]


def test_a_parent_is_completed_together_with_its_children() -> None:
    """In whatever order they are named."""
    after, _ = complete(LIST, Selection(["2", "4", "5"]).of(LIST), _none)

    assert _done(after)[:4] == ["top", "one", "two", "deep"]


def test_to_complete_what_is_done_changes_nothing() -> None:
    """And says so; no evidence is asked for."""

    def refuse(tasks: Sequence[Task]) -> Mapping[int, Evidence]:
        assert not tasks
        return {}

    after, told = complete(LIST, Selection(["a/one"]).of(LIST), refuse)

    assert after.content == LIST.content
    assert [marked.changed for marked in told] == [False]


def test_a_parent_that_is_done_already_is_not_refused() -> None:
    """Also when an editor opened something below it: nothing is to be done."""
    document = parse(b"- [x] a\n  - [ ] b\n")

    after, told = complete(document, Selection(["1"]).of(document), _none)

    assert (after.content, told[0].changed) == (document.content, False)


def test_all_are_completed_or_none() -> None:
    """What is not proven is reported with the parents that have open children."""

    def refuse(tasks: Sequence[Task]) -> Mapping[int, Evidence]:
        raise ConfigError([Problem("line 5", "is not proven")])

    with pytest.raises(ConfigError) as error:
        complete(LIST, Selection(["2", "5", "9"]).of(LIST), refuse)

    assert _problems(error) == ["line 2: top: open below it: 4 two (complete these first)", "line 5: is not proven"]


def test_evidence_is_written() -> None:
    """For those that have some."""
    after, _ = complete(LIST, Selection(["5", "9"]).of(LIST), lambda _: {5: Evidence("2026-11-27", 12)})

    assert after.lines[4] == b"    - [x] deep <!-- a/deep --> *(run 12, 2026-11-27)*\n"
    assert after.lines[8] == b"- [x] twice <!-- c/twice -->\n"


def test_a_task_is_opened_with_all_above_it() -> None:
    """A parent says that all below it is done, which is not so any more."""
    after, told = reopen(LIST, Selection(["b/lowest"]).of(LIST))

    assert _done(after) == ["one"]
    assert [(m.task.line, m.changed, m.because.line if m.because else None) for m in told] == [
        (8, True, None),
        (7, True, 8),
        (6, True, 8),
    ]


def test_to_open_what_is_open_changes_nothing() -> None:
    """And says so."""
    after, told = reopen(LIST, Selection(["a/two"]).of(LIST))

    assert after.content == LIST.content
    assert [marked.changed for marked in told] == [False]
