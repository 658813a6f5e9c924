"""The page in a real browser: all of it is there, and can be reached by mouse, by keys, on a phone and on paper."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.chromium import Reader
from tests.fake_run import failed, record, row
from tests.large_runs import installation, topology, verification
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.matrix import marks
from thinkube_nornir.reporting.record import Failure, Record
from thinkube_nornir.reporting.terminal import clean

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

START = 1_700_000_000.0
DISK = Failure("CheckFailed", "the disk is full", "seen: 0 bytes free", "remove what nobody needs")
RED = record(
    row("clock_is_right", "tkc", Outcome.PASSED, chain="preconditions", started=START, duration=0.1),
    row("write_file", "tkc", Outcome.CHANGED, chain="setup", message="write /etc/a", diff="-a\n+b\n", started=START),
    failed(host="tkc", started=START + 0.5, duration=1.0),
    failed(host="tkw1", started=START + 0.4, duration=0.5),
    row("disk_has_room", "tkc", Outcome.PASSED, message="9 GB are free", started=START + 1.5, duration=0.1),
    row("disk_has_room", "tkw1", Outcome.FAILED, message=DISK.what, failure=DISK, started=START + 1.0, duration=0.1),
    row("api_is_ready", "tkc", Outcome.SKIPPED, message="needs what failed"),
    row("node_is_ready", "tkc", Outcome.PASSED, message="Ready for 3 minutes", started=START + 2.0, duration=0.1),
    topology=topology(2),
    next_command="thinkube-nornir run phase5",
)
LONG = "x" * 400
ARABIC = "\u0645\u0631\u062d\u0628\u0627"


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))


def overflow(page: Page) -> int:
    """Pixels that the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def colour(locator: Locator, name: str = "background-color") -> str:
    return str(locator.evaluate(f"element => getComputedStyle(element).getPropertyValue('{name}')"))


def top(locator: Locator) -> float:
    """Of what is drawn, in pixels of the window."""
    box = locator.bounding_box()
    assert box is not None
    return float(box["y"])


def test_every_failure_is_told_with_its_reason(reader: Reader) -> None:
    """Once for each cause, visible without a click, with the places where it happened."""
    page = reader.open(RED)
    causes = page.locator(".cause")

    assert page.title() == "Failed: run phase5, run 7"
    assert causes.count() == 2
    for cause, failure in zip(causes.all(), (RED.rows[2].failure, DISK), strict=True):
        assert failure
        for part in (failure.what, failure.why, failure.fix):
            assert cause.get_by_text(part, exact=True).is_visible()
    assert causes.nth(0).locator(".places a").all_inner_texts() == ["tkc", "tkw1"]


@pytest.mark.parametrize("made", [RED, verification(6, 24)], ids=["small", "large"])
def test_every_cell_of_the_matrix_says_what_its_check_said(reader: Reader, made: Record) -> None:
    """Read as a person does: the row's head, the column's head, the mark."""
    page = reader.open(made)
    seen: list[tuple[str, str, str]] = page.evaluate(
        """() => {
            const table = document.querySelector("#matrix");
            const hosts = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.innerText.trim());
            const lines = [...table.querySelectorAll("tbody tr:not(.group)")];
            return lines.flatMap(({cells: [head, ...cells]}) =>
                cells.map((cell, at) => [head.innerText, hosts[at], cell.innerText.trim()]));
        }"""
    )
    mark = marks(unicode=True)
    expected = {(r.step.replace("_", " "), r.host): mark.of(r) for r in made.rows if r.chain == "verify"}

    assert {(step, host): text for step, host, text in seen if text} == expected


def test_a_cell_leads_to_its_details(reader: Reader) -> None:
    """What was folded is unfolded, and the row is on the screen and has the focus."""
    page = reader.open(RED)
    details = page.locator("#r7")
    assert not details.is_visible()

    page.locator('#matrix a[href="#r7"]').click()

    assert details.is_visible()
    assert focused(page) == "r7"
    assert 0 <= top(details) < 900
    assert "Ready for 3 minutes" in details.inner_text()


