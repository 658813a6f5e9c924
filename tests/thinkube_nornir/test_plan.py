"""The plan: which nodes there are, and what each waits for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine import catalog, entry, inventory, quiet
from thinkube_nornir import plan
from thinkube_nornir.component import chain, step
from thinkube_nornir.errors import ConfigError

CONTROL = entry(
    "p5.control",
    "control",
    preconditions=chain(quiet("snapd_runs")),
    setup=chain(quiet("install"), quiet("enable")),
    verify=chain(quiet("is_ready"), quiet("answers")),
    rollback=chain(quiet("remove")),
)
WORKERS = entry(
    "p5.workers",
    "workers",
    needs=("p5.control",),
    setup=chain(step(quiet("fetch"), needs=()), step(quiet("ask"), needs=("p5.control.enable",)), quiet("join")),
    verify=chain(quiet("has_joined")),
    rollback=chain(quiet("leave"), quiet("purge")),
)
HOSTS = {"control": ["c1"], "workers": ["w1", "w2"]}
CATALOG = catalog(CONTROL, WORKERS)


def needs(made: plan.Plan, node: str) -> set[str]:
    return set(made.by_id[node].needs)


def full(verb: str = "run") -> plan.Plan:
    return plan.make(CATALOG, (CONTROL, WORKERS), inventory(HOSTS), ["c1", "w1", "w2"], verb)


def test_setup_steps_follow_each_other_on_a_host() -> None:
    """On one host a chain runs in order, each step needing the one before."""
    assert needs(full(), "p5.control/setup/enable@c1") == {"p5.control/setup/install@c1"}


def test_setup_needs_every_precondition() -> None:
    """The first change waits for all preconditions of its host."""
    assert "p5.control/preconditions/snapd_runs@c1" in needs(full(), "p5.control/setup/install@c1")


def test_every_check_needs_the_setup_but_no_other_check() -> None:
    """A failed check hides no other one: they follow each other without needing each other."""
    node = full().by_id["p5.control/verify/answers@c1"]

    assert node.needs == {"p5.control/setup/enable@c1"}
    assert node.after == {"p5.control/verify/is_ready@c1"}


def test_by_default_a_component_waits_until_what_it_needs_is_verified() -> None:
    """The default edge between components comes from every verify node of the needed one."""
    assert needs(full(), "p5.workers/setup/join@w1") == {
        "p5.workers/setup/ask@w1",
        "p5.control/verify/is_ready@c1",
        "p5.control/verify/answers@c1",
    }


def test_a_step_with_no_needs_starts_at_once() -> None:
    """`needs=()` takes the default edge away: installing on workers needs nothing from the control plane."""
    assert needs(full(), "p5.workers/setup/fetch@w2") == set()


def test_a_step_may_need_a_single_step_of_another_component() -> None:
    """A named step stands for its nodes on all hosts."""
    assert "p5.control/setup/enable@c1" in needs(full(), "p5.workers/setup/ask@w1")
    assert "p5.control/verify/answers@c1" not in needs(full(), "p5.workers/setup/ask@w1")


def test_a_check_may_need_its_own_components_set_up_on_all_hosts() -> None:
    """One that counts all of them comes after the last; where no set-up is planned, it waits for nothing."""
    counted = step(quiet("all_have_joined"), needs=("p5.workers.join",))
    workers = entry("p5.workers", "workers", setup=chain(quiet("join")), verify=chain(quiet("is_ready"), counted))

    def made(verb: str) -> plan.Plan:
        return plan.make(catalog(workers), (workers,), inventory({"workers": ["w1", "w2"]}), ["w1", "w2"], verb)

    joined = {"p5.workers/setup/join@w1", "p5.workers/setup/join@w2"}
    assert needs(made("run"), "p5.workers/verify/all_have_joined@w1") == joined
    assert needs(made("run"), "p5.workers/verify/is_ready@w1") == {"p5.workers/setup/join@w1"}
    assert needs(made("verify"), "p5.workers/verify/all_have_joined@w1") == set()


def test_hosts_do_not_wait_for_each_other() -> None:
    """No global barrier: no node of w1 waits, however indirectly, for one of w2."""
    made = full()
    reached, stack = set(), [n.id for n in made.nodes if n.host == "w1"]
    while stack:
        node = made.by_id[stack.pop()]
        reached.add(node.host)
        stack += node.needs | node.after

    assert reached == {"c1", "w1"}


def test_what_is_needed_and_not_selected_is_verified_first() -> None:
    """A filtered run reads from hosts outside the filter, and changes nothing there."""
    made = plan.make(CATALOG, (WORKERS,), inventory(HOSTS), ["w1"], "run")

    outside = [n for n in made.nodes if n.prerequisite]
    assert {n.id for n in outside} == {"p5.control/verify/is_ready@c1", "p5.control/verify/answers@c1"}
    assert made.hosts != ("w1",)
    assert needs(made, "p5.workers/setup/ask@w1") >= {n.id for n in outside}


def test_verify_has_no_order_between_components() -> None:
    """Checks of a component do not hide those of another."""
    assert all(not node.needs for node in full("verify").nodes)


def test_nodes_stay_with_their_component_where_needs_leave_it_open() -> None:
    """The order of a report is that of the catalog, not an accident of sorting."""
    parts = [(node.component, node.host) for node in full("verify").nodes]

    assert list(dict.fromkeys(parts)) == [("p5.control", "c1"), ("p5.workers", "w1"), ("p5.workers", "w2")]
    assert parts == sorted(parts)


def test_rollback_goes_backward() -> None:
    """What needs a component is rolled back on all hosts before the component itself."""
    assert needs(full("rollback"), "p5.control/rollback/remove@c1") == {
        "p5.workers/rollback/purge@w1",
        "p5.workers/rollback/purge@w2",
    }


def test_a_selection_without_hosts_is_an_error() -> None:
    """An empty selection is never green."""
    with pytest.raises(ConfigError, match="none of w1 is in a group that gets it: control"):
        plan.make(CATALOG, (CONTROL,), inventory(HOSTS), ["w1"], "run")


def test_steps_that_wait_for_each_other_are_named() -> None:
    """A circle of finer edges is an error of the tasks folder, with the circle."""
    one = entry("p.one", "all", setup=chain(step(quiet("a"), needs=("p.two.b",))))
    two = entry("p.two", "all", setup=chain(step(quiet("b"), needs=("p.one.a",))))

    with pytest.raises(ConfigError, match=r"circle: .*p\.one/setup/a@h.*p\.two/setup/b@h"):
        plan.make(catalog(one, two), (one, two), inventory({"all": ["h"]}), ["h"], "run")


@given(st.sets(st.sampled_from(["c1", "w1", "w2"]), min_size=1), st.sampled_from(["run", "verify", "rollback"]))
def test_nodes_come_after_all_they_wait_for(hosts: set[str], verb: str) -> None:
    """The plan's order is one in which the nodes could run one by one, and each node is there once."""
    made = plan.make(CATALOG, (CONTROL, WORKERS), inventory(HOSTS), sorted(hosts), verb)

    seen: set[str] = set()
    for node in made.nodes:
        assert node.needs | node.after <= seen
        assert node.id not in seen
        seen.add(node.id)
    assert {n.host for n in made.nodes if not n.prerequisite} <= hosts


