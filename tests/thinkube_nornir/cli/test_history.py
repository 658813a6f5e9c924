"""history and show: what the journal knows, found, filtered, and said for people, pipes and programs."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from tests.past_runs import NOON, PastRuns, failed, step
from tests.thinkube_nornir.cli.conftest import Cli
from thinkube_nornir.database import Database
from thinkube_nornir.history import runs
from thinkube_nornir.journal import Journal
from thinkube_nornir.reporting.terminal import Terminal

_BEGUN = runs._begun


@pytest.fixture
def past(project: Path, monkeypatch: pytest.MonkeyPatch) -> PastRuns:
    """Six runs: each verdict, both targets, three hosts. The process that runs began long ago, as the last run did."""
    monkeypatch.setattr("thinkube_nornir.history.runs._begun", lambda _: NOON)
    made = PastRuns(project / ".thinkube")
    made.add(step("install", "tkc", chain="setup", outcome="changed", seconds=3.0), step(host="tkw1"))
    made.add(step(host="tkw1"), failed(host="tkw2"), outcome="failed", limit="workers")
    made.add(step(), verb="verify", selection=("phase1.base",), scope="lab 77 1.0")
    made.add(step("install", chain="setup", outcome="planned"), verb="plan", dry_run=True)
    made.add(step(outcome=None), outcome=None, selection=("all",))
    made.add(step(), outcome=None, selection=("phase2",), pid=os.getpid())
    return made


def _runs(cli: Cli, *asked: str) -> list[int]:
    ended = cli("history", *asked)
    assert ended.code == 0, ended.err
    return [int(line.split()[0]) for line in ended.lines[1:]]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ((), [6, 5, 4, 3, 2, 1]),
        (("-n", "2"), [6, 5]),
        (("--verb", "verify", "--verb", "plan"), [4, 3]),
        (("--outcome", "failed"), [2]),
        (("--outcome", "killed", "--outcome", "running"), [6, 5]),
        (("--outcome", "pending"), [4]),
        (("--selection", "phase1"), [5, 3]),
        (("-s", "phase5.coredns"), [5, 4, 2, 1]),
        (("-l", "tkw1"), [2, 1]),
        (("--host", "tkw2"), [2]),
        (("-l", "workers,!tkw2"), [2, 1]),
        (("--target", "lab"), [3]),
        (("--since", "2023-11-15T02:00"), []),
    ],
)
def test_history_finds_what_is_asked_for(cli: Cli, past: PastRuns, asked: tuple[str, ...], found: list[int]) -> None:
    """Each filter alone; several values of one are alternatives."""
    if "--since" in asked:
        assert cli("history", "--since", "2h").lines == ["no run is like that"]
        assert len(_runs(cli, "--since", "2023-11-01")) == 6
    else:
        assert _runs(cli, *asked) == found


def test_history_in_a_pipe_is_columns_of_words(cli: Cli, past: PastRuns) -> None:
    """Every field but the last is one word; nothing is cut; the summary is no line of the table."""
    past.add(step(), selection=tuple(f"phase5.component_{n}" for n in range(20)), limit="bcn1,tkc", dry_run=True)

    ended = cli("history", "-n", "2")

    assert ended.lines[0].split() == [
        "run",
        "when",
        "target",
        "verb",
        "outcome",
        "time",
        "changed",
        "failed",
        "selection",
    ]
    fields = ended.lines[1].split()
    assert fields[2:8] == ["ssh", "run", "green", "0.1s", "0", "0"]
    assert fields[-4:] == ["phase5.component_19", "-l", "bcn1,tkc", "--dry-run"]
    assert ended.lines[2].split()[4:6] == ["running", "-"]
    assert ended.err == "the latest 2 of 7 runs: 1 green, 1 running (-n 7 lists all)\n"


def test_history_on_a_terminal_fits(cli: Cli, past: PastRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last column is cut, and the summary stands below."""
    past.add(step(), selection=tuple(f"phase5.component_{n}" for n in range(20)))
    _on_terminal(monkeypatch)

    ended = cli("history")

    assert max(map(len, ended.lines)) == 100
    assert ended.lines[-1] == "7 runs: 3 green, 1 pending, 1 failed, 1 killed, 1 running"


def _on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinkube_nornir.cli.history._is_terminal", lambda _: True)
    monkeypatch.setattr(Terminal, "width", 100)


def test_looking_makes_no_file(cli: Cli, project: Path) -> None:
    """Before the first run there is nothing to see, and nothing is made by it."""
    assert cli("history").lines == ["no runs yet"]
    assert json.loads(cli("history", "--json").out)["runs"] == []
    assert (cli("show").code, cli("show").err) == (2, "error: show: there are no runs yet\n")
    assert not (project / ".thinkube").exists()


