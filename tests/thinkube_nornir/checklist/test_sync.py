"""What the journal makes of a list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.thinkube_nornir.checklist.story import Story
from thinkube_nornir.checklist.document import parse
from thinkube_nornir.checklist.sync import Sync, sync

LAB, OLD_LAB, REAL = "lab 7 2.000", "lab 1 1.000", "ssh"

LIST = """\
## Phase 5

- [ ] Checks are red <!-- phase5.dns/red -->
- [ ] **DNS** <!-- phase5.dns -->
  - [ ] set up <!-- phase5.dns/setup -->
  - [ ] verified <!-- phase5.dns/verify -->
- [ ] All of it <!-- phase5/verify -->
  - [ ] and a look at it <!-- phase5/look -->
- [ ] By hand <!-- phase5/branch -->
"""


def _sync(content: str, story: Story, scope: str = REAL) -> Sync:
    story.scope = scope
    return sync(parse(content.encode()), story.proofs())


def _changed(done: Sync) -> list[tuple[int, bool, str]]:
    return [(change.task.line, change.mark.done, change.why) for change in done.changes]


def _story(scope: str = REAL) -> tuple[Story, str]:
    """A green run, and the day on which it ended."""
    story = Story(scope)
    story.run("run", setup="changed")
    return story, story.runs[1].date


def _line(done: Sync, number: int) -> str:
    return done.document.lines[number - 1].decode().rstrip("\n")


def test_what_is_proven_is_marked() -> None:
    """With run and day; its heading too, which claims nothing else; what a person must do stays open."""
    story, day = _story()

    done = _sync(LIST, story)

    assert _line(done, 5) == f"  - [x] set up <!-- phase5.dns/setup --> *(run 1, {day})*"
    assert _changed(done) == [
        (4, True, "all below it is done"),
        (5, True, "run 1 proves it"),
        (6, True, "run 1 proves it"),
    ]


def test_a_proven_parent_waits_for_its_children() -> None:
    """It is said what is left."""
    story, _ = _story()

    [note] = _sync(LIST, story).notes

    assert (note.task.line, note.why) == (7, "is proven, but below it line 8 is open")


def test_a_second_sync_changes_nothing() -> None:
    """Also when everything was verified again in between."""
    story, _ = _story()
    first = _sync(LIST, story)
    story.run("verify")

    assert _sync(first.document.content.decode(), story).changes == ()


def test_what_turned_red_is_opened_with_its_heading() -> None:
    """The reason names the run, the check and the host."""
    story, _ = _story()
    first = _sync(LIST, story).document.content.decode()
    red = story.run("verify", outcome="failed", but={"phase5.dns/verify/answers@b": "failed CheckFailed"})

    done = _sync(first, story)

    assert _changed(done) == [
        (4, False, "below it, line 6 is open again"),
        (6, False, f"run {red}: answers failed on b"),
    ]
    assert _line(done, 6) == "  - [ ] verified <!-- phase5.dns/verify -->"


def test_a_rollback_opens_and_the_next_run_marks_again() -> None:
    """Back to the bytes of before, and then with the new run."""
    story, _ = _story()
    first = _sync(LIST, story).document.content.decode()
    gone = story.run("rollback")

    rolled = _sync(first, story)

    assert rolled.document.content.decode() == LIST
    assert (5, False, f"run {gone} rolled it back on a, b") in _changed(rolled)
    again = story.run("run", setup="changed")
    assert f"*(run {again}, " in _line(_sync(LIST, story), 5)


def test_a_mark_without_evidence_gets_it() -> None:
    """Set by hand, or in an editor, and proven since."""
    story, day = _story()
    by_hand = LIST.replace("- [ ] set up <!-- phase5.dns/setup -->", "- [x] set up <!-- phase5.dns/setup -->")

    assert f"*(run 1, {day})*" in _line(_sync(by_hand, story), 5)


def test_a_mark_by_hand_stays_and_is_named() -> None:
    """The journal knows nothing of it; the note says what would prove it."""
    by_hand = LIST.replace(
        "[ ] set up <!-- phase5.dns/setup -->", "[x] set up <!-- phase5.dns/setup --> *(by hand, 2026-11-01)*"
    )

    done = _sync(by_hand, Story())

    assert done.changes == ()
    [note] = done.notes
    assert (note.task.line, note.why, note.command) == (
        5,
        "marked by hand: not set up on a, b",
        ("run", "phase5.dns"),
    )


def test_a_mark_by_hand_goes_when_it_is_red() -> None:
    """What was seen counts more than what was said."""
    story, _ = _story()
    story.run("rollback")
    by_hand = LIST.replace(
        "[ ] set up <!-- phase5.dns/setup -->", "[x] set up <!-- phase5.dns/setup --> *(by hand, 2026-11-01)*"
    )

    assert _sync(by_hand, story).document.content.decode() == LIST


def test_what_is_not_proven_any_more_stays_and_is_named() -> None:
    """A killed run may have changed something; nobody saw that it broke."""
    story, _ = _story()
    first = _sync(LIST, story).document.content.decode()
    killed = story.run("run", outcome=None, but={"phase5.dns/setup/install@a": None})

    done = _sync(first, story)

    assert done.changes == ()
    assert f"not proven any more: run {killed} changed it" in done.notes[0].why


def test_evidence_of_the_lab_says_so() -> None:
    """Who reads the list must not take it for the real thing."""
    story, day = _story(LAB)

    assert f"*(run 1 on the lab, {day})*" in _line(_sync(LIST, story, LAB), 5)


def test_evidence_of_the_lab_does_not_count_for_real_hosts() -> None:
    """Its marks go, and the reason is given."""
    story, _ = _story(LAB)
    on_lab = _sync(LIST, story, LAB).document.content.decode()

    done = _sync(on_lab, story, REAL)

    assert done.document.content.decode() == LIST
    assert (5, False, "run 1 was on the lab, and says nothing of real hosts") in _changed(done)


def test_a_lab_that_was_started_anew_has_other_hosts() -> None:
    """What was proven on the one before went with it."""
    story, _ = _story(OLD_LAB)
    before = _sync(LIST, story, OLD_LAB).document.content.decode()

    done = _sync(before, story, LAB)

    assert done.document.content.decode() == LIST
    assert (5, False, "run 1 was on hosts of the lab that are gone") in _changed(done)


def test_a_new_lab_proves_anew() -> None:
    """Its evidence takes the place of the other's."""
    story, _ = _story(OLD_LAB)
    before = _sync(LIST, story, OLD_LAB).document.content.decode()
    story.scope = LAB
    again = story.run("run", setup="changed")

    assert f"*(run {again} on the lab, " in _line(_sync(before, story, LAB), 5)


