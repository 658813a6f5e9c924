"""What the runs of a phase show: failures, repairs and what was changed before them, retries, times, stability."""

from __future__ import annotations

from typing import Any

from tests.phase_runs import SET_UP, changed, failed, node, phase_run
from thinkube_nornir.lessons.changes import Changes, SettingChange
from thinkube_nornir.lessons.findings import Findings, findings
from thinkube_nornir.lessons.past import PhaseRun

CHECK = ("phase5.coredns", "verify", "answers")


def only(*runs: PhaseRun) -> Findings:
    found = findings(runs)
    assert len(found) == 1
    return found[0]


def changes(first: PhaseRun, *others: PhaseRun) -> Changes:
    """Before the only repair."""
    (repair,) = only(SET_UP, first, *others).repairs
    return repair.changes


def test_failures_are_counted_by_their_message() -> None:
    """The host's own name in it does not make another message; hosts, first and last run are told."""
    found = only(
        SET_UP,
        phase_run(2, failed(what="tkc is not Ready"), failed(host="tkw1", what="tkw1 is not Ready")),
        phase_run(3, failed(host="tkw1", what="tkw1 is not Ready", why="no network"), failed(what="another")),
    )

    first, second = found.failures
    assert (first.times, first.hosts, first.runs, first.steps) == (3, ("tkc", "tkw1"), (2, 3), (CHECK,))
    assert (first.what, first.why) == ("tkw1 is not Ready", "no network")
    assert (second.what, second.times) == ("another", 1)


def test_a_check_that_is_red_without_set_up_is_no_failure() -> None:
    """Checks are written and seen red first; after a rollback they have to be red again."""
    found = only(
        phase_run(1, failed(seconds=30), verb="verify"),
        phase_run(2, changed(), node()),
        phase_run(3, changed("rollback/remove"), verb="rollback"),
        phase_run(4, failed(seconds=30), verb="verify"),
    )

    assert (found.failures, found.repairs, found.longest, found.shares) == ((), (), (), ())
    assert only(phase_run(1, failed(), verb="run")).failures != ()
    assert only(SET_UP, phase_run(2, failed(), verb="verify")).failures != ()
    found_set_up = phase_run(1, node("setup/apply", outcome="unchanged"))
    assert only(found_set_up, phase_run(2, failed(), verb="verify")).failures != ()
    new_lab = phase_run(2, failed(), verb="verify", scope="lab 2")
    assert only(phase_run(1, changed(), scope="lab 1"), new_lab).failures == ()


def test_what_the_operator_cancelled_or_what_was_not_begun_is_no_failure() -> None:
    """Neither is a step that a killed run had at work, nor one that another one's failure stopped."""
    steps = (failed(kind="Cancelled"), node(outcome="skipped"), node(outcome=None))

    assert only(SET_UP, phase_run(2, *steps)).failures == ()


def test_still_failing_is_what_has_not_passed_since() -> None:
    """Per step and host; it is an improvement to make."""
    found = only(SET_UP, phase_run(2, failed(), failed(host="tkw1")), phase_run(3, node()))

    assert [(failing.hosts, failing.run) for failing in found.still_failing] == [(("tkw1",), 2)]
    assert only(SET_UP, phase_run(2, failed()), phase_run(3, node())).still_failing == ()


def test_a_step_that_passed_does_not_fail_still_because_another_one_does() -> None:
    """Although both had the same message: each is told by its own name and its own last run."""
    found = only(
        SET_UP,
        phase_run(2, failed("verify/answers", "tkw1"), failed("verify/resolves", "tkw1")),
        phase_run(3, failed("verify/resolves", "tkw1")),
        phase_run(4, node("verify/answers", "tkw1")),
    )

    (failing,) = found.failures
    (still,) = found.still_failing
    assert (failing.runs, len(failing.steps)) == ((2, 3), 2)
    assert (still.steps, still.hosts, still.run) == ((("phase5.coredns", "verify", "resolves"),), ("tkw1",), 3)


def test_the_latest_result_is_the_last_one_in_time() -> None:
    """A verify that was red while a longer run was under way is older than what that run found at its end."""
    long = phase_run(2, node(seconds=7200.0))
    during = phase_run(3, failed(), verb="verify")

    assert only(SET_UP, long, during).still_failing == ()


def test_a_repair_names_what_was_changed_in_between() -> None:
    """Settings from and to with their hosts, files, the commit, and steps that changed something meanwhile."""
    before = phase_run(
        2,
        failed(),
        settings={"tkc": {"dns": "a", "old": 1}, "tkw1": {"dns": "a", "old": 1}, "gone": {"dns": "a"}},
        files={"config.yaml": "1", "inventory/hosts.yaml": "1", "tasks/gone.py": "1"},
        revision="abc",
    )
    after = phase_run(
        4,
        changed("setup/apply"),
        changed("setup/answers", component="phase5.coredns"),
        node(),
        changed("setup/later"),
        settings={"tkc": {"dns": "b", "new": 2}, "tkw1": {"dns": "b", "new": 2}, "fresh": {"dns": "b"}},
        files={"config.yaml": "1", "inventory/hosts.yaml": "2", "tasks/new.py": "1"},
        revision="def",
    )
    between = phase_run(3, changed("setup/bind", component="phase4.dns"))

    found = changes(before, between, after)

    both = ("tkc", "tkw1")
    assert found.settings == (
        SettingChange("dns", '"a"', '"b"', both),
        SettingChange("new", "", "2", both),
        SettingChange("old", "1", "", both),
    )
    assert found.files == ("inventory/hosts.yaml", "tasks/gone.py", "tasks/new.py")
    assert found.commits == ("abc", "def")
    assert found.steps == ("phase4.dns.bind", "phase5.coredns.apply")
    assert not found.none


