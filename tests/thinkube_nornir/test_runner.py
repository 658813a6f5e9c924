"""Carrying out: order, failures, concurrency limits, dry runs, interruption."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from nornir.core.inventory import Host
from nornir.core.task import AggregatedResult, MultiResult, Result, Task

from tests import engine
from tests.engine import altering, catalog, entry, failing, inventory, quiet
from thinkube_nornir import plan, runner
from thinkube_nornir.catalog import Entry
from thinkube_nornir.component import StepFunction, chain, step
from thinkube_nornir.context import Context, Retries, absent, active, is_read_only, note_retry, on, retries_in
from thinkube_nornir.context import context as context_of
from thinkube_nornir.errors import Cancelled, CheckFailed, CommandFailed, SkippedInDryRun, ThinkubeError, Unreachable
from thinkube_nornir.outcome import Outcome, outcome_of, skipped, unchanged
from thinkube_nornir.runner import RunResult
from thinkube_nornir.schedule import Schedule
from thinkube_nornir.secret import Secret

TWO = {"all": ["h1", "h2"]}


@dataclass
class Events:
    """A Nornir processor that remembers."""

    started: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    closed: int = 0

    def task_started(self, task: Task) -> None: ...

    def task_completed(self, task: Task, result: AggregatedResult) -> None:
        self.closed += 1

    def task_instance_started(self, task: Task, host: Host) -> None:
        self.started.append(task.name)

    def task_instance_completed(self, task: Task, host: Host, result: MultiResult) -> None:
        self.completed.append(task.name)

    def subtask_instance_started(self, task: Task, host: Host) -> None: ...

    def subtask_instance_completed(self, task: Task, host: Host, result: MultiResult) -> None: ...


def execute(
    *entries: Entry, hosts: dict[str, list[str]] | None = None, verb: str = "run", processors: Any = (), **fields: Any
) -> tuple[RunResult, Context]:
    stock = inventory(hosts or TWO)
    context = engine.context(stock, **fields)
    made = plan.make(catalog(*entries), entries, stock, list(stock.hosts), verb)
    return runner.execute(made, engine.nornir(stock), context, processors), context


def outcomes(result: RunResult) -> dict[str, Outcome]:
    return {node.rpartition("/")[2]: outcome_of(r) for node, r in result.results.items()}


def on_host(name: str, function: StepFunction, otherwise: StepFunction) -> StepFunction:
    def both(task: Task) -> Result:
        return function(task) if task.host.name == name else otherwise(task)

    both.__name__ = function.__name__
    return both


def test_every_node_of_the_plan_has_a_result() -> None:
    """Nothing is missing, and each result says how long it took."""
    result, _ = execute(entry("p.a", setup=chain(altering("install")), verify=chain(quiet("runs"))))

    assert outcomes(result) == {
        "install@h1": Outcome.CHANGED,
        "install@h2": Outcome.CHANGED,
        "runs@h1": Outcome.PASSED,
        "runs@h2": Outcome.PASSED,
    }
    assert all(r.duration >= 0 for r in result.results.values())  # type: ignore[attr-defined]


def test_a_failure_stops_its_host_and_no_other() -> None:
    """What needs the failed step is skipped with the reason; the other host goes on."""
    broken = on_host(
        "h1", failing("install", CommandFailed("no", status=1, stdout=b"", stderr=b"")), altering("install")
    )

    result, _ = execute(entry("p.a", setup=chain(broken, altering("start")), verify=chain(quiet("runs"))))

    assert outcomes(result)["start@h1"] is Outcome.SKIPPED
    assert outcomes(result)["start@h2"] is Outcome.CHANGED
    assert outcomes(result)["runs@h2"] is Outcome.PASSED
    assert result.results["p.a/verify/runs@h1"].result == "needs p.a/setup/install@h1, which failed"


def test_a_failed_check_hides_no_other_check() -> None:
    """Checks follow each other without needing each other."""
    result, _ = execute(entry("p.a", verify=chain(failing("one", CheckFailed("no")), quiet("two"))), verb="verify")

    assert outcomes(result) == {
        "one@h1": Outcome.FAILED,
        "one@h2": Outcome.FAILED,
        "two@h1": Outcome.PASSED,
        "two@h2": Outcome.PASSED,
    }


def test_an_unreachable_host_is_asked_once() -> None:
    """After `Unreachable` the host's other checks are skipped: a dead host costs one time-out, and is not green."""
    asked: list[str] = []

    def reach(task: Task) -> Result:
        asked.append(task.host.name)
        if task.host.name == "h1":
            raise Unreachable("h1 does not answer")
        return unchanged(task, "here")

    result, _ = execute(entry("p.a", verify=chain(reach, quiet("two"))), verb="verify")

    assert asked.count("h1") == 1
    assert outcomes(result)["two@h1"] is Outcome.SKIPPED
    assert result.results["p.a/verify/two@h1"].result == "h1 is unreachable"
    assert outcomes(result)["two@h2"] is Outcome.PASSED


