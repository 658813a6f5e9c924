"""A rollback begins with a dry run of itself: all refusals are said while everything is still there."""

from __future__ import annotations

import pytest

from tests.engine import altering, catalog, context, entry, failing, inventory, nornir
from thinkube_nornir.component import StepFunction, chain
from thinkube_nornir.errors import CommandFailed, ConfigError, Refused
from thinkube_nornir.plan import Plan, make
from thinkube_nornir.preflight import refuse_what_is_foreseen
from thinkube_nornir.runner import RunResult, execute

HOSTS = inventory({"all": ["h1", "h2"]})


def _plan(*steps: StepFunction) -> Plan:
    entries = catalog(entry("phase1.base", rollback=chain(*steps)))
    return make(entries, entries.entries, HOSTS, ["h1", "h2"], "rollback")


def _refuse(plan: Plan) -> None:
    refuse_what_is_foreseen(plan, nornir(HOSTS), context(HOSTS), say=lambda _: None)


def _dry_run(plan: Plan) -> RunResult:
    return execute(plan, nornir(HOSTS), context(HOSTS, dry_run=True))


def _refusing(name: str, *, may_pass: bool = False) -> StepFunction:
    return failing(name, Refused(f"{name} is in use", why="by a\nby b", fix="stop it", may_pass=may_pass))


def test_every_refusal_is_said_at_once() -> None:
    """Also those behind another one, and behind what is only planned; each with its component, host and fix."""
    plan = _plan(_refusing("one"), altering("remove"), _refusing("two"))

    with pytest.raises(ConfigError) as caught:
        _refuse(plan)

    assert [str(problem) for problem in caught.value.problems] == [
        f"rollback of phase1.base on {host}: {name} is in use: by a, by b (stop it)"
        for host, name in (("h1", "one"), ("h1", "two"), ("h2", "one"), ("h2", "two"))
    ]


def test_the_dry_run_of_a_rollback_shows_them_as_well() -> None:
    """As failures, none of which keeps the steps behind it from being looked at."""
    run = _dry_run(_plan(_refusing("one"), altering("remove"), _refusing("two")))

    failed = {node for node, result in run.results.items() if result.failed}
    assert failed == {f"phase1.base/rollback/{step}@{host}" for step in ("one", "two") for host in ("h1", "h2")}


def test_what_may_pass_is_left_to_the_rollback() -> None:
    """A refusal that what is planned before it may put right; and one that nothing is planned before is said."""
    _refuse(_plan(altering("remove"), _refusing("late", may_pass=True)))

    with pytest.raises(ConfigError, match="early is in use"):
        _refuse(_plan(_refusing("early", may_pass=True), altering("remove")))


def test_other_failures_are_left_to_the_rollback() -> None:
    """It may be half done, and has to go on where it can."""
    error = CommandFailed("no", status=1, stdout=b"", stderr=b"")

    _refuse(_plan(failing("broken", error), altering("remove")))