def test_an_address_with_a_place_opens_there(reader: Reader) -> None:
    """A link that somebody sent leads to the row, folded or not."""
    page = reader.open(RED, anchor="#r7")

    assert page.locator("#r7").is_visible()


def test_details_are_folded_and_unfolded(reader: Reader) -> None:
    """One by one, and all at once; failures are open from the start."""
    page = reader.open(RED)
    rows = page.locator("#steps tbody tr")
    cause = page.locator(".cause").first
    assert page.locator("#r2").is_visible()

    page.get_by_role("button", name="Fold all", exact=True).click()
    assert not any(each.is_visible() for each in rows.all())
    assert not cause.get_by_text("the Corefile has no forward line").is_visible()

    page.get_by_role("button", name="Unfold all").click()
    assert all(each.is_visible() for each in rows.all())
    assert page.locator("#changes .diff ins").is_visible()

    cause.locator("summary").first.click()
    assert not cause.get_by_text("the Corefile has no forward line").is_visible()


def _found(page: Page) -> list[str]:
    rows = page.locator("#steps tbody tr")
    shown = rows.evaluate_all("rows => rows.filter((row) => !row.closest('[hidden]')).map((row) => row.id)")
    return [str(name) for name in shown]


def test_the_filter_finds_words_outcomes_and_hosts(reader: Reader) -> None:
    """Together, in what was seen as in names; all of it comes back when the filter is cleared."""
    page = reader.open(RED)
    text, status = page.locator("#text"), page.locator("#shown")

    text.fill("tkc  READY")
    page.wait_for_function("document.querySelector('#shown').textContent")
    assert _found(page) == ["r2", "r6", "r7"]
    assert status.inner_text() == "3 of 8 shown"
    assert page.locator("#r7").is_visible()

    page.select_option("#outcome", "failed")
    assert _found(page) == ["r2"]
    page.select_option("#host", "tkw1")
    assert _found(page) == []
    assert status.inner_text() == "0 of 8 shown"

    text.press("Escape")
    assert len(_found(page)) == 8
    assert status.inner_text() == ""
    assert not page.locator("#r7").is_visible()
    assert page.locator("#r5").is_visible()


def test_a_link_to_what_the_filter_hides_shows_it(reader: Reader) -> None:
    """The matrix stays usable while a filter is set."""
    page = reader.open(RED)
    page.select_option("#outcome", "failed")

    page.locator('#matrix a[href="#r4"]').click()

    assert page.locator("#r4").is_visible()


def test_keys_lead_through_the_page(reader: Reader) -> None:
    """Failures one after the other, and round; the filter; the list of keys."""
    page = reader.open(RED)
    first, second = (cause.locator("h3 span").last.inner_text() for cause in page.locator(".cause").all())

    page.keyboard.press("j")
    assert first in focused(page)
    page.keyboard.press("j")
    assert second in focused(page)
    page.keyboard.press("j")
    assert first in focused(page)
    page.keyboard.press("k")
    assert second in focused(page)

    page.keyboard.press("/")
    assert focused(page) == "text"
    page.keyboard.type("j?")
    assert page.locator("#text").input_value() == "j?"
    page.keyboard.press("Escape")

    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()

    page.keyboard.press("f")
    assert not page.locator("#r2").is_visible()
    page.keyboard.press("u")
    assert page.locator("#r2").is_visible()


def test_tab_reaches_everything_and_shows_where_it_is(reader: Reader) -> None:
    """First of all the way past the navigation; the matrix is one stop, and arrow keys move inside."""
    page = reader.open(RED)
    stops: list[Any] = []
    for _ in range(200):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """() => {
                const at = document.activeElement, style = getComputedStyle(at);
                const name = at.id || at.textContent.trim().slice(0, 40);
                return at === document.body ? null : [at.tagName, name, style.outlineStyle, !!at.closest("#matrix")];
            }"""
        )
        if stop is None:
            break
        stops.append(stop)

    names = [name for _, name, _, _ in stops]
    assert names[0] == "Skip to the report"
    for wanted in ("theme", "keys-open", "text", "outcome", "host", "fold", "unfold"):
        assert wanted in names
    assert sum(tag == "SUMMARY" for tag, *_ in stops) >= page.locator(".cause").count()
    assert [stop for stop in stops if stop[2] == "none"] == []
    assert sum(inside for *_, inside in stops) == 1