def test_a_step_that_skips_itself_stops_nobody() -> None:
    """Only what the runner did not start blocks what comes after."""

    def not_for_us(task: Task) -> Result:
        return skipped(task, "no such card here")

    result, _ = execute(entry("p.a", setup=chain(not_for_us, altering("start"))))

    assert outcomes(result)["start@h1"] is Outcome.CHANGED


def test_an_unforeseen_exception_is_a_failed_step() -> None:
    """A fault in a step is told as one, and the run goes on."""
    result, _ = execute(entry("p.a", setup=chain(on_host("h1", failing("x", KeyError("k")), quiet("x")))))

    assert outcomes(result) == {"x@h1": Outcome.FAILED, "x@h2": Outcome.UNCHANGED}


def test_hosts_run_at_the_same_time() -> None:
    """Both hosts are at work before either has finished."""
    both = threading.Barrier(2, timeout=10)

    def meet(task: Task) -> Result:
        both.wait()
        return unchanged(task, "met")

    result, _ = execute(entry("p.a", setup=chain(meet)))

    assert set(outcomes(result).values()) == {Outcome.UNCHANGED}


def test_a_token_lets_one_at_a_time_through() -> None:
    """Steps with the same token never overlap, on whatever host."""
    inside: list[str] = []
    overlaps: list[str] = []

    def join(task: Task) -> Result:
        inside.append(task.host.name)
        overlaps.extend(inside[1:])
        time.sleep(0.01)  # long enough for another thread to come in, if it were let in
        inside.remove(task.host.name)
        return unchanged(task, "joined")

    hosts = {"all": [f"h{i}" for i in range(8)]}
    result, _ = execute(entry("p.a", setup=chain(step(join, concurrency="join"))), hosts=hosts)

    assert len(result.results) == 8
    assert not overlaps


def test_a_token_may_be_held_by_several() -> None:
    """config.yaml `concurrency` says how many."""
    both = threading.Barrier(2, timeout=10)

    def meet(task: Task) -> Result:
        both.wait()
        return unchanged(task, "met")

    settings = engine.config(concurrency={"pair": 2})
    result, _ = execute(entry("p.a", setup=chain(step(meet, concurrency="pair"))), config=settings)

    assert set(outcomes(result).values()) == {Outcome.UNCHANGED}


def test_workers_limit_what_runs_at_once() -> None:
    """With one worker nothing overlaps."""
    inside: list[int] = []
    most: list[int] = []

    def work(task: Task) -> Result:
        inside.append(1)
        most.append(len(inside))
        inside.pop()
        return unchanged(task, "")

    execute(entry("p.a", setup=chain(work)), hosts={"all": ["a", "b", "c"]}, config=engine.config(workers=1))

    assert max(most) == 1


def test_a_dry_run_does_not_run_checks_after_a_promise() -> None:
    """What a check would read is not there yet, and the report says why it was not run."""
    made = entry("p.a", setup=chain(altering("install"), altering("start")), verify=chain(quiet("runs")))

    result, _ = execute(made, dry_run=True)

    assert outcomes(result)["install@h1"] is Outcome.PLANNED
    assert outcomes(result)["runs@h1"] is Outcome.SKIPPED
    assert "changes are only planned" in str(result.results["p.a/verify/runs@h1"].result)


def test_a_dry_run_goes_on_past_checks_it_leaves_out() -> None:
    """What needs a component that is only planned is planned as well: a plan of empty hosts shows all of it."""
    made = entry("p.a", setup=chain(altering("install")), verify=chain(quiet("runs")))
    later = entry("p.b", needs=("p.a",), setup=chain(altering("configure")), verify=chain(quiet("answers")))

    result, _ = execute(made, later, dry_run=True)

    assert outcomes(result)["configure@h1"] is Outcome.PLANNED
    assert "only planned" in str(result.results["p.b/verify/answers@h1"].result)