EARLY_CONTROL = entry(
    "p5.control",
    "control",
    preconditions=chain(step(quiet("snapd_runs"), early=True), step(quiet("disk_has_room"), early=True)),
    setup=chain(quiet("install"), quiet("enable")),
    verify=chain(quiet("is_ready")),
)
EARLY_WORKERS = entry(
    "p5.workers",
    "workers",
    needs=("p5.control",),
    setup=chain(step(quiet("fetch"), needs=()), quiet("join")),
    verify=chain(quiet("has_joined")),
)
CARDS = entry(
    "p6.cards",
    "all",
    needs=("p5.workers",),
    preconditions=chain(quiet("no_other_operator"), step(quiet("cards_are_there"), early=True)),
    setup=chain(quiet("label")),
)
EARLY_HOSTS = {"control": ["c1"], "workers": ["w1", "w2"], "all": ["c1", "w1", "w2"]}


def with_early(verb: str = "run") -> plan.Plan:
    entries = (EARLY_CONTROL, EARLY_WORKERS, CARDS)
    return plan.make(catalog(*entries), entries, inventory(EARLY_HOSTS), ["c1", "w1", "w2"], verb)


def test_a_later_components_early_precondition_comes_before_the_first_change() -> None:
    """Every set-up chain, on every host, starts when all early preconditions have ended."""
    made = with_early()
    early = {node.id for node in made.nodes if node.step.early}
    order = [node.id for node in made.nodes]
    first_change = next(n for n, node in enumerate(made.nodes) if node.chain == "setup")

    assert len(early) == 5
    assert early <= set(order[:first_change])
    for node in ("p5.control/setup/install@c1", "p5.workers/setup/fetch@w1", "p5.workers/setup/fetch@w2"):
        assert _all_before(made, node) >= early


def _all_before(made: plan.Plan, node: str) -> set[str]:
    seen: set[str] = set()
    stack = [node]
    while stack:
        waits_for = (made.by_id[stack[-1]].needs | made.by_id[stack.pop()].after) - seen
        seen |= waits_for
        stack += waits_for
    return seen


def test_a_red_early_precondition_stops_the_changes_of_its_own_host_only() -> None:
    """What a host lacks for any component leaves the host as it is; other hosts do not need it."""
    made = with_early()

    assert "p6.cards/preconditions/cards_are_there@w1" in needs(made, "p5.workers/setup/fetch@w1")
    assert "p6.cards/preconditions/cards_are_there@c1" in needs(made, "p5.control/setup/install@c1")
    assert not {n for n in needs(made, "p5.workers/setup/fetch@w2") if n.endswith("@w1")}


def test_early_preconditions_wait_for_nothing_but_each_other() -> None:
    """They come first in their chain, also when they are declared after one that needs other components."""
    made = with_early()

    for node in made.nodes:
        if node.step.early:
            assert not node.needs
            assert all(made.by_id[other].step.early for other in node.after)
    late = made.by_id["p6.cards/preconditions/no_other_operator@w1"]
    assert "p5.workers/verify/has_joined@w2" in late.needs
    assert late.after == {"p6.cards/preconditions/cards_are_there@w1"}


def test_verify_knows_no_early_preconditions() -> None:
    """Nothing but a run checks what must be there before it."""
    assert not [node for node in with_early("verify").nodes if node.step.early]


def test_early_steps_elsewhere_are_refused() -> None:
    """Only a precondition can be early."""
    with pytest.raises(ValueError, match="early is for preconditions, not for install"):
        entry("p.one", setup=chain(step(quiet("install"), early=True)))