def test_a_repair_without_a_change_passed_on_a_repeat() -> None:
    """That is said only when it is known what both runs were given, on the same hosts."""
    same = {"tkc": {"dns": "a"}}

    assert changes(phase_run(2, failed(), settings=same), phase_run(3, node(), settings=same)).none
    assert not changes(phase_run(2, failed(), known=False), phase_run(3, node())).none
    anew = [
        phase_run(1, changed(), scope="lab 1"),
        phase_run(2, failed(), scope="lab 1"),
        phase_run(3, node(), scope="lab 2"),
    ]
    (repair,) = only(*anew).repairs
    assert repair.changes.new_hosts
    assert not repair.changes.none


def test_what_failed_and_passed_together_is_one_repair() -> None:
    """A cause that turned four checks red is told once; a failure that came back is another repair."""
    reds = [failed(f"verify/{name}", host) for name in ("answers", "resolves") for host in ("tkc", "tkw1")]
    greens = [node(f"verify/{name}", host) for name in ("answers", "resolves") for host in ("tkc", "tkw1")]

    found = only(SET_UP, phase_run(2, *reds), phase_run(3, *greens), phase_run(4, failed()), phase_run(5, node()))

    assert [(r.failed_in, r.passed_in, r.hosts, len(r.steps)) for r in found.repairs] == [
        (2, 3, ("tkc", "tkw1"), 2),
        (4, 5, ("tkc",), 1),
    ]


def test_retries_are_summed_per_step() -> None:
    """Of steps that went well in the end, too; in two runs or more they are often."""
    again: dict[str, Any] = {"retries": 2, "retried": "busy"}
    found = only(
        phase_run(1, changed("setup/join", "tkw1", **again)),
        phase_run(2, failed("setup/join", "tkw2", retries=1, retried="still busy")),
        phase_run(3, changed("setup/pull", **again)),
    )

    join, pull = found.retries
    assert (join.times, join.hosts, join.runs, join.reason) == (
        3,
        ("tkw1", "tkw2"),
        (1, 2),
        "still busy",
    )
    assert pull.times == 2
    assert found.often_retried == (join,)


def test_the_longest_and_what_takes_most_of_the_time() -> None:
    """The longest of each step, with its host and run; shares of all the time that steps took."""
    found = only(
        phase_run(1, changed("setup/install", seconds=40.0), node("verify/quick", seconds=0.2)),
        phase_run(2, changed("setup/install", "tkw1", seconds=50.0), changed("setup/join", seconds=10.0)),
    )

    assert [(s.step[2], s.seconds, s.host, s.run) for s in found.longest] == [
        ("install", 50.0, "tkw1", 2),
        ("join", 10.0, "tkc", 2),
    ]
    assert [(s.step[2], round(s.part, 2)) for s in found.shares] == [("install", 0.9), ("join", 0.1)]


def test_a_check_that_is_red_and_green_by_turns_is_unstable() -> None:
    """When nothing was changed between; one turn may have been repaired by hand."""
    turns = [phase_run(2, node()), phase_run(3, failed()), phase_run(4, node()), phase_run(5, failed())]

    assert [(u.steps, u.turns, u.hosts) for u in only(SET_UP, *turns).unstable] == [((CHECK,), 3, ("tkc",))]
    assert only(SET_UP, *turns[:2]).unstable == ()
    altered = [
        phase_run(2, node()),
        phase_run(3, failed()),
        phase_run(4, changed(), node()),
        phase_run(5, changed(), failed()),
    ]
    assert only(SET_UP, *altered).unstable == ()


def test_a_host_that_comes_and_goes_is_told_once() -> None:
    """All of its checks turned in the same runs."""
    names = ("answers", "resolves", "is_ready")
    bad = [failed(f"verify/{name}", "tkw1") for name in names]
    good = [node(f"verify/{name}", "tkw1") for name in names]

    (one,) = only(SET_UP, phase_run(2, *bad), phase_run(3, *good), phase_run(4, *bad)).unstable

    assert ([step for _, _, step in one.steps], one.turns, one.hosts) == ([*names], 2, ("tkw1",))


def test_real_hosts_and_the_lab_are_told_apart() -> None:
    """Each with its own runs; dry runs and runs of other phases are none."""
    real, lab = findings(
        (
            phase_run(1, changed(), failed(), scope="lab 1"),
            phase_run(2, changed(), node()),
            phase_run(3, changed("setup/bind", component="phase4.dns")),
        )
    )

    assert (real.target, real.runs, len(real.failures)) == ("ssh", (2,), 0)
    assert (lab.target, lab.runs, len(lab.failures)) == ("lab", (1,), 1)
    assert findings((phase_run(1, changed("setup/bind", component="phase4.dns")),)) == ()