def test_arrow_keys_move_in_the_matrix_and_enter_opens(reader: Reader) -> None:
    """Over cells that have nothing, too, and not out of it."""
    page = reader.open(RED)
    page.locator("#matrix a").first.focus()

    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.hash") == "#r3"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.hash") == "#r3"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.hash") == "#r6"
    page.keyboard.press("Enter")
    assert focused(page) == "r6"


def test_the_skip_link_leads_past_the_navigation(reader: Reader) -> None:
    """It is seen when it has the focus."""
    page = reader.open(RED)
    page.keyboard.press("Tab")
    assert top(page.get_by_text("Skip to the report")) >= 0

    page.keyboard.press("Enter")

    assert focused(page).startswith("main")


def test_the_theme_follows_the_system_and_can_be_chosen(reader: Reader) -> None:
    """Light and dark differ, and what was chosen holds against the system."""
    body = reader.open(RED).locator("body")
    page = reader.open(RED, dark=True)
    dark = colour(page.locator("body"))
    assert colour(body) == "rgb(255, 255, 255)"
    assert dark != colour(body)

    page.get_by_role("button", name="Theme").click()
    assert colour(page.locator("body")) == "rgb(255, 255, 255)"
    assert "light" in page.locator("#theme").inner_text()
    page.keyboard.press("t")
    assert colour(page.locator("body")) == dark
    page.reload()
    assert "dark" in page.locator("#theme").inner_text()


def test_paper_is_white_and_shows_what_was_folded(reader: Reader) -> None:
    """Failures whole, diffs of changes, no buttons; of the steps those that a reader of paper wants."""
    page = reader.open(RED, dark=True)
    page.get_by_role("button", name="Fold all", exact=True).click()
    page.emulate_media(media="print")

    assert colour(page.locator("body")) == "rgb(255, 255, 255)"
    assert colour(page.locator("body"), "color") == "rgb(0, 0, 0)"
    for shown in (
        page.locator(".cause").first.get_by_text("the Corefile has no forward line"),
        page.locator("ins").first,
    ):
        box = shown.bounding_box()
        assert box
        assert box["height"] > 0
    assert not page.locator("nav").is_visible()
    assert not page.get_by_role("button", name="Unfold all").is_visible()
    assert page.locator("#r5").bounding_box()
    assert page.locator("#r4").bounding_box() is None


HOSTILE = record(
    *(
        row(
            "install",
            host,
            Outcome.CHANGED,
            chain="setup",
            message=clean(text),
            diff=clean(f"+{text}\n-{text}\n"),
            started=START,
            duration=1.0,
        )
        for host, text in (
            ("a", "</script><script>window.hacked = 1</script>"),
            ("b", LONG),
            ("c", f"{ARABIC}\u202e/etc"),
        )
    ),
    failed(host="a", what=clean('"><img src=x onerror="window.hacked = 2">'), started=START),
    row("step_" + LONG, LONG, component="phase5." + LONG, message=LONG, started=START, duration=0.2),
    replace(RED.rows[5], failure=Failure("E", LONG, LONG, "<b>fix</b>" + LONG)),
    selection=(LONG,),
    limit=LONG,
    log=LONG,
    next_command=LONG,
    emulated=(LONG,),
)


def test_hostile_text_is_shown_as_text(reader: Reader) -> None:
    """Nothing of it becomes an element or runs; a change of writing direction is made visible."""
    page = reader.open(HOSTILE)
    page.keyboard.press("u")

    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.get_by_text("</script><script>window.hacked = 1</script>").first.is_visible()
    assert page.get_by_text('"><img src=x onerror="window.hacked = 2">').first.is_visible()
    assert page.get_by_text(ARABIC + "\\u202e/etc").first.is_visible()


