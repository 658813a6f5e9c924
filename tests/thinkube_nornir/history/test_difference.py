"""What differs between two runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.past_runs import NOON, PastNode, failed, step
from thinkube_nornir.history.difference import Difference, Fact, alike_steps, compare
from thinkube_nornir.history.runs import PastRun
from thinkube_nornir.inputs import Inputs
from thinkube_nornir.journal import NodeRecord, Run


def _run(*nodes: PastNode, number: int = 1, seconds: float = 10.0, **more: Any) -> PastRun:
    given = {"verb": "run", "selection": ("phase5",), "hosts": "", "dry_run": False, "outcome": "done", "scope": "ssh"}
    run = Run(id=number, pid=1, started=NOON, finished=NOON + seconds, **{**given, **more})
    records = [
        NodeRecord(
            node.node, node.node.rpartition("@")[2], NOON, NOON + node.seconds, node.outcome, node.message, node.error
        )
        for node in nodes
    ]
    return PastRun(run, tuple(records))


def _compared(old: PastRun, new: PastRun, given: tuple[Inputs, Inputs] = (Inputs(), Inputs())) -> Difference:
    return compare(old, new, *given)


def _kinds(old: list[PastNode], new: list[PastNode]) -> dict[str, list[str]]:
    found = _compared(_run(*old), _run(*new))
    return {kind: [pair.node.step for pair in pairs] for kind, pairs in found.steps.items()}


def test_a_run_does_not_differ_from_itself() -> None:
    """Nothing is found where nothing is."""
    run = _run(step(), failed("b"), step("install", chain="setup", outcome="changed"))

    found = _compared(run, run)

    assert not found.facts
    assert found.steps.keys() == {"still_failed"}
    assert _compared(_run(step()), _run(step())).nothing


@pytest.mark.parametrize(
    ("then", "now", "kind"),
    [
        (step(outcome="passed"), failed(), "failed"),
        (step(outcome="skipped"), failed(), "failed"),
        (failed(), step(outcome="passed"), "repaired"),
        (failed(), step(outcome="changed"), "repaired"),
        (failed(), failed(what="another reason"), "still_failed"),
        (step(outcome="passed"), step(outcome="skipped"), "not_run"),
        (failed(), step(outcome="skipped"), "not_run"),
        (step(outcome="changed"), step(outcome=None), "not_run"),
        (step(outcome="skipped"), step(outcome="passed"), "run_again"),
        (step(outcome="unchanged"), step(outcome="changed"), "changed"),
        (step(outcome="unchanged"), step(outcome="planned"), "changed"),
        (step(outcome="changed"), step(outcome="unchanged"), "settled"),
        (step(outcome="passed", message="2 of 2"), step(outcome="passed", message="3 of 3"), "seen"),
    ],
)
def test_a_step_stands_under_what_matters_most_of_it(then: PastNode, now: PastNode, kind: str) -> None:
    """Every pair of outcomes that differs has one kind."""
    assert _kinds([then], [now]) == {kind: ["coredns_answers"]}


def test_what_only_one_run_had_is_said() -> None:
    """A step that is new, and one that went away."""
    assert _kinds([step("a"), step("b")], [step("b"), step("c")]) == {"only_old": ["a"], "only_new": ["c"]}


def test_what_only_has_a_name_is_told_once_whatever_it_said() -> None:
    """Of steps that are new, or had nothing left to do, what they said is of no use."""
    found = _compared(_run(), _run(step("a", "tkc", message="one"), step("a", "tkw1", message="two"))).steps

    assert [(line.hosts, line.old, line.new) for line in alike_steps("only_new", found["only_new"])] == [
        (("tkc", "tkw1"), "", "")
    ]


def test_a_new_step_that_failed_is_a_new_failure() -> None:
    """The first run may have ended before it came to it."""
    found = _compared(_run(step("a")), _run(step("a"), failed("b", what="no answer"))).steps

    assert found.keys() == {"failed"}
    assert [(line.old, line.new) for line in alike_steps("failed", found["failed"])] == [("", "failed: no answer")]


_STEP = st.tuples(
    st.sampled_from([None, "changed", "planned", "passed", "unchanged", "skipped", "failed"]),
    st.sampled_from(["one", "two"]),
    st.sampled_from([0.0, 0.5, 2.0, 9.0]),
)
_STEPS = st.dictionaries(st.sampled_from("abcdef"), _STEP)


def _of(steps: dict[str, tuple[str | None, str, float]]) -> PastRun:
    return _run(*(step(name, outcome=o, message=m, seconds=s) for name, (o, m, s) in steps.items()))


@given(_STEPS, _STEPS)
def test_every_step_has_one_kind_and_the_reverse_has_the_reverse(old: Any, new: Any) -> None:
    """None is shown under two kinds but for its time; what one direction repairs, the other breaks."""
    there, back = _compared(_of(old), _of(new)).steps, _compared(_of(new), _of(old)).steps

    names = [pair.node.node for kind, pairs in there.items() if kind not in ("slower", "faster") for pair in pairs]
    assert len(names) == len(set(names))
    for kind, reverse in (("slower", "faster"), ("still_failed", "still_failed"), ("seen", "seen")):
        assert {p.node.node for p in there.get(kind, ())} == {p.node.node for p in back.get(reverse, ())}
    repaired = {pair.node.node for pair in there.get("repaired", ())}
    assert repaired <= {pair.node.node for pair in back.get("failed", ())}
    assert _compared(_of(old), _of(old)).steps.keys() <= {"still_failed"}


def test_only_what_checks_see_is_compared() -> None:
    """What a set-up step says of the same outcome is no difference of the host's."""
    then, now = (step("install", chain="setup", message=message) for message in ("1.35.0", "1.35.1"))

    assert _kinds([then], [now]) == {}