def test_a_look_that_writes_is_left_out_of_a_dry_run() -> None:
    """A probe pod is a write: its check is skipped, and is no failure even where nothing was promised."""
    probe = failing("pods_run", SkippedInDryRun("a dry run starts no probe pod"))
    made = entry("p.a", setup=chain(quiet("install")), verify=chain(probe))

    result, _ = execute(made, entry("p.b", needs=("p.a",), setup=chain(altering("configure"))), dry_run=True)

    assert outcomes(result)["pods_run@h1"] is Outcome.SKIPPED
    assert outcomes(result)["configure@h1"] is Outcome.PLANNED


def test_a_dry_run_goes_on_past_what_it_cannot_foresee() -> None:
    """A step that fails only because a promise was not kept yet is no failure; what follows still promises."""
    blind = failing("wait_ready", CommandFailed("no such command", status=127, stdout=b"", stderr=b""))
    made = entry("p.a", setup=chain(altering("install"), blind, altering("start")))
    later = entry("p.b", needs=("p.a",), setup=chain(altering("configure")))

    result, _ = execute(made, later, dry_run=True)

    assert outcomes(result)["wait_ready@h1"] is Outcome.SKIPPED
    assert outcomes(result)["start@h1"] is Outcome.PLANNED
    assert outcomes(result)["configure@h2"] is Outcome.PLANNED


def test_a_dry_run_fails_where_nothing_was_promised() -> None:
    """Without an earlier promise an error is an error, in a dry run too."""
    blind = failing("look", CommandFailed("no", status=1, stdout=b"", stderr=b""))

    result, _ = execute(entry("p.a", setup=chain(blind)), dry_run=True)

    assert set(outcomes(result).values()) == {Outcome.FAILED}


def test_an_interruption_lets_running_steps_finish() -> None:
    """First Ctrl-C: what runs is finished, what has not started is skipped, nothing is cancelled."""

    def work(task: Task) -> Result:
        os.kill(os.getpid(), signal.SIGINT)
        return unchanged(task, "finished")

    result, context = execute(entry("p.a", setup=chain(work, altering("next"))), hosts={"all": ["h1"]})

    assert result.interrupted
    assert outcomes(result) == {"work@h1": Outcome.UNCHANGED, "next@h1": Outcome.SKIPPED}
    assert not context.cancelled.is_set()


def test_a_second_interruption_cancels() -> None:
    """Second Ctrl-C, or SIGTERM after it: doors see `cancelled` and end what runs."""

    def work(task: Task) -> Result:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)  # two equal pending signals would be one
        os.kill(os.getpid(), signal.SIGTERM)
        assert context_of(task).cancelled.wait(10)
        raise Cancelled("ended by the operator")

    result, _ = execute(entry("p.a", setup=chain(work)), hosts={"all": ["h1"]})

    assert outcomes(result) == {"work@h1": Outcome.FAILED}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_does_not_end_when_it_is_cancelled_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library may wait for a silent host as long as it likes; the operator gets the terminal back, and the truth."""
    monkeypatch.setattr(runner, "_GRACE", 0.1)
    released = threading.Event()

    def hangs(task: Task) -> Result:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)  # two equal pending signals would be one
        os.kill(os.getpid(), signal.SIGTERM)
        released.wait(30)
        return unchanged(task, "at last")

    result, context = execute(entry("p.a", setup=chain(hangs, quiet("later"))), hosts={"all": ["h1"]})
    waited = not released.is_set()
    released.set()

    assert waited
    assert context.abandoned
    assert outcomes(result) == {"hangs@h1": Outcome.FAILED, "later@h1": Outcome.SKIPPED}
    error = result.results["p.a/setup/hangs@h1"].exception
    assert isinstance(error, Cancelled)
    assert error.why == "it may still be at work on h1"


def test_processors_hear_of_every_node() -> None:
    """Also of those that were not started, and the run is closed once even when hosts failed."""
    events = Events()
    broken = failing("install", CheckFailed("no"))

    execute(entry("p.a", setup=chain(broken, altering("start"))), processors=[events])

    assert sorted(events.started) == sorted(events.completed)
    assert len(events.completed) == 4
    assert events.closed == 1


def test_a_host_that_failed_before_is_visited_again() -> None:
    """Nornir passes failed hosts over; a rollback must reach exactly those."""
    stock = inventory(TWO)
    broken = entry("p.a", setup=chain(failing("install", CheckFailed("no"))), rollback=chain(altering("remove")))
    shared = engine.nornir(stock)
    context = engine.context(stock)
    for verb in ("run", "rollback"):
        made = plan.make(catalog(broken), (broken,), stock, list(stock.hosts), verb)
        result = runner.execute(made, shared, context)

    assert outcomes(result) == {"remove@h1": Outcome.CHANGED, "remove@h2": Outcome.CHANGED}


def test_a_plan_without_nodes_is_done_at_once() -> None:
    """Before a rollback nobody may have to be asked."""
    stock = inventory(TWO)

    result = runner.execute(plan.Plan("rollback", ()), engine.nornir(stock), engine.context(stock))

    assert not result.results


def test_a_fault_of_the_runner_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes to light; nothing waits for a worker that is gone."""

    def broken(schedule: Schedule, node: plan.Node) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Schedule, "finish", broken)

    with pytest.raises(RuntimeError, match="broken"):
        execute(entry("p.a", setup=chain(quiet("a"))))