@pytest.mark.parametrize(
    "made", [RED, HOSTILE, verification(20, 24), installation(20, 24)], ids=["red", "hostile", "verify", "run"]
)
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_never_scrolls_sideways(reader: Reader, made: Record, width: int) -> None:
    """On a phone as on a screen, folded and unfolded: the matrix and the timeline scroll in their own boxes."""
    page = reader.open(made, width=width)
    assert overflow(page) == 0

    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")

    assert overflow(page) == 0


def test_a_phone_breaks_no_word_of_what_was_waited_for(reader: Reader) -> None:
    """The step and its component have a line of their own."""
    page = reader.open(installation(3, 4), width=390)

    names = page.locator(".waits .meta")

    assert names.count()
    assert {int(name.evaluate("e => e.getClientRects().length")) for name in names.all()} == {1}
    heights = names.evaluate_all("all => all.map(e => e.offsetHeight / parseFloat(getComputedStyle(e).fontSize))")
    assert max(heights) < 2


def test_a_failed_cell_is_shaded_as_high_as_its_line(reader: Reader) -> None:
    """Also where the check's name needs several lines."""
    made = record(failed(step="a_check_whose_name_is_so_long_that_it_needs_more_than_one_line_on_a_phone", host="tkc"))
    page = reader.open(made, width=390)

    cell = page.locator(".matrix td:has(a.failed)").first

    assert colour(cell) not in ("rgba(0, 0, 0, 0)", "transparent")


def test_a_bar_leads_to_its_step(reader: Reader) -> None:
    """And says which one it is."""
    page = reader.open(RED)
    bar = page.locator("#b3")
    assert "coredns_answers" in str(bar.locator("title").evaluate("title => title.textContent"))

    bar.click()

    assert focused(page) == "r3"


def test_the_timeline_can_be_drawn_larger(reader: Reader) -> None:
    """Inside of its box: the page stays as wide as it is."""
    page = reader.open(installation(5, 60))
    before = page.locator("#gantt").bounding_box()

    page.locator("[data-zoom='8']").click()

    after = page.locator("#gantt").bounding_box()
    assert before
    assert after
    assert after["width"] > 7 * before["width"]
    assert overflow(page) == 0


def test_the_page_can_be_read_without_javascript(reader: Reader) -> None:
    """All is there and can be unfolded; what would do nothing is not shown."""
    page = reader.open(RED, javascript=False)

    assert page.locator(".cause").first.get_by_text("the Corefile has no forward line").is_visible()
    page.locator(".component > summary").first.click()
    assert not page.locator("#r2").is_visible()
    assert not page.locator("#filter").is_visible()
    assert not page.locator("#theme").is_visible()
    page.locator('#matrix a[href="#r5"]').click()
    assert page.locator("#r5").is_visible()


def test_heads_of_the_matrix_stay_in_sight(reader: Reader) -> None:
    """Hosts above and checks beside, wherever in the box one is."""
    page = reader.open(verification(50, 40))
    box = page.locator(".box:has(#matrix)")
    box.evaluate("box => { box.scrollTop = 400; box.scrollLeft = 300; }")

    place = box.bounding_box()
    corner = page.locator("#matrix thead th").first.bounding_box()
    name = page.locator("#matrix tbody tr:not(.group) th").nth(25).bounding_box()
    assert place
    assert corner
    assert name
    assert abs(corner["y"] - place["y"]) <= 2
    assert abs(name["x"] - place["x"]) <= 2


def test_thousands_of_steps_are_found_and_unfolded(reader: Reader) -> None:
    """The largest page that we promise: all of it is in the filter's reach."""
    page = reader.open(installation(50, 60))

    page.locator("#text").fill("node-37 chain")
    page.wait_for_function("document.querySelector('#shown').textContent")
    assert page.locator("#shown").inner_text() == "60 of 3000 shown"
    page.locator("#text").press("Escape")
    page.keyboard.press("u")
    assert page.locator("#r2999").is_visible()