def test_evidence_of_real_hosts_is_not_touched_on_the_lab() -> None:
    """Who tries something on the lab loses nothing of what was proven on servers."""
    story, _ = _story()
    proven = _sync(LIST, story).document.content.decode()
    story.scope = LAB
    story.run("verify", outcome="failed", but={"phase5.dns/verify/answers@b": "failed CheckFailed"})

    done = _sync(proven, story, LAB)

    assert [change.task.line for change in done.changes] == [3]  # red on the lab, and open on the list
    assert {note.why for note in done.notes} == {"was proven on real hosts, of which the lab says nothing"}


def test_evidence_of_another_controller_stays() -> None:
    """Its runs have other numbers, and other days; what this journal proves as well does not replace them."""
    story, _ = _story()
    theirs = _sync(LIST, story).document.content.decode().replace("run 1,", "run 40,")

    assert _sync(theirs, story).changes == ()
    [note, *_] = _sync(theirs, Story()).notes
    assert note.why == "run 40 is in another journal; in this one: not set up on a, b"


def test_a_run_of_the_same_number_on_another_day_is_another_run() -> None:
    """Numbers begin at one in each journal."""
    story, day = _story()
    theirs = _sync(LIST, story).document.content.decode().replace(day, "2025-01-01")

    assert _sync(theirs, story).changes == ()