def test_a_thousand_hosts() -> None:
    """The engine itself is no limit: 1,000 hosts, two components, 8,000 nodes, each carried out once."""
    one = entry("p.a", setup=chain(*(altering(f"s{i}") for i in range(4))), verify=chain(quiet("a"), quiet("b")))
    two = entry("p.b", setup=chain(quiet("c")), verify=chain(quiet("d")))

    result, _ = execute(one, two, hosts={"all": [f"h{i}" for i in range(1000)]})

    assert len(result.results) == 8000
    assert Outcome.FAILED not in result.outcomes


def test_a_host_that_lacks_something_is_not_changed_and_others_are() -> None:
    """Two hosts fail an early check of a later component, one because it is dead: the third is set up all the same."""
    lacking = on_host("h1", failing("has_cards", CheckFailed("no card", why="seen none", fix="add one")), quiet("x"))
    dead = on_host("h2", failing("has_cards", Unreachable("h2 is down")), lacking)
    base = entry("p.base", setup=chain(altering("install")), verify=chain(quiet("runs")))
    cards = entry(
        "p.cards", needs=("p.base",), preconditions=chain(step(dead, early=True)), setup=chain(altering("label"))
    )

    result, _ = execute(base, cards, hosts={"all": ["h1", "h2", "h3"]})

    assert outcomes(result) == {
        **{f"has_cards@{host}": Outcome.FAILED for host in ("h1", "h2")},
        "has_cards@h3": Outcome.PASSED,
        **{f"{step}@{host}": Outcome.SKIPPED for step in ("install", "runs", "label") for host in ("h1", "h2")},
        "install@h3": Outcome.CHANGED,
        "runs@h3": Outcome.PASSED,
        "label@h3": Outcome.SKIPPED,
    }
    assert "needs p.cards/preconditions/has_cards@h1, which failed" in str(result.results["p.base/setup/install@h1"])


def test_a_step_that_returns_nothing_fails_with_its_place() -> None:
    """The author forgot `return`: the line is named, and no attribute error far away from it."""

    def forgets(task: Task) -> Result:
        unchanged(task, "all is well")
        return None  # type: ignore[return-value]

    result, _ = execute(entry("p.a", setup=chain(forgets)))

    error = result.results["p.a/setup/forgets@h1"].exception

    assert isinstance(error, ThinkubeError)
    assert error.what == "step forgets returned None in place of a Result"
    assert f"{__file__}:" in error.why


@pytest.mark.parametrize("verb", ["run", "verify"])
def test_a_check_may_change_nothing_in_any_verb(verb: str) -> None:
    """Set-up may; a precondition and a check may not, also in the course of a run."""
    asked: dict[str, bool] = {}

    def naming_host(name: str) -> StepFunction:
        def step(task: Task) -> Result:
            asked[name] = is_read_only(task) and is_read_only(on(task, "h1"))
            return unchanged(task, name)

        step.__name__ = name
        return step

    chains: dict[str, Any] = {name: chain(naming_host(name)) for name in ("preconditions", "setup", "verify")}
    execute(entry("p.a", **chains), hosts={"all": ["h1"]}, verb=verb)

    assert asked == ({"preconditions": True, "setup": False, "verify": True} if verb == "run" else {"verify": True})


