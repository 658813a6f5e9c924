"""What the journal proves, what it refutes, and what it leaves open."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import engine
from tests.thinkube_nornir.checklist.story import CATALOG, GROUPS, MIDNIGHT, STEPS, Story
from thinkube_nornir.checklist.history import History, PastRun, read_history
from thinkube_nornir.checklist.proof import prove
from thinkube_nornir.component import chain, step
from thinkube_nornir.database import Database


def _state(story: Story, identifier: str) -> tuple[str, int | None]:
    proof = story.proof(identifier)
    return proof.state, proof.run


def test_an_empty_journal_proves_nothing() -> None:
    """Each proof says what is missing, on which hosts, and which command proves it."""
    proof = Story().proof("phase5.dns/verify")

    assert proof.state == "unknown"
    assert proof.reason == "not verified on a, b"
    assert proof.command == ("run", "phase5.dns")


def test_a_green_run_proves_set_up_and_verify() -> None:
    """The proof names its run and the day on which that ended."""
    story = Story()
    run = story.run("run", setup="changed")

    assert _state(story, "phase5.dns/setup") == ("proven", run)
    assert _state(story, "phase5.dns/verify") == ("proven", run)
    assert story.proof("phase5.dns/verify").date == time.strftime("%Y-%m-%d", time.gmtime(MIDNIGHT + 3660))
    assert _state(story, "phase5/verify") == ("proven", run)


def test_a_host_that_was_left_out_is_named() -> None:
    """A component is verified when it is on all hosts of its group."""
    story = Story()
    story.run("run", hosts=("a",), setup="changed")

    proof = story.proof("phase5.dns/verify")

    assert (proof.state, proof.reason) == ("unknown", "not verified on b")
    assert story.proof("phase5/verify").reason == "phase5.dns: not verified on b"


def test_hosts_may_be_verified_one_after_the_other() -> None:
    """The proof cites the run that completed it."""
    story = Story()
    story.run("verify", hosts=("a",))
    second = story.run("verify", hosts=("b",))

    assert _state(story, "phase5.dns/verify") == ("proven", second)


def test_verifying_again_cites_the_same_run() -> None:
    """What is written down in a list does not change with every verify."""
    story = Story()
    first = story.run("run", setup="changed")
    story.run("verify")

    assert _state(story, "phase5.dns/verify") == ("proven", first)


def test_setting_up_again_cites_the_same_run() -> None:
    """Nor with every run."""
    story = Story()
    first = story.run("run", setup="changed")
    story.run("run")

    assert _state(story, "phase5.dns/setup") == ("proven", first)


def test_a_step_that_has_nothing_to_do_counts_in_a_run_that_went_well() -> None:
    """In a run that did not, something may have stood in its way."""
    story = Story()
    story.run("run", setup="changed", outcome="failed", but={"phase5.dns/setup/start@a": "skipped"})
    assert story.proof("phase5.dns/setup").reason == "not set up on a"

    second = story.run("run", but={"phase5.dns/setup/start@a": "skipped"})

    assert _state(story, "phase5.dns/setup") == ("proven", second)


def test_a_check_that_fails_later_refutes() -> None:
    """With the run, the check and the host."""
    story = Story()
    story.run("run", setup="changed")
    red = story.run("verify", outcome="failed", but={"phase5.dns/verify/answers@b": "failed CheckFailed"})

    proof = story.proof("phase5.dns/verify")

    assert (proof.state, proof.run) == ("refuted", red)
    assert proof.reason == f"run {red}: answers failed on b"
    assert _state(story, "phase5/verify") == ("refuted", red)
    assert _state(story, "phase5.api/verify")[0] == "proven"


def test_a_check_that_holds_again_is_proven_by_that_run() -> None:
    """The evidence is of the time after the repair."""
    story = Story()
    story.run("run", setup="changed")
    story.run("verify", outcome="failed", but={"phase5.dns/verify/answers@b": "failed CheckFailed"})
    third = story.run("verify")

    assert _state(story, "phase5.dns/verify") == ("proven", third)


def test_a_check_that_did_not_run_leaves_nothing_proven() -> None:
    """It was asked for, and there was no answer."""
    story = Story()
    story.run("run", setup="changed")
    late = story.run("verify", outcome="failed", but={"phase5.dns/verify/answers@b": "skipped"})

    proof = story.proof("phase5.dns/verify")

    assert (proof.state, proof.reason) == ("unknown", f"run {late} did not get to answers on b")


def test_a_rollback_refutes_until_it_is_set_up_again() -> None:
    """Also on one host; and a run afterwards proves it anew."""
    story = Story()
    story.run("run", setup="changed")
    gone = story.run("rollback", "phase5.dns", hosts=("b",))
    for kind in ("setup", "verify"):
        proof = story.proof(f"phase5.dns/{kind}")
        assert (proof.state, proof.reason) == ("refuted", f"run {gone} rolled it back on b")
        assert proof.command == ("run", "phase5.dns")

    again = story.run("run", setup="changed")

    assert _state(story, "phase5.dns/verify") == ("proven", again)
    assert _state(story, "phase5.dns/setup") == ("proven", again)


def test_a_rollback_that_was_refused_changes_nothing() -> None:
    """What stood before stands."""
    story = Story()
    first = story.run("run", setup="changed")
    story.run("rollback", "phase5.dns", outcome="failed", but=dict.fromkeys(_removals(), "failed Refused"))

    assert _state(story, "phase5.dns/verify") == ("proven", first)
    assert story.proof("phase5.dns/rollback").state == "unknown"


def test_a_rollback_that_failed_refutes_both() -> None:
    """It is no tested rollback, and what it left is not what was verified."""
    story = Story()
    story.run("run", setup="changed")
    half = story.run("rollback", outcome="failed", but={"phase5.dns/rollback/remove@a": "failed CommandFailed"})

    assert story.proof("phase5.dns/rollback").reason == f"run {half}: remove failed on a"
    verify = story.proof("phase5.dns/verify")
    assert verify.state == "refuted"
    tried = f"run {half} tried to roll it back on a, and did not get to the end"
    assert verify.reason == f"{tried}; run {half} rolled it back on b"


def test_a_rollback_of_nothing_is_no_tested_rollback() -> None:
    """It says that there is nothing to do on hosts that nobody has set up."""
    story = Story()
    story.run("rollback", but=dict.fromkeys(_removals(), "unchanged"))

    assert story.proof("phase5.dns/rollback").state == "unknown"


def test_a_rollback_stays_proven_after_the_next_set_up() -> None:
    """That it works was seen; setting up again does not unsee it."""
    story = Story()
    story.run("run", setup="changed")
    gone = story.run("rollback")
    story.run("run", setup="changed")

    assert _state(story, "phase5.dns/rollback") == ("proven", gone)
    assert _state(story, "phase5/rollback") == ("proven", gone)


def test_checks_older_than_a_change_are_worth_nothing() -> None:
    """On any host: what set-up changes on one may be what is checked on another."""
    story = Story()
    story.run("run", setup="changed")
    late = story.run(
        "run",
        hosts=("a",),
        outcome="failed",
        but={
            "phase5.dns/setup/start@a": "changed",
            "phase5.dns/verify/answers@a": "skipped",
            "phase5.dns/verify/is_ready@a": "skipped",
        },
    )

    proof = story.proof("phase5.dns/verify")

    assert proof.state == "unknown"
    assert proof.reason == f"run {late} changed it, and it was not verified since on a, b"


def test_a_set_up_that_failed_refutes() -> None:
    """Its checks did not even run."""
    story = Story()
    story.run("run", setup="changed")
    but: dict[str, str | None] = {
        "phase5.dns/setup/start@b": "failed CommandFailed",
        "phase5.dns/verify/answers@b": "skipped",
        "phase5.dns/verify/is_ready@b": "skipped",
    }
    red = story.run("run", outcome="failed", but=but)

    assert story.proof("phase5.dns/setup").reason == f"run {red}: start failed on b"
    assert story.proof("phase5.dns/verify").reason == f"run {red} failed to set it up on b"


def test_the_command_for_a_phase_is_what_comes_first() -> None:
    """What is not set up is set up first; what is set up is rolled back before it can be seen red."""
    story = Story()
    assert story.proof("phase5/verify").command == ("run", "phase5")
    assert story.proof("phase5/red").command == ("verify", "phase5")
    story.run("run", setup="changed")
    story.run("verify", outcome="failed", but={"phase5.dns/verify/answers@b": "failed CheckFailed"})

    assert story.proof("phase5/verify").command == ("verify", "phase5")
    assert story.proof("phase5/red").command == ("rollback", "phase5")


def test_a_killed_run_proves_nothing() -> None:
    """Not even what it had checked; and what it changed was not verified."""
    story = Story()
    story.run("run", setup="changed", outcome=None)

    assert story.proof("phase5.dns/setup").state == "unknown"
    assert story.proof("phase5.dns/verify").state == "unknown"
    assert story.proof("phase5/second-run").state == "unknown"


def test_a_killed_run_takes_away_what_it_may_have_changed() -> None:
    """A step that was at work when the run was killed counts as a change."""
    story = Story()
    story.run("run", setup="changed")
    killed = story.run("run", outcome=None, but={"phase5.dns/setup/install@a": None})

    assert f"run {killed} changed it" in story.proof("phase5.dns/verify").reason
    assert story.proof("phase5.api/verify").state == "proven"


def test_what_was_verified_while_another_run_changed_it_is_worth_nothing() -> None:
    """A verify needs no lock; it may have looked before the change."""
    story = Story()
    run = story.run("run", setup="changed", lasting=7200.0)
    story.rows = [row for row in story.rows if "/verify/" not in row[1]]
    story.run("verify", started=story.runs[run].started + 60)

    assert story.proof("phase5.dns/verify").state == "unknown"


def test_the_latest_answer_counts_and_not_the_highest_number() -> None:
    """A verify that was red while a longer run was under way says nothing of what that run found at its end."""
    story = Story()
    long = story.run("run", setup="changed", lasting=3000.0)
    but: dict[str, str | None] = {"phase5.dns/verify/answers@b": "failed CheckFailed"}
    began = story.runs[long].started
    story.run("verify", "phase5.dns", outcome="failed", but=but, started=began + 600, lasting=10.0)
    assert _state(story, "phase5.dns/verify") == ("proven", long)

    late = story.run("verify", "phase5.dns", outcome="failed", but=but, started=began + 2990, lasting=9.0)

    assert _state(story, "phase5.dns/verify") == ("refuted", late)


def test_a_second_run_is_one_although_it_was_verified_meanwhile() -> None:
    """Steps of a run are counted for that run, whatever else ended in between."""
    story = Story()
    quiet = story.run("run", lasting=3000.0)
    story.run("verify", started=story.runs[quiet].started + 600, lasting=10.0)

    assert _state(story, "phase5/second-run") == ("proven", quiet)


def test_red_is_a_check_of_its_own_that_failed_before_set_up() -> None:
    """And stays proven when it is set up afterwards."""
    story = Story()
    red = story.run("verify", outcome="failed", but={"phase5.dns/verify/answers@a": "failed CheckFailed"})
    story.run("run", setup="changed")

    assert _state(story, "phase5.dns/red") == ("proven", red)
    assert story.proof("phase5.api/red").state == "unknown"


@pytest.mark.parametrize("kind", ["Unreachable", "DeadlinePassed", "KeyError", ""])
def test_red_for_another_reason_is_not_red(kind: str) -> None:
    """A host that does not answer says nothing of the check."""
    story = Story()
    story.run("verify", outcome="failed", but={"phase5.dns/verify/answers@a": f"failed {kind}".strip()})

    assert story.proof("phase5.dns/red").state == "unknown"


def test_red_after_set_up_is_not_red() -> None:
    """The message says how to see it red: roll back first; then it counts."""
    story = Story()
    story.run("run", setup="changed")
    but: dict[str, str | None] = {"phase5.dns/verify/answers@a": "failed CheckFailed"}
    story.run("verify", outcome="failed", but=but)
    proof = story.proof("phase5.dns/red")
    assert (proof.state, proof.command) == ("unknown", ("rollback", "phase5.dns"))

    story.run("rollback")
    red = story.run("verify", outcome="failed", but=but)

    assert _state(story, "phase5.dns/red") == ("proven", red)


def test_red_in_the_run_that_sets_up_is_not_red() -> None:
    """There the check came after the change."""
    story = Story()
    story.run("run", setup="changed", outcome="failed", but={"phase5.dns/verify/answers@a": "failed CheckFailed"})

    assert story.proof("phase5.dns/red").state == "unknown"


def test_a_second_run_is_of_the_whole_phase_and_changes_nothing() -> None:
    """A run of one host, of one component, one that changed something, or one that is red, is none."""
    story = Story()
    story.run("run", setup="changed")
    story.run("run", hosts=("a",))
    story.run("run", "phase5.dns")
    story.run("run", but={"phase5.api/setup/start@a": "changed"})
    story.run("run", outcome="failed", but={"phase5.api/verify/answers@a": "failed CheckFailed"})
    assert story.proof("phase5/second-run").state == "unknown"

    quiet = story.run("run")

    assert _state(story, "phase5/second-run") == ("proven", quiet)


def test_a_component_without_hosts_is_not_proven() -> None:
    """Nothing was set up anywhere."""
    story = Story()
    story.run("run", setup="changed")

    assert story.proof("phase6.gpu/verify").reason == "no host of the inventory is in its group, empty"
    assert story.proof("phase6/verify").state == "unknown"
    assert story.proof("phase6/second-run").state == "unknown"


def test_a_step_that_runs_once_is_looked_for_on_its_host_alone() -> None:
    """What a component consists of, the plan says."""
    once = engine.entry(
        "phase5.once", "nodes", setup=chain(step(engine.quiet("publish"), on="one"), engine.quiet("install"))
    )
    runs = {1: PastRun(1, "ssh", "run", 1.0, 2.0, "done")}
    nodes = ["phase5.once/setup/install@a", "phase5.once/setup/install@b", "phase5.once/setup/publish@a"]

    def state(*seen: str) -> str:
        history = History("ssh", runs, [(1, node, "changed", None) for node in seen])
        return prove(history, engine.catalog(once), engine.inventory(GROUPS))["phase5.once/setup"].state

    assert state(*nodes) == "proven"
    assert state(*nodes[:2]) == "unknown"


def _removals() -> list[str]:
    return [f"phase5.dns/rollback/remove@{host}" for host in ("a", "b")]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "state" / "journal.sqlite")


def _record(database: Database, scope: str, *, dry_run: bool = False) -> None:
    run = database.write(
        "INSERT INTO runs (scope, verb, selection, hosts, dry_run, pid, started, finished, outcome)"
        " VALUES (?, 'run', '[]', '', ?, 1, 1.0, 2.0, 'done')",
        *(scope, dry_run),
    )
    for part in ("setup", "verify"):
        for name in ("install", "start", "answers", "is_ready"):
            database.write(
                "INSERT INTO nodes (run, node, host, started, finished, outcome, error)"
                " VALUES (?, ?, 'a', 1, 2, 'unchanged', ?)",
                *(run, f"phase5.api/{part}/{name}@a", json.dumps(None)),
            )


def test_results_are_read_in_the_order_in_which_they_ended(tmp_path: Path, database: Database) -> None:
    """One that has no end stands where it began."""
    _record(database, "ssh")
    _record(database, "ssh")
    database.write("UPDATE nodes SET started = 5, finished = 9 WHERE run = 1 AND node LIKE '%/verify/answers@a'")
    database.write("UPDATE nodes SET started = 7, finished = NULL WHERE run = 2 AND node LIKE '%/verify/answers@a'")
    database.close()

    *_, unfinished, last = read_history(engine.config(tmp_path)).rows

    assert (unfinished[0], last[0]) == (2, 1)


def test_only_runs_on_these_hosts_count(tmp_path: Path, database: Database) -> None:
    """Neither those of a lab, nor dry runs."""
    _record(database, "lab 1 2.000")
    _record(database, "ssh", dry_run=True)
    database.close()
    history = read_history(engine.config(tmp_path))
    assert prove(history, CATALOG, engine.inventory(GROUPS))["phase5.api/verify"].state == "unknown"
    assert history.runs[1].scope == "lab 1 2.000"

    database = Database(tmp_path / "state" / "journal.sqlite")
    _record(database, "ssh")
    database.close()

    proof = prove(read_history(engine.config(tmp_path)), CATALOG, engine.inventory(GROUPS))["phase5.api/verify"]
    assert (proof.state, proof.run) == ("proven", 3)


def test_reading_makes_no_journal(tmp_path: Path) -> None:
    """Who only asks leaves no folder behind."""
    assert not read_history(engine.config(tmp_path)).runs
    assert not (tmp_path / "state").exists()


OUTCOMES = ["unchanged", "passed", "changed", "failed CheckFailed", "failed Refused", "skipped", ""]
RUNS = st.tuples(
    st.sampled_from(["run", "verify", "rollback"]),
    st.sampled_from([("a",), ("b",), ("a", "b")]),
    st.sampled_from(["done", "failed", None]),
    st.dictionaries(st.integers(0, 7), st.sampled_from(OUTCOMES), max_size=3),
    st.sampled_from([None, 0.0, 25.0, 50.0]),  # seconds of the run before after which a verify begins; None: an hour
)


def _verified(story: Story) -> bool:
    """The rule in its plain form: each check's last answer is good, and nothing was done to the component since.

    A good answer counts when its run began after what was done before, or is the run that did it.
    """
    rows = story.in_time

    def altered(number: int, node: str, outcome: str | None, kind: str | None) -> bool:
        if "/setup/" in node:
            return outcome in ("changed", "failed", None)
        return "/rollback/" in node and outcome != "skipped" and kind != "Refused"

    def counts(place: int) -> bool:
        number, _, outcome, _ = rows[place]
        before = [story.runs[row[0]] for row in rows[:place] if altered(*row)]
        began = story.runs[number].started
        later = all(began >= (run.finished or run.started) for run in before)
        own = [run.id for run in before if run.verb == "run"][-1:] == [number]
        return later or own or outcome not in ("unchanged", "passed", "changed")

    for step_name in ("answers", "is_ready"):
        for host in ("a", "b"):
            check = f"phase5.dns/verify/{step_name}@{host}"
            places = [place for place, row in enumerate(rows) if row[1] == check]
            answers = [place for place in places if story.runs[rows[place][0]].outcome is not None and counts(place)]
            if not answers or rows[answers[-1]][2] not in ("unchanged", "passed", "changed"):
                return False
            since = [row for row in rows[answers[-1] :] if altered(*row)]
            if any("/setup/" in row[1] or row[1].endswith(f"@{host}") for row in since):
                return False
    return True


@given(st.lists(RUNS, max_size=6))
def test_verify_is_proven_when_the_plain_rule_says_so(
    runs: list[tuple[str, tuple[str, ...], str | None, dict[int, str], float | None]],
) -> None:
    """For any journal, with a verify that began while another run was at work."""
    story = Story()
    for verb, hosts, outcome, but, meanwhile in runs:
        chains = {"run": ("setup", "verify")}.get(verb, (verb,))
        nodes = [f"phase5.dns/{c}/{name}@{host}" for c in chains for name in STEPS[c] for host in hosts]
        differing = {nodes[number % len(nodes)]: word for number, word in but.items()}
        before = story.runs.get(len(story.runs))
        if verb == "verify" and meanwhile is not None and before:
            story.run(
                verb, "phase5.dns", hosts=hosts, outcome=outcome, but=differing, started=before.started + meanwhile
            )
        else:
            story.run(verb, "phase5.dns", hosts=hosts, outcome=outcome, but=differing)

    assert (story.proof("phase5.dns/verify").state == "proven") is _verified(story)