def test_a_journal_that_cannot_be_written_is_read(
    cli: Cli, past: PastRuns, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a read-only folder, also what SQLite has not moved into the file yet; the folder stays as it is."""
    with closing(Database(past.path)) as database:
        Journal(database, "ssh").start_run("verify", ("phase5",), "")
        monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)
        before = sorted(project.joinpath(".thinkube").iterdir())

        assert _runs(cli) == [7, 6, 5, 4, 3, 2, 1]
        assert cli("show", "2").code == 0
        assert sorted(project.joinpath(".thinkube").iterdir()) == before


def test_show_begins_with_a_summary_and_ends_with_failures(cli: Cli, past: PastRuns) -> None:
    """What and when, how it ended, hosts, slowest; steps, one a line; what failed, and what to type."""
    ended = cli("show", "2")

    assert ended.lines[:6] == [
        "run      2: run phase5 -l workers",
        "when     " + ended.lines[1].split()[1] + " 0.2 s",
        "target   ssh: real hosts",
        "verdict  failed",
        "steps    2: 1 passed, 1 failed",
        "hosts    host  passed  failed",
    ]
    assert [line.split()[0] for line in ended.lines if "phase5.coredns/" in line] == ["passed", "failed"]
    assert ended.lines[-6:] == [
        "FAILED  phase5.coredns  verify: coredns_answers  on tkw2",
        "  what  0 of 2 pods are ready",
        "  why   no forward line",
        "  fix   run it again",
        "",
        "next   thinkube-nornir run phase5 -l workers",
    ]


def test_a_run_whose_process_number_went_to_another_process_was_killed(
    cli: Cli, past: PastRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is this process's, which began after it."""
    monkeypatch.setattr("thinkube_nornir.history.runs._begun", _BEGUN)

    assert "verdict  killed" in cli("show", "6").lines


def test_show_on_a_terminal_names_resources_as_they_are_declared(
    cli: Cli, past: PastRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of a resource has a long name; a pipe keeps it, as it is one word."""
    past.add(step("file_etc_x_is_as_declared", label="file /etc/x", outcome="failed", error={"what": "is missing"}))
    piped = cli("show").lines
    _on_terminal(monkeypatch)

    assert "  failed  0.1s  tkc  file /etc/x: is missing" in cli("show").lines
    assert any("phase5.coredns/verify/file_etc_x_is_as_declared@tkc" in line for line in piped)


def test_show_names_the_slowest_steps(cli: Cli, past: PastRuns) -> None:
    """What took long is seen before the list; what took no time is not named."""
    slow = [line for line in cli("show", "1").lines if line.startswith("slowest")]

    assert slow == ["slowest  3.0 s  phase5.coredns/setup/install@tkc"]


def test_show_names_what_was_tried_again(cli: Cli, past: PastRuns) -> None:
    """How often, and why the last time, the most often first."""
    past.add(step("a", retries=1, retried="refused"), step("b", retries=3, retried="snap is busy\nmore"), step("c"))

    lines = cli("show").lines

    at = lines.index("retried  3x  phase5.coredns/verify/b@tkc: snap is busy\\nmore")
    assert lines[at + 1] == "         1x  phase5.coredns/verify/a@tkc: refused"
    assert not any("/c@" in line for line in lines[:at])


@pytest.mark.parametrize(
    ("asked", "steps"),
    [
        ((), 2),
        (("--failed",), 1),
        (("--changed",), 0),
        (("--failed", "--outcome", "passed"), 2),
        (("--component", "phase5"), 2),
        (("--component", "phase5.coredns", "-l", "tkw1"), 1),
        (("-l", "!tkw1"), 1),
        (("-l", "workers"), 2),
        (("--chain", "setup"), 0),
    ],
)
def test_show_finds_the_steps_asked_for(cli: Cli, past: PastRuns, asked: tuple[str, ...], steps: int) -> None:
    """In text and in JSON alike."""
    shown, told = cli("show", "2", *asked), cli("show", "2", "--json", *asked)

    assert len([line for line in shown.lines if "phase5.coredns/verify" in line]) == steps
    assert len(json.loads(told.out)["nodes"]) == steps
    assert (f"shown    {steps} of 2 steps" in shown.lines) == bool(asked)


def test_show_in_a_pipe_has_a_line_for_each_step(cli: Cli, past: PastRuns) -> None:
    """A message of several lines stays on its step's line, and none is cut."""
    past.add(step(message="first\nsecond " + "x" * 300, outcome="changed"))

    lines = [line for line in cli("show").lines if line.startswith("changed")]

    assert len(lines) == 1
    assert lines[0].split(maxsplit=3)[3] == "first\\nsecond " + "x" * 300


def test_show_on_a_terminal_leaves_out_what_is_as_wanted(
    cli: Cli, past: PastRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says how many, -v shows them, and a filter that asks for them too."""
    _on_terminal(monkeypatch)

    assert "1 more was as wanted: -v shows it" in cli("show", "1").lines
    for asked in (["-v"], ["--outcome", "passed"]):
        assert any(line.startswith("  passed") for line in cli("show", "1", *asked).lines)


def test_show_on_a_terminal_fits(cli: Cli, past: PastRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    """What steps have in common is said once, above them, and leaves room for what they said."""
    past.add(
        step("install", chain="setup", outcome="changed", seconds=2.0, message="install " + "x" * 300),
        step("join", "tkw1", chain="setup", outcome="changed", message=""),
        step("install", "tkw1", chain="setup", outcome="changed", message="two\nlines"),
    )
    _on_terminal(monkeypatch)

    lines = cli("show").lines

    at = lines.index("phase5.coredns setup")
    assert lines[at + 1].startswith("  changed  2.0s  tkc   install: install xxx")
    assert len(lines[at + 1]) == 100
    assert lines[at + 2 : at + 4] == ["  changed  0.1s  tkw1  join", "  changed  0.1s  tkw1  install: two\\nlines"]


@pytest.mark.parametrize(("name", "run"), [("last", 6), ("last-1", 5), ("last-5", 1), ("3", 3)])
def test_runs_have_names(cli: Cli, past: PastRuns, name: str, run: int) -> None:
    """Numbers, and counted from the last."""
    assert cli("show", name).lines[0].startswith(f"run      {run}: ")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("0", "there is no run 0 (the last one is 6)"),
        ("-1", "there is no run -1 (counted from the end they are last, last-1, last-2)"),
        ("99999999999999999999", "there is no run 99999999999999999999 (the last one is 6)"),
        ("last-6", "there is no run last-6 (the last one is 6)"),
        ("last-99999999999", "last-99999999999 is no run (a run is a number, last, or last-1)"),
        ("lst", "lst is no run (did you mean last?)"),
        ("1.5", "1.5 is no run (a run is a number, last, or last-1)"),
        ("²", "² is no run (a run is a number, last, or last-1)"),
    ],
)
def test_a_run_that_is_not_there_is_an_error(cli: Cli, past: PastRuns, name: str, error: str) -> None:
    """Whatever is typed: one line that says what there is, and exit code 2."""
    ended = cli("show", name)

    assert ended.code == 2
    assert error in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (("history", "--verb", "verfy"), "did you mean verify?"),
        (("history", "--outcome", "fialed"), "did you mean failed?"),
        (("history", "-s", "phase1.bse"), "did you mean phase1.base?"),
        (("history", "-l", "tkx"), "did you mean tkc?"),
        (("history", "-l", "wrkers"), "did you mean workers?"),
        (("history", "--target", "labs"), "did you mean lab?"),
        (("history", "--since", "tuesday"), "'tuesday' is no moment: write a date"),
        (("show", "2", "--outcome", "chnged"), "did you mean changed?"),
        (("show", "2", "--component", "phase5.cordns"), "did you mean phase5.coredns?"),
        (("show", "2", "--chain", "setp"), "did you mean setup?"),
        (("show", "2", "-l", "tkv1"), "did you mean tkw1?"),
        (("show", "2", "-l", "!workers"), "!workers selects no host"),
        (("show", "2", "-l", " "), "is empty"),
    ],
)
def test_unknown_values_get_the_near_one(cli: Cli, past: PastRuns, asked: tuple[str, ...], error: str) -> None:
    """Exit code 2, and nothing that looks like an answer."""
    ended = cli(*asked)

    assert (ended.code, ended.out) == (2, "")
    assert error in ended.err


def test_a_killed_run_is_resumed(cli: Cli, past: PastRuns) -> None:
    """What was at work when it ended is unfinished, and the next command goes on."""
    ended = cli("show", "5")

    assert "verdict  killed" in ended.lines
    assert any(line.startswith("unfinished  -") for line in ended.lines)
    assert ended.lines[-1] == "next   thinkube-nornir resume"


def test_history_at_80_columns_shows_the_selection(cli: Cli, past: PastRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Years, seconds and targets give way."""
    _on_terminal(monkeypatch)
    monkeypatch.setattr(Terminal, "width", 80)

    ended = cli("history")

    assert ended.lines[0].endswith("  selection")
    assert max(map(len, ended.lines)) <= 80
    assert ended.lines[1].endswith("phase2")


def test_show_on_a_terminal_folds_what_was_not_run(cli: Cli, past: PastRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    """One dead host has one line for the steps that did not run, not one for each; -v shows each."""
    away = {"what": "no SSH connection", "why": "refused", "fix": "see to it"}
    skipped = [step(f"s{n}", "tkw1", outcome="skipped", message="tkw1 is unreachable") for n in range(9)]
    past.add(step("a", "tkw1", outcome="failed", error=away), *skipped, outcome="failed")
    past.add(*(step(f"s{n}", outcome="skipped", message="no cards here") for n in range(9)))
    _on_terminal(monkeypatch)

    assert "tkw1 is unreachable" not in cli("show", "7").out
    assert "  also  9 steps did not run because of it" in cli("show", "7").lines
    assert "skipped     9  no cards here" in cli("show", "8").lines
    assert cli("show", "8", "-v").out.count("no cards here") == 9