def test_a_run_of_the_same_number_on_the_lab_is_another_run() -> None:
    """Another controller's run on servers is not taken for the run of this one's lab on the same day."""
    story, _ = _story()
    theirs = _sync(LIST, story).document.content.decode()
    on_lab, _ = _story(LAB)

    [note, *_] = _sync(theirs, on_lab, REAL).notes

    assert "in another journal" in note.why


def test_red_here_counts_whoever_proved_it() -> None:
    """A check that this controller saw fail is red."""
    story, _ = _story()
    theirs = _sync(LIST, story).document.content.decode().replace("run 1,", "run 40,")
    story.run("rollback")

    assert _sync(theirs, story).document.content.decode() == LIST


def test_a_heading_with_something_open_below_is_opened() -> None:
    """It says nothing but what is below it."""
    wrong = LIST.replace("- [ ] **DNS**", "- [x] **DNS**")

    done = _sync(wrong, Story())

    assert _changed(done) == [(4, False, "below it, lines 5, 6 are open")]


def test_a_task_of_an_operator_is_theirs() -> None:
    """Also with all below it done: it may claim more than that."""
    own = (
        "- [ ] Mine <!-- phase5/mine -->\n  - [x] part\n- [x] Done <!-- phase5/done -->\n  - [ ] part\n- [ ] **Bold**\n"
    )

    assert _sync(own, Story()).changes == ()


def test_a_parent_is_opened_with_its_child() -> None:
    """An operator's, too: it was done together with what is below it."""
    story, _ = _story()
    own = "- [x] Mine <!-- phase5/mine -->\n  - [x] set up <!-- phase5.dns/setup -->\n"
    story.run("rollback")

    assert _changed(_sync(own, story))[0] == (1, False, "below it, line 2 is open again")


def test_all_other_text_stays() -> None:
    """Line ends included."""
    story, _ = _story()
    windows = LIST.replace("\n", "\r\n")

    done = _sync(windows, story)

    assert done.document.content.count(b"\r\n") == windows.count("\r\n")
    assert len(done.changes) == 3


NAMES = ["phase5.dns/red", "phase5.dns/setup", "phase5.dns/verify", "phase5/verify", "phase5.api/rollback", "a/b", ""]
EVIDENCE = ["", " *(by hand, 2026-11-01)*", " *(run 1, 2026-11-27)*", " *(run 1 on the lab, 2026-11-27)*", " *(mine)*"]
TASKS = st.builds(
    lambda depth, mark, text, name, evidence: (
        f"{'  ' * depth}- [{mark}] {text}{name and f' <!-- {name} -->'}{evidence}"
    ),
    st.integers(0, 3),
    st.sampled_from(" xX"),
    st.sampled_from(["text", "**Heading**"]),
    st.sampled_from(NAMES),
    st.sampled_from(EVIDENCE),
)
STEPS = st.sampled_from(["run", "verify", "rollback"])


@given(
    st.lists(TASKS, min_size=1, max_size=8), st.lists(STEPS, max_size=4), st.booleans(), st.sampled_from([REAL, LAB])
)
def test_one_sync_is_enough(lines: list[str], verbs: list[str], red: bool, scope: str) -> None:
    """Whatever list and journal are: a second one finds nothing, and no parent was marked above something open."""
    story = Story(scope)
    for verb in verbs:
        story.run(verb, setup="changed")
    if red:
        story.run("verify", outcome="failed", but={"phase5.dns/verify/answers@b": "failed CheckFailed"})
    before = "\n".join(lines)

    done = _sync(before, story, scope)

    after = done.document
    assert _sync(after.content.decode(), story, scope).changes == ()
    assert [task.text for task in after.tasks] == [task.text for task in parse(before.encode()).tasks]
    for change in done.changes:
        task = after.by_line[change.task.line]
        assert task.done is change.mark.done
        assert change.task.done or not task.done or not list(after.open_below(task))
    for task in after.tasks:
        if task.line not in {change.task.line for change in done.changes}:
            assert after.lines[task.line - 1] == parse(before.encode()).lines[task.line - 1]