@pytest.mark.parametrize(
    ("then", "now", "kind"),
    [
        (2.0, 3.0, "slower"),
        (3.0, 2.0, "faster"),
        (0.0, 1.0, "slower"),
        (2.0, 2.9, ""),
        (0.1, 1.0, ""),
        (20.0, 29.0, ""),
        (20.0, 30.0, "slower"),
    ],
)
def test_a_step_is_slower_by_a_second_and_by_half(then: float, now: float, kind: str) -> None:
    """Neither tenths of seconds nor some percent of minutes are notable."""
    assert _kinds([step(seconds=then)], [step(seconds=now)]) == ({kind: ["coredns_answers"]} if kind else {})


def test_times_of_different_deeds_are_not_compared() -> None:
    """To install takes longer than to see that it is installed."""
    then, now = (step("install", chain="setup", outcome=o, seconds=s) for o, s in (("changed", 9.0), ("unchanged", 0)))

    assert _kinds([then], [now]) == {"settled": ["install"]}


def test_what_was_asked_for_is_compared() -> None:
    """Verdict, command, target, hosts, and the time when it is notably another."""
    old = _run(step(), failed(host="tkw1"), outcome="failed", seconds=10.0)
    new = _run(step(), hosts="tkc", dry_run=True, scope="lab 7 1700000000.5", seconds=30.0)

    facts = {fact.name: (fact.old, fact.new) for fact in _compared(old, new).facts}

    lab = facts.pop("target")
    assert facts == {
        "verdict": ("failed", "green"),
        "command": ("run phase5", "run phase5 -l tkc --dry-run"),
        "hosts": ("tkc, tkw1", "tkc"),
        "time": ("10.0 s", "30.0 s"),
    }
    assert lab[0] == "ssh"
    assert lab[1].startswith("lab started at 2023-11-1")


def test_another_lab_has_other_hosts() -> None:
    """A lab that was started anew between the runs is a difference."""
    facts = _compared(_run(step(), scope="lab 7 1700000000.5"), _run(step(), scope="lab 8 1700009000.5")).facts

    assert [fact.name for fact in facts] == ["target"]


def test_what_was_given_is_compared() -> None:
    """Commit, files and settings; one setting that differs alike on two hosts is one line."""
    old = Inputs(
        {"tkc": {"channel": "1.34", "same": 1}, "tkw1": {"channel": "1.34"}}, {"a": "1", "b": "2"}, "f" * 40, False
    )
    new = Inputs(
        {"tkc": {"channel": "1.35", "same": 1}, "tkw1": {"channel": "1.35", "extra": [1]}},
        {"a": "9", "c": "3"},
        "f" * 40,
        True,
    )

    facts = _compared(_run(step()), _run(step()), (old, new)).facts

    assert facts == (
        Fact("commit", "f" * 12, "f" * 12 + " and local changes", "commit"),
        Fact("a", "1", "9", "file"),
        Fact("b", "2", "", "file"),
        Fact("c", "", "3", "file"),
        Fact("channel", "1.34", "1.35", "setting", ("tkc", "tkw1")),
        Fact("extra", "not set", "[1]", "setting", ("tkw1",)),
    )


def test_what_is_not_known_of_one_run_is_no_difference() -> None:
    """Journals of earlier versions have no settings: that is not a change of all of them."""
    known = Inputs({"tkc": {"channel": "1.35"}}, {"a": "1"}, "f" * 40, False)

    assert _compared(_run(step()), _run(step()), (Inputs(), known)).nothing


def test_the_same_on_several_hosts_is_told_once() -> None:
    """With the hosts, and then and now in words."""
    old = _run(*(step(host=host, outcome="passed") for host in ("tkw2", "tkw1", "tkc")))
    new = _run(failed(host="tkw2"), failed(host="tkw1"), failed(host="tkc", what="no answer"))

    lines = alike_steps("failed", _compared(old, new).steps["failed"])

    assert [(line.hosts, line.old, line.new) for line in lines] == [
        (("tkw1", "tkw2"), "passed: as it should be", "failed: 0 of 2 pods are ready"),
        (("tkc",), "passed: as it should be", "failed: no answer"),
    ]
