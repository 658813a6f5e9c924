"""Progress on a terminal and in a pipe."""

from __future__ import annotations

import io
import itertools

import pytest
from rich.console import Console

from tests.fake_run import complete, plan
from thinkube_nornir.cli.runs import progress
from thinkube_nornir.errors import CheckFailed, Unreachable
from thinkube_nornir.estimate import Countdown, Estimate
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.reporting.live import LiveProgress
from thinkube_nornir.reporting.progress import PlainProgress, age
from thinkube_nornir.reporting.terminal import Terminal
from thinkube_nornir.secret import Secret


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _plain(verbose: int = 0) -> tuple[PlainProgress, io.StringIO, Clock]:
    out, clock = io.StringIO(), Clock()
    return PlainProgress(Terminal(verbose, out=out), plan("install", "join", hosts=("tkc", "tkw1")), clock), out, clock


def test_a_pipe_gets_a_line_for_each_change_and_failure() -> None:
    """Host, outcome, what ran and what it said stand on one line; duration when it took a second or more."""
    shown, out, clock = _plain()
    first, second = plan("install", "join").nodes
    for node in (first, second):
        shown.node_started(node.id, node.host)
    clock.now = 75.0

    complete(shown, first, result="install microk8s\nmore", changed=True)
    complete(shown, second, result="refused", failed=True, exception=Unreachable("no route to tkc"))

    assert out.getvalue().splitlines() == [
        "tkc   changed    phase5.coredns setup: install: install microk8s (1 min 15 s)",
        "tkc   failed     phase5.coredns setup: join: no route to tkc (1 min 15 s)",
    ]


def test_failed_checks_of_what_was_never_set_up_are_lines_for_who_asks() -> None:
    """The end of the run says them in one line; other errors there are no less news than elsewhere."""
    out, told = io.StringIO(), io.StringIO()
    places = frozenset({("phase5.coredns", "tkc")})
    shown = PlainProgress(Terminal(out=out), plan("install", "join"), never_set_up=places)
    verbose = PlainProgress(Terminal(1, out=told), plan("install", "join"), never_set_up=places)
    first, second = plan("install", "join").nodes

    for each in (shown, verbose):
        complete(each, first, failed=True, exception=CheckFailed("it is missing"))
        complete(each, second, failed=True, exception=Unreachable("no route to tkc"))

    assert [line.split(": ")[-1] for line in out.getvalue().splitlines()] == ["no route to tkc"]
    assert [line.split(": ")[-1] for line in told.getvalue().splitlines()] == ["it is missing", "no route to tkc"]


def test_what_was_not_started_is_no_line() -> None:
    """A failed step must not be buried under a hundred that wait for it; -v shows them."""
    quiet, told = _plain(), _plain(verbose=1)
    for shown, _, _ in (quiet, told):
        complete(shown, plan("join").nodes[0], result="needs install, which failed", outcome=Outcome.SKIPPED)

    assert quiet[1].getvalue() == ""
    assert "skipped" in told[1].getvalue()


def test_what_is_as_it_should_be_is_no_line() -> None:
    """A run with nothing to do says so once, in its summary; -v shows each step."""
    quiet, told = _plain(), _plain(verbose=1)
    for shown, _, _ in (quiet, told):
        complete(shown, plan("join").nodes[0], result="is joined")

    assert quiet[1].getvalue() == ""
    assert "is joined" in told[1].getvalue()


def test_a_long_wait_is_visible_in_a_pipe() -> None:
    """A step that is at work for half a minute is named, with its age; a short one is not."""
    shown, out, clock = _plain()
    slow, quick = plan("install", hosts=("tkc", "tkw1")).nodes
    shown.node_started(slow.id, slow.host)
    clock.now = 40.0
    shown.node_started(quick.id, quick.host)

    shown.show_waits()

    assert out.getvalue() == "tkc   running    phase5.coredns setup: install (40 s)\n"


def _foreseen(seconds: float) -> Countdown:
    made = plan("install", "join", hosts=("tkc", "tkw1"))
    return Countdown(Estimate(made, {node.id: seconds for node in made.nodes}, 64, {}))


def test_the_rest_is_told_in_a_pipe() -> None:
    """Every half minute, below what runs, with how much of the plan is done."""
    shown, out, clock = _plain()
    shown.countdown = _foreseen(100.0)
    first, second = plan("install", "join").nodes
    shown.node_started(first.id, first.host)
    clock.now = 5.0
    complete(shown, first)
    shown.node_started(second.id, second.host)
    clock.now = 40.0

    shown.show_waits()

    assert out.getvalue().splitlines() == [
        "tkc   running    phase5.coredns setup: join (35 s)",
        "time   about 1 min 40 s left (1 of 4 steps are done)",
    ]


def test_the_rest_is_in_the_first_line_of_a_terminal() -> None:
    """Beside the time that has passed; nothing in its place when nothing is known, or nothing is left."""
    shown, _, clock = _live(("tkc", "tkw1"))
    assert shown.head() == "0/4 steps  0 s  "

    shown.countdown = _foreseen(10.0)
    nodes = plan("install", "join", hosts=("tkc", "tkw1")).nodes
    for node in nodes:
        shown.node_started(node.id, node.host)
    clock.now = 4.0
    assert shown.head() == "0/4 steps  4 s, about 6 s left  "

    for node in nodes:
        complete(shown, node)
    assert shown.head() == "4/4 steps  4 s  4 unchanged"


def test_the_ticker_ends_with_the_run() -> None:
    """Leaving the block leaves no thread behind."""
    shown, _, _ = _plain()
    with shown:
        ticker = shown._ticker
        assert ticker.is_alive()
    assert not ticker.is_alive()


