"""What counts as green."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from nornir.core.inventory import Host
from nornir.core.task import Result, Task

from tests.fake_run import complete, failed, plan, record, row
from thinkube_nornir.component import Step
from thinkube_nornir.context import Retries
from thinkube_nornir.errors import CheckFailed, ThinkubeError
from thinkube_nornir.outcome import Outcome
from thinkube_nornir.plan import Node
from thinkube_nornir.reporting.record import Collector, Row
from thinkube_nornir.reporting.record import row as row_of
from thinkube_nornir.secret import Secret

SETUP = row("install", chain="setup", outcome=Outcome.CHANGED)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([], "failed"),
        ([SETUP, row()], "green"),
        ([SETUP, failed()], "failed"),
        ([SETUP, row(outcome=None)], "failed"),
        ([SETUP, row(outcome=Outcome.SKIPPED)], "failed"),
        ([row("install", chain="setup", outcome=None), row()], "failed"),
        ([row("gpu", chain="setup", outcome=Outcome.SKIPPED), row()], "green"),
    ],
)
def test_only_a_complete_run_is_green(rows: list[Row], verdict: str) -> None:
    """Green means that every node has a result, none failed, and every check ran and held; no nodes are not green."""
    made = record(*rows)

    assert made.verdict == verdict
    assert (made.exit_code == 0) is (verdict == "green")


def test_promises_are_pending() -> None:
    """A dry run that promises a change ends with 3, though its checks could not run; without promises it is green."""
    promised = row("install", chain="setup", outcome=Outcome.PLANNED)

    assert record(promised, row(outcome=Outcome.SKIPPED), dry_run=True).exit_code == 3
    assert record(row("install", chain="setup"), row(), dry_run=True).exit_code == 0
    assert record(promised, failed(), dry_run=True).exit_code == 1


def test_interrupted_is_not_green() -> None:
    """A run that the operator ended says so, whatever its rows say."""
    assert record(SETUP, row(), interrupted=True).exit_code == 130


def test_collector_has_a_row_for_every_planned_node() -> None:
    """A node that never reported is a row too, and is missing."""
    collector, graph = Collector(), plan("install", "join", hosts=("tkc", "tkw1"))
    retries = Retries(2, "busy\x07")
    complete(collector, graph.nodes[0], result="installed", changed=True, duration=2.5, retries=retries)

    rows = collector.rows(graph)

    assert [r.word for r in rows] == ["changed", "missing", "missing", "missing"]
    assert (rows[0].duration, rows[0].retries, rows[0].retried) == (2.5, 2, "busy\\x07")


def test_rows_hold_no_secret_and_no_traceback() -> None:
    """A failure is told by its error, with secrets masked; the traceback in Nornir's result is not part of it."""
    Secret("hunter2-token")
    collector, graph = Collector(), plan("join", "wait")
    error = CheckFailed("join refused hunter2-token", why="hunter2-token\x1b[31m burned")
    complete(collector, graph.nodes[0], result="Traceback: hunter2-token", failed=True, exception=error)
    complete(collector, graph.nodes[1], result="saw hunter2-token", diff="+hunter2-token", changed=True)

    told = json.dumps([(r.message, r.diff, vars(r.failure) if r.failure else None) for r in collector.rows(graph)])

    assert "hunter2" not in told
    assert "Traceback" not in told
    assert "\\\\x1b[31m burned" in told


def test_an_unforeseen_exception_is_a_failure() -> None:
    """Not only our own errors have what and fix."""
    collector, graph = Collector(), plan("join")
    complete(collector, graph.nodes[0], failed=True, exception=KeyError("lan_ip"))

    (told,) = collector.rows(graph)

    assert told.failure
    assert told.failure.kind == "KeyError"
    assert "lan_ip" in told.failure.what
    assert told.failure.fix


def test_a_node_whose_events_never_came_has_the_runners_error() -> None:
    """A journal that cannot be written ends the events of a node; what ended them is told in place of `missing`."""
    graph = plan("join")
    result = Result(None, failed=True, exception=ThinkubeError("the journal is damaged", fix="move it away"))

    (told,) = Collector().rows(graph, {graph.nodes[0].id: result})

    assert told.outcome is Outcome.FAILED
    assert told.failure
    assert told.failure.what == "the journal is damaged"


def test_collector_hears_many_threads() -> None:
    """No event of thousands from several threads is lost."""
    collector, graph = Collector(), plan("a", "b", hosts=[f"h{n}" for n in range(1000)])

    def report(part: int) -> None:
        for node in graph.nodes[part::4]:
            collector.node_started(node.id, node.host)
            collector.node_completed(node.id, node.host, Result(Host(node.host), result="fine"))

    threads = [threading.Thread(target=report, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert record(*collector.rows(graph)).counts == {"unchanged": 2000}


def test_a_row_knows_what_it_waited_for_and_what_its_step_is_about() -> None:
    """Needs and orders alike, the concurrency limit, and the first sentence that the step's author wrote."""

    def join_cluster(task: Task) -> Result:
        """Join with one token per
        attempt. The token is burnt by a failure.

        More for developers.
        """
        return Result(task.host)

    node = Node(
        "b", "phase5.w", "setup", Step(join_cluster, concurrency="join"), "tkw1", None, frozenset("a"), frozenset("0")
    )

    made = row_of(node, None)

    assert made.needs == ("0", "a")
    assert made.limited_by == "join"
    assert made.about == "Join with one token per attempt."


def test_of_all_hosts_a_row_waited_for_the_one_that_ended_last() -> None:
    """A gate of the plan is no row; a list of all its nodes on every host would be the square of them."""
    graph = plan("install", "join", hosts=("tkc", "tkw1"))
    ids = [node.id for node in graph.nodes]
    waiting = Node("last", "phase5.w", "setup", graph.nodes[0].step, "tkc", needs=frozenset(["all@*"]))
    collector = Collector()
    for name in (ids[2], ids[0]):
        collector.node_started(name, "tkc")

    made = collector.rows(replace(graph, nodes=(*graph.nodes, waiting), gates={"all@*": frozenset(ids)}))

    assert made[-1].needs == (ids[0],)


def test_a_step_without_docstring_is_about_nothing() -> None:
    """Its name says it."""
    assert row_of(plan("install").nodes[0], None).about == ""
