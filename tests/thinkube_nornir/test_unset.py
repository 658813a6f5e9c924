"""What was never set up, as far as the change log says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests import engine
from tests.fake_host import MemoryChangeLog
from thinkube_nornir.component import chain, step
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.plan import make
from thinkube_nornir.unset import never_set_up

HOSTS = {"control": ["c"], "workers": ["w1", "w2"]}
PARTS = (
    engine.entry("p.a", "control", verify=chain(engine.quiet("a"))),
    engine.entry("p.b", "workers", verify=chain(engine.quiet("b"), step(engine.quiet("all_of_b"), on="control"))),
)
PLAN = make(engine.catalog(*PARTS), PARTS, engine.inventory(HOSTS), ("c", "w1", "w2"), "verify")


@pytest.mark.parametrize(
    ("changed", "unset"),
    [
        ([], {("p.a", "c"), ("p.b", "c"), ("p.b", "w1"), ("p.b", "w2")}),
        ([("p.a", "c")], {("p.b", "c"), ("p.b", "w1"), ("p.b", "w2")}),
        ([("p.b", "w1")], {("p.a", "c"), ("p.b", "w2")}),
        ([("p.a", "c"), ("p.b", "w1"), ("p.b", "w2")], set()),
    ],
)
def test_what_nothing_was_changed_for(changed: list[tuple[str, str]], unset: set[tuple[str, str]]) -> None:
    """By component and host; a check that runs once counts where its component was set up on no host at all."""
    log = MemoryChangeLog()
    for component, host in changed:
        log.intend(host=host, component=component, key="snap:x", summary="", before={})

    assert never_set_up(PLAN, log) == unset


def test_only_a_verify_says_so() -> None:
    """In a run what was not set up is being set up: its failures are news."""
    assert never_set_up(replace(PLAN, verb="run"), MemoryChangeLog()) == frozenset()


def test_a_damaged_change_log_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure is shown by itself then."""

    def damaged(self: object) -> None:
        raise ThinkubeError("the record is damaged")

    monkeypatch.setattr(MemoryChangeLog, "changes", damaged)

    assert never_set_up(PLAN, MemoryChangeLog()) == frozenset()
