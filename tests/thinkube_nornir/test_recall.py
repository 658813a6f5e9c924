"""What stands on what is to be rolled back."""

from __future__ import annotations

import pytest

from tests import engine
from tests.engine import catalog, entry, inventory
from tests.fake_host import MemoryChangeLog
from thinkube_nornir.component import here
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.recall import concerned, recall, refuse_while_needed
from thinkube_nornir.runner import RunResult

CONTROL = entry("p5.control", "control")
WORKERS = entry("p5.workers", "workers", needs=("p5.control",))
CATALOG = catalog(CONTROL, WORKERS)
STOCK = inventory({"control": ["c1"], "workers": ["w1", "w2"], "other": ["x"]})


def change_log(*owned: tuple[str, str]) -> MemoryChangeLog:
    made = MemoryChangeLog()
    for host, component in owned:
        made.intend(host=host, component=component, key=f"file:/{component}", summary="", before={})
    return made


def test_an_interruption_while_hosts_are_asked_ends_the_rollback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C before the first change is not spent on the asking: nothing is rolled back after it."""
    monkeypatch.setattr("thinkube_nornir.recall.execute", lambda *_: RunResult({}, interrupted=True))

    with pytest.raises(KeyboardInterrupt):
        recall(engine.nornir(STOCK), engine.context(STOCK), ["c1"])


def test_a_component_that_is_needed_stays() -> None:
    """Its dependents are named, with their hosts."""
    with pytest.raises(ConfigError, match=r"p5\.workers on w1, w2 still needs p5\.control"):
        refuse_while_needed(CATALOG, (CONTROL,), STOCK, ["c1"], change_log(("w1", "p5.workers"), ("w2", "p5.workers")))


@pytest.mark.parametrize(
    ("asked", "typed"),
    [(("p5.control",), "rollback p5.workers p5.control"), (("p4",), "rollback p5 p4")],
)
def test_what_to_type_in_place_of_it_is_said(asked: tuple[str, ...], typed: str) -> None:
    """A whole phase that stands on it, or the component of the same phase."""
    with pytest.raises(ConfigError, match=f" {typed}`"):
        refuse_while_needed(CATALOG, (CONTROL,), STOCK, ["c1"], change_log(("w1", "p5.workers")), asked)


def test_a_component_whose_dependents_are_gone_may_go() -> None:
    """Only what is ours on a host counts."""
    refuse_while_needed(CATALOG, (CONTROL,), STOCK, ["c1"], change_log(("c1", "p5.control")))


def test_dependents_that_go_along_are_no_hindrance() -> None:
    """Rolling back the whole phase takes them in the right order."""
    refuse_while_needed(CATALOG, (CONTROL, WORKERS), STOCK, ["c1", "w1", "w2"], change_log(("w1", "p5.workers")))


def test_a_dependent_outside_the_filter_is_a_hindrance() -> None:
    """`rollback phase5 -l c1,w1` would leave w2 without its control plane."""
    with pytest.raises(ConfigError, match=r"p5\.workers on w2 still needs"):
        refuse_while_needed(CATALOG, (CONTROL, WORKERS), STOCK, ["c1", "w1"], change_log(("w2", "p5.workers")))


def test_one_worker_may_go_alone() -> None:
    """Nothing needs a worker."""
    refuse_while_needed(CATALOG, (WORKERS,), STOCK, ["w1"], change_log(("w2", "p5.workers"), ("c1", "p5.control")))


DNS = entry("p5.dns", "all", needs=("p5.control", here("p5.workers")))
NODES = inventory({"control": ["c1"], "workers": ["w1", "w2"], "all": ["c1", "w1", "w2"]})


def test_what_is_needed_on_the_same_host_may_go_from_another() -> None:
    """A worker leaves with its own share of the names; those of the other nodes do not stand on it."""
    owned = change_log(("c1", "p5.dns"), ("w1", "p5.dns"), ("w2", "p5.dns"))
    whole = catalog(CONTROL, WORKERS, DNS)

    refuse_while_needed(whole, (WORKERS, DNS), NODES, ["w1"], owned)
    refuse_while_needed(whole, (CONTROL, WORKERS, DNS), NODES, ["w1"], owned)
    with pytest.raises(ConfigError, match=r"p5\.dns on w1 still needs p5\.workers"):
        refuse_while_needed(whole, (WORKERS,), NODES, ["w1"], owned)


def test_hosts_of_dependents_are_asked_too() -> None:
    """What another controller did there is known to them alone."""
    assert concerned(CATALOG, (CONTROL,), STOCK, ["c1"]) == ["c1", "w1", "w2"]
    assert concerned(CATALOG, (WORKERS,), STOCK, ["w1"]) == ["w1"]
