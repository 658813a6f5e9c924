"""Which nodes of a plan may start now."""

from __future__ import annotations

from nornir.core.task import Result, Task

from thinkube_nornir.component import Step
from thinkube_nornir.plan import Node, Plan
from thinkube_nornir.schedule import Schedule


def node(name: str, *needs: str, concurrency: str | None = None) -> Node:
    return Node(name, "c", "setup", Step(_nothing, concurrency=concurrency), "h1", needs=frozenset(needs))


def _nothing(task: Task) -> Result:
    return Result(task.host)


def schedule(*nodes: Node, workers: int = 9) -> Schedule:
    return Schedule(Plan("run", nodes), workers, {"two": 2})


def started(schedule: Schedule) -> list[str]:
    return [node.id for node in schedule.start()]


def test_a_node_starts_when_all_its_needs_are_finished() -> None:
    """And is handed out once."""
    first, second, last = node("first"), node("second"), node("last", "first", "second")
    asked = schedule(first, second, last)

    assert started(asked) == ["first", "second"]
    asked.finish(first)
    assert started(asked) == []
    asked.finish(second)
    assert started(asked) == ["last"]
    assert started(asked) == []


def test_it_is_over_when_every_node_is_finished() -> None:
    """Not when the last one has started; at once when there is none."""
    only = node("only")
    asked = schedule(only)
    asked.start()

    assert not asked.over
    asked.finish(only)
    assert asked.over
    assert schedule().over


def test_the_longest_chain_goes_first() -> None:
    """A single worker is given to what decides how long the whole takes."""
    short, long, after = node("a short one"), node("long"), node("z", "long")
    asked = schedule(short, long, after, workers=1)

    assert started(asked) == ["long"]
    assert started(asked) == []
    asked.finish(long)
    assert started(asked) == ["a short one"]


def test_what_lacks_a_token_waits_and_holds_up_nothing_else() -> None:
    """One holder unless the configuration says more."""
    first, second, free = node("1", concurrency="join"), node("2", concurrency="join"), node("3")
    asked = schedule(first, second, free)

    assert started(asked) == ["1", "3"]
    asked.finish(free)
    assert started(asked) == []
    asked.finish(first)
    assert started(asked) == ["2"]
    assert started(schedule(*(node(str(n), concurrency="two") for n in range(3)))) == ["0", "1"]
