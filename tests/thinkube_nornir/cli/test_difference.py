"""diff: two runs compared, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.past_runs import PastRuns, failed, step
from tests.thinkube_nornir.cli.conftest import Cli


@pytest.fixture
def past(project: Path) -> PastRuns:
    """A red run, another one in between, a green one; and one that nothing is like."""
    runs = PastRuns(project / ".thinkube")
    runs.add(step("install", chain="setup", outcome="changed"), failed(host="tkw1"), outcome="failed")
    runs.add(step(), verb="verify")
    runs.add(step(), scope="lab 1 1700000000.0")
    runs.add(step("install", chain="setup"), step(host="tkw1", outcome="passed"))
    runs.add(step(), selection=("phase9",))
    return runs


def test_diff_says_what_differs(cli: Cli, past: PastRuns) -> None:
    """Both runs first, then facts, then steps by kind, each with then and now."""
    ended = cli("diff", "1", "4")

    assert ended.code == 0
    assert [line.partition(", 20")[0] for line in ended.lines[:2]] == [
        "first    1: run phase5, failed",
        "second   4: run phase5, green",
    ]
    assert ended.lines[2:] == [
        "",
        "verdict  failed -> green",
        "",
        "repaired: 1 step",
        "  phase5.coredns verify: coredns_answers  on tkw1",
        "    then  failed: 0 of 2 pods are ready",
        "    now   passed: as it should be",
        "",
        "had nothing left to change: 1 step",
        "  phase5.coredns setup: install  on tkc",
    ]


def test_diff_of_red_runs_ends_with_the_next_command(cli: Cli, past: PastRuns) -> None:
    """What failed is looked at next."""
    assert cli("diff", "4", "1").lines[-1] == "next   thinkube-nornir show 1 --failed"


def test_one_run_is_compared_with_the_last_one_like_it(cli: Cli, past: PastRuns) -> None:
    """The same verb, selection and limit, on the same kind of hosts; whatever lies between."""
    alone, named = cli("diff", "4"), cli("diff", "1", "4")

    assert alone.lines == named.lines


def test_no_run_is_the_last_one(cli: Cli, past: PastRuns) -> None:
    """And when nothing is like it, that is an error that says what it would have been compared with."""
    ended = cli("diff")

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "error: diff: no run before 5 was a run of phase9 on the same kind of hosts"
        " (name two runs; `history` lists them)\n"
    )
    past.add(step(), selection=("phase9",))
    assert "nothing differs" in cli("diff").lines


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (("1", "9"), "there is no run 9 (the last one is 5)"),
        (("0", "1"), "there is no run 0"),
        (("lst", "1"), "did you mean last?"),
        (("-1",), "counted from the end they are last, last-1"),
        (("1", "2", "3"), "unexpected extra argument (3)"),
    ],
)
def test_a_run_that_is_not_there_is_an_error(cli: Cli, past: PastRuns, asked: tuple[str, ...], error: str) -> None:
    """As for show: one line, exit code 2."""
    ended = cli("diff", *asked)

    assert ended.code == 2
    assert error in ended.err


def test_runs_are_counted_from_the_last(cli: Cli, past: PastRuns) -> None:
    """last-4 is the first of five."""
    assert cli("diff", "last-4", "last-1").lines == cli("diff", "1", "4").lines


def test_diff_for_programs_has_both_steps(cli: Cli, past: PastRuns) -> None:
    """Every kind is there, also those that nothing is of; the exit code says nothing about the difference."""
    told = json.loads(cli("diff", "1", "4", "--json").out)

    assert (told["old"]["id"], told["new"]["id"]) == (1, 4)
    assert {"kind": "run", "name": "verdict", "old": "failed", "new": "green", "hosts": []} in told["differs"]
    repaired = told["steps"]["repaired"][0]
    assert (repaired["old"]["error"]["what"], repaired["new"]["outcome"]) == ("0 of 2 pods are ready", "passed")
    assert told["steps"]["failed"] == []


def test_what_hosts_said_cannot_steer_the_terminal(cli: Cli, past: PastRuns) -> None:
    """Control characters are shown, not sent."""
    past.add(step(message="\x1b[2J one"))
    past.add(step(message="two"))

    assert "    then  \\x1b[2J one" in cli("diff").lines


def test_diff_of_two_verbs_counts_what_only_one_of_them_does(cli: Cli, past: PastRuns) -> None:
    """All steps of a chain are no news: they have a line for each component."""
    undone = [step(f"undo_{n}", chain="rollback", outcome="changed") for n in range(5)]
    number = past.add(*undone, verb="rollback")

    lines = cli("diff", "4", str(number)).lines

    assert lines[lines.index("only in the second: 5 steps") + 1] == "  phase5.coredns rollback: 5 steps"
    assert "undo_" not in "".join(lines)
