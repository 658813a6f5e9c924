"""What is not ours inside of what is removed: refused by name, and let go by name alone."""

from __future__ import annotations

import pytest
from nornir.core.task import Result, Task

from tests.engine import altering, catalog, context, entry, inventory, nornir
from thinkube_nornir.component import chain
from thinkube_nornir.errors import HoldsForeign
from thinkube_nornir.foreign import Foreign, refuse_foreign
from thinkube_nornir.outcome import Outcome, changed, outcome_of
from thinkube_nornir.permission import Permission
from thinkube_nornir.plan import make
from thinkube_nornir.runner import RunResult, execute

MINE, DATA = Foreign("Deployment gpu/mine"), Foreign("Namespace shop", ("Deployment web", "Service web"))


def _rolled_back(permission: Permission, *, dry_run: bool = False) -> tuple[RunResult, HoldsForeign | None]:
    """A rollback that undoes something and then removes a namespace with two things in it."""

    def remove(task: Task) -> Result:
        refuse_foreign(task, "namespace gpu", [MINE, DATA])
        return changed(task, "delete namespace gpu", planned=task.is_dry_run())

    hosts = inventory({"all": ["h"]})
    entries = catalog(entry("phase1.gpu", rollback=chain(altering("first"), remove)))
    plan = make(entries, entries.entries, hosts, ["h"], "rollback")
    run = execute(plan, nornir(hosts), context(hosts, permission=permission, dry_run=dry_run))
    error = run.results["phase1.gpu/rollback/remove@h"].exception
    assert error is None or isinstance(error, HoldsForeign)
    return run, error


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_is_foreign_is_refused_by_name(dry_run: bool) -> None:
    """Each thing is named, and the command that goes on, also in a dry run that has only planned what comes before."""
    permission = Permission(request=("rollback", "phase1", "-l", "h"))

    _, error = _rolled_back(permission, dry_run=dry_run)

    assert error is not None
    assert error.what == "namespace gpu holds what is not managed, and would take it along"
    assert error.why.splitlines() == ["Deployment gpu/mine", "Namespace shop, with Deployment web, Service web"]
    asked = "rollback phase1 -l h --delete-foreign 'Deployment gpu/mine' --delete-foreign 'Namespace shop'`"
    assert error.fix.endswith(asked)


def test_what_was_named_goes() -> None:
    """Once all is named, nothing is refused."""
    run, error = _rolled_back(Permission((MINE.name, DATA.name)))

    assert error is None
    assert outcome_of(run.results["phase1.gpu/rollback/remove@h"]) is Outcome.CHANGED


def test_a_name_permits_nothing_else() -> None:
    """What was not named is refused alone, in a command that keeps the right names and drops the wrong ones."""
    permission = Permission((MINE.name, "Deployment gpu/mien"), ("rollback", "phase1"))

    _, error = _rolled_back(permission)

    assert error is not None
    assert error.why == "Namespace shop, with Deployment web, Service web"
    assert error.fix.endswith(
        "rollback phase1 --delete-foreign 'Deployment gpu/mine' --delete-foreign 'Namespace shop'`"
    )
    assert permission.unmatched == ("Deployment gpu/mien",)


def test_a_long_list_of_what_is_held_is_cut() -> None:
    """A namespace with a hundred objects is one line that says how many they are."""
    assert str(Foreign("Namespace n", tuple(map(str, range(10))))).endswith("6, 7 and 2 more")


def test_nothing_foreign_is_no_refusal() -> None:
    """An empty list lets the step go on."""
    assert Permission().refuse([]) == []