def test_verbose_tells_starts() -> None:
    """With -v the start of a step is a line too."""
    shown, out, _ = _plain(verbose=1)
    node = plan("install").nodes[0]
    shown.node_started(node.id, node.host)

    assert out.getvalue() == "tkc   started    phase5.coredns setup: install\n"


def test_progress_shows_no_secret() -> None:
    """What a step says is redacted before it is shown."""
    Secret("correct-horse")
    shown, out, _ = _plain()
    complete(shown, plan("install").nodes[0], result="token correct-horse", changed=True)

    assert "horse" not in out.getvalue()


def test_progress_is_drawn_only_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe and a dumb terminal get plain lines, a real terminal the live table."""
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress(Terminal(out=io.StringIO()), plan("a")), PlainProgress)
    assert isinstance(progress(Terminal(out=Screen()), plan("a")), LiveProgress)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress(Terminal(out=Screen()), plan("a")), PlainProgress)


def _live(hosts: tuple[str, ...], height: int = 24) -> tuple[LiveProgress, Console, Clock]:
    clock = Clock()
    console = Console(file=io.StringIO(), width=80, height=height, force_terminal=True, color_system=None)
    return LiveProgress(Terminal(out=Screen()), plan("install", "join", hosts=hosts), console, clock), console, clock


def _drawn(shown: LiveProgress, console: Console) -> list[str]:
    with console.capture() as captured:
        console.print(shown)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_live_has_a_line_per_host() -> None:
    """What runs now and since when, how much is done; counts of all hosts on top."""
    shown, console, clock = _live(("tkc", "tkw1"))
    done, running = plan("install", "join").nodes
    shown.node_started(done.id, "tkc")
    complete(shown, done, result="x", changed=True)
    shown.node_started(running.id, "tkc")
    clock.now = 12.0

    assert _drawn(shown, console) == [
        "1/4 steps  12 s  1 changed",
        "tkc   1/2  12 s  phase5.coredns setup: join",
        "tkw1  0/2  waiting",
    ]


def test_live_fits_the_screen() -> None:
    """Half of it is left to what scrolls by; the busy hosts are shown, the others counted; no line is wider than 80."""
    hosts = tuple(f"a-rather-long-host-name-{n:03d}" for n in range(100))
    shown, console, _ = _live(hosts, height=10)
    graph = plan("install", "join", hosts=hosts)
    for node in itertools.islice(reversed(graph.nodes), 2):
        shown.node_started(node.id, node.host)

    lines = _drawn(shown, console)

    assert len(lines) == 7
    assert max(map(len, lines)) <= 80
    assert "host-name-099" in lines[1]
    assert lines[-1] == "and 95 more hosts: 95 waiting"


def test_live_hosts_keep_their_places() -> None:
    """While all fit the screen, in the order in which people count; ages of some width do not move what follows."""
    hosts = ("gpu10", "gpu9", "tkc")
    shown, console, clock = _live(hosts)
    slow, quick = (node for node in plan("install", hosts=hosts).nodes if node.host != "tkc")
    shown.node_started(slow.id, slow.host)
    clock.now = 95.0
    before = [line.split()[0] for line in _drawn(shown, console)[1:]]
    clock.now = 4.0
    shown.node_started(quick.id, quick.host)
    clock.now = 50.0

    lines = _drawn(shown, console)[1:]

    assert before == [line.split()[0] for line in lines] == ["gpu9", "gpu10", "tkc"]
    assert lines[0].index("phase5") == lines[1].index("phase5")


def test_live_lines_above_break_at_spaces() -> None:
    """A long message hangs below its first word, and no word is cut in two."""
    shown, console, _ = _live(("tkc",))
    with console.capture() as captured:
        complete(shown, plan("join").nodes[0], result="many words " * 9, changed=True)

    first, *others = captured.get().splitlines()
    assert len(first) <= 80
    assert others
    assert {len(line) - len(line.lstrip()) for line in others} == {first.index("phase5")}
    assert captured.get().split()[4:] == ["join:", *(["many", "words"] * 9)]


def test_live_prints_changes_and_failures_above() -> None:
    """What changed or failed stays on the screen; what was as it should be does not scroll it away."""
    shown, console, _ = _live(("tkc",))
    install, join = plan("install", "join").nodes
    with console.capture() as captured:
        complete(shown, install, result="fine")
        complete(shown, join, result="[bold]x[/nonsense]", changed=True)

    assert captured.get() == "tkc  changed    phase5.coredns setup: join: [bold]x[/nonsense]\n"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (3700, "61 min 40 s")])
def test_age(seconds: float, text: str) -> None:
    """Minutes once there are any."""
    assert age(seconds) == text


def test_an_interrupted_run_says_nothing_of_time_and_counts_what_ran() -> None:
    """It does not go on to its end; what was not started any more is not done."""
    shown, console, _ = _live(("tkc",))
    shown.countdown = _foreseen(10.0)
    first, second = plan("install", "join").nodes
    shown.node_started(first.id, first.host)
    complete(shown, first, result="install", changed=True)

    shown.note("interrupted: running steps finish")
    complete(shown, second, result="interrupted", outcome=Outcome.SKIPPED)

    head, line = _drawn(shown, console)[-2:]
    assert head == "1/2 steps  0 s  1 changed  1 skipped"
    assert line == "tkc  1/2  interrupted"


def test_counts_of_hosts_stand_in_columns() -> None:
    """Whatever the number of their digits."""
    shown, console, _ = _live(("tkc", "tkw1"))
    shown.totals.update({"tkc": 124})

    assert _drawn(shown, console)[-2:] == ["tkc     0/126  waiting", "tkw1    0/2    waiting"]