def test_a_count_of_planned_changes_is_of_what_a_check_stands_on() -> None:
    """Those of other hosts, which it does not wait for, would make it another one with each schedule."""
    made = entry("p.a", setup=chain(on_host("h2", altering("w"), quiet("w"))), verify=chain(quiet("holds")))

    result, _ = execute(made, dry_run=True)

    assert "1 change is only planned" in str(result.results["p.a/verify/holds@h2"].result)
    assert outcomes(result)["holds@h1"] is not Outcome.SKIPPED


def test_a_result_says_what_its_step_tried_again() -> None:
    """Also when the step failed in the end; each node has its own count, and what it does elsewhere counts as well."""

    def struggles(task: Task) -> Result:
        note_retry(task, "busy")
        note_retry(on(task, "h2"), "busy with rosebud-77")
        if task.host.name == "h1":
            raise CheckFailed("no")
        return unchanged(task, "at last")

    Secret("rosebud-77")
    result, _ = execute(entry("p.a", setup=chain(struggles), verify=chain(quiet("looks"))))

    counted = {node: retries_in(found) for node, found in result.results.items()}
    assert counted["p.a/setup/struggles@h1"] == Retries(2, "busy with ********")
    assert counted["p.a/setup/struggles@h2"] == Retries(2, "busy with ********")
    assert counted["p.a/verify/looks@h2"] == Retries()


def judging(name: str) -> StepFunction:
    def step(task: Task) -> Result:
        gone = ", ".join(f"{host}: {why}" for host, why in absent(task, "all").items())
        return unchanged(task, f"{' '.join(host.name for host in active(task, 'all'))}; {gone}")

    step.__name__ = name
    return step


def test_what_runs_once_goes_on_with_the_hosts_that_are_well() -> None:
    """It comes after all of them, leaves out whom its component has lost, and says why."""
    dead = on_host("h2", failing("install", Unreachable("h2 is down")), altering("install"))
    broken = on_host("h3", failing("start", CheckFailed("no")), dead)
    broken.__name__ = "install"
    counted = entry(
        "p.a", setup=chain(broken, step(judging("tell_all"), on="first"), quiet("go_on")), verify=chain(quiet("runs"))
    )
    other = entry("p.b", setup=chain(step(judging("tell_others"), on="first")))

    result, _ = execute(counted, other, hosts={"first": ["h1"], "all": ["h1", "h2", "h3", "h4"]})

    found = outcomes(result)
    assert found["tell_all@h1"] is Outcome.UNCHANGED
    assert result.results["p.a/setup/tell_all@h1"].result == "h1 h4; h2: unreachable, h3: install failed"
    assert "h3" in result.results["p.b/setup/tell_others@h1"].result
    assert [found[f"go_on@{h}"] for h in ("h1", "h2", "h3", "h4")] == [
        *(Outcome.UNCHANGED, Outcome.SKIPPED, Outcome.SKIPPED, Outcome.UNCHANGED),
    ]


def test_what_failed_once_stops_what_follows_on_all_hosts() -> None:
    """Each says what it needs."""
    broken = step(failing("write", CheckFailed("no")), on="first")

    result, _ = execute(
        entry("p.a", setup=chain(broken, quiet("restart"))), hosts={"first": ["h1"], "all": ["h1", "h2"]}
    )

    assert {r.result for n, r in result.results.items() if "restart" in n} == {"needs p.a/setup/write@h1, which failed"}


def test_of_all_that_failed_on_other_hosts_one_is_named() -> None:
    """The first by name, when something needs all of them."""
    broken = entry("p.a", verify=chain(on_host("h1", quiet("runs"), failing("runs", CheckFailed("no")))))
    result, _ = execute(broken, entry("p.b", needs=("p.a",), setup=chain(altering("use"))), hosts={"all": list(FOUR)})

    told = {r.result for n, r in result.results.items() if n.startswith("p.b")}
    assert told == {"needs p.a/verify/runs@h2, which failed"}


FOUR = ("h1", "h2", "h3", "h4")


def test_hosts_that_a_filter_leaves_out_are_no_active_ones() -> None:
    stock = inventory({"first": ["h1"], "all": ["h1", "h2"]})
    one = entry("p.a", verify=chain(step(judging("tell"), on="first")))
    made = plan.make(catalog(one), (one,), stock, ["h2"], "verify")

    result = runner.execute(made, engine.nornir(stock), engine.context(stock))

    assert result.results["p.a/verify/tell@h1"].result == "h2; h1: left out by -l"
