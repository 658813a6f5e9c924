"""The plan: which nodes there are, and what each waits for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine import catalog, entry, inventory, quiet
from thinkube_nornir import plan
from thinkube_nornir.catalog import Entry
from thinkube_nornir.component import chain, here, step
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
    return opened(made, made.by_id[node].needs)


def waits_for(made: plan.Plan, node: str) -> set[str]:
    return needs(made, node) | opened(made, made.by_id[node].after)


def opened(made: plan.Plan, names: frozenset[str]) -> set[str]:
    """With the nodes of gates in place of these."""
    return {node for name in names for node in made.gates.get(name, (name,))}


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
        stack += waits_for(made, node.id)

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

    with pytest.raises(ConfigError, match=r"cycle: .*p\.one/setup/a@h.*p\.two/setup/b@h"):
        plan.make(catalog(one, two), (one, two), inventory({"all": ["h"]}), ["h"], "run")


@given(st.sets(st.sampled_from(["c1", "w1", "w2"]), min_size=1), st.sampled_from(["run", "verify", "rollback"]))
def test_nodes_come_after_all_they_wait_for(hosts: set[str], verb: str) -> None:
    """The plan's order is one in which the nodes could run one by one, and each node is there once."""
    made = plan.make(CATALOG, (CONTROL, WORKERS), inventory(HOSTS), sorted(hosts), verb)

    seen: set[str] = set()
    for node in made.nodes:
        assert waits_for(made, node.id) <= seen
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
        new = waits_for(made, stack.pop()) - seen
        seen |= new
        stack += new
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
    assert "p5.workers/verify/has_joined@w2" in needs(made, late.id)
    assert late.after == {"p6.cards/preconditions/cards_are_there@w1"}


def test_verify_knows_no_early_preconditions() -> None:
    """Nothing but a run checks what must be there before it."""
    assert not [node for node in with_early("verify").nodes if node.step.early]


def test_early_steps_elsewhere_are_refused() -> None:
    """Only a precondition can be early."""
    with pytest.raises(ValueError, match="early is for preconditions, not for install"):
        entry("p.one", setup=chain(step(quiet("install"), early=True)))


# what runs once, and what is needed on the same host

NAMES = entry(
    "p5.names",
    "nodes",
    needs=("p5.control", here("p5.workers")),
    preconditions=chain(step(quiet("servers_answer"), on="control")),
    setup=chain(
        quiet("save"), step(quiet("write"), on="control"), step(quiet("roll_out"), on="control"), quiet("restart")
    ),
    verify=chain(
        step(quiet("is_rolled_out"), on="control"), quiet("resolves"), step(quiet("all_resolve"), on="control")
    ),
    rollback=chain(step(quiet("put_back"), on="control"), quiet("restore")),
)
COUNTED = entry(
    "p5.workers",
    "workers",
    needs=("p5.control",),
    setup=chain(quiet("join")),
    verify=chain(quiet("has_joined"), step(quiet("all_are_counted"), on="control")),
    rollback=chain(quiet("leave")),
)
ALL = ("c1", "w1", "w2")


def with_names(*selected: str, verb: str = "run", entries: tuple[Entry, ...] | None = None) -> plan.Plan:
    every = (CONTROL, COUNTED, NAMES)
    stock = inventory({**HOSTS, "nodes": list(ALL)})
    return plan.make(catalog(*every), entries or every, stock, selected or ALL, verb)


def test_a_step_that_runs_once_has_one_node() -> None:
    """On the first host of its group, be that in the component's group or not; others need no guard."""
    hosts: dict[str, list[str]] = {}
    for node in with_names().nodes:
        hosts.setdefault(node.step.name, []).append(node.host)

    assert hosts["write"] == hosts["servers_answer"] == hosts["all_are_counted"] == ["c1"]
    assert sorted(hosts["save"]) == list(ALL)


def test_what_follows_a_step_that_runs_once_needs_it() -> None:
    """On all hosts; what comes before it is only waited for, so that a bad host stops nobody else."""
    made = with_names()
    write = made.by_id["p5.names/setup/write@c1"]

    assert needs(made, "p5.names/setup/restart@w1") == {"p5.names/setup/save@w1", "p5.names/setup/roll_out@c1"}
    assert needs(made, "p5.names/setup/restart@c1") == {"p5.names/setup/roll_out@c1"}
    assert write.needs == {"p5.names/setup/save@c1"}
    assert write.after == {"p5.names/setup/save@w1", "p5.names/setup/save@w2"}


def test_a_precondition_that_runs_once_is_everybodys() -> None:
    """No host's set-up begins when it is red."""
    made = with_names()

    assert all("p5.names/preconditions/servers_answer@c1" in needs(made, f"p5.names/setup/save@{h}") for h in ALL)


def test_checks_that_run_once_hide_no_other_and_are_hidden_by_none() -> None:
    """They stand where the chain has them, for all hosts."""
    made = with_names()
    counted = made.by_id["p5.names/verify/all_resolve@c1"]

    assert counted.needs == {"p5.names/setup/restart@c1"}
    assert counted.after == {f"p5.names/verify/resolves@{h}" for h in ALL}
    assert needs(made, "p5.names/verify/resolves@w1") == {"p5.names/setup/restart@w1"}


def test_checks_need_what_runs_once_at_the_end_of_the_set_up() -> None:
    """On all hosts, whichever of them it ran on."""
    one = entry(
        "p.a", "nodes", setup=chain(quiet("save"), step(quiet("tell"), on="control")), verify=chain(quiet("is"))
    )
    made = plan.make(catalog(one), (one,), inventory({**HOSTS, "nodes": list(ALL)}), ALL, "run")

    assert needs(made, "p.a/verify/is@w1") == {"p.a/setup/save@w1", "p.a/setup/tell@c1"}
    assert needs(made, "p.a/verify/is@c1") == {"p.a/setup/tell@c1"}


def test_a_check_outside_of_its_components_hosts_comes_after_theirs() -> None:
    """It needs none of them, as what failed on one is not counted; but what the component itself needs."""
    counted = with_names().by_id["p5.workers/verify/all_are_counted@c1"]

    assert counted.needs == {"p5.control/verify/is_ready@c1", "p5.control/verify/answers@c1"}
    assert counted.after == {"p5.workers/verify/has_joined@w1", "p5.workers/verify/has_joined@w2"}
    assert counted.facts is None
    assert not counted.prerequisite


def test_what_is_needed_here_is_needed_of_no_other_host() -> None:
    """The control plane's share needs no worker, and no worker another one."""
    made = with_names()

    control = {"p5.control/verify/is_ready@c1", "p5.control/verify/answers@c1"}
    asked = {"p5.names/preconditions/servers_answer@c1"}
    assert needs(made, "p5.names/setup/save@c1") == control | asked
    assert needs(made, "p5.names/setup/save@w1") == control | asked | {"p5.workers/verify/has_joined@w1"}


def test_the_first_step_that_runs_once_waits_for_what_the_others_need() -> None:
    """It acts for all hosts, so it comes when all have what they can get; it needs its own host's alone."""
    chains = {"setup": chain(step(quiet("write"), on="control")), "verify": chain(quiet("resolves"))}
    names = entry("p5.names", "nodes", needs=NAMES.component.needs, **chains)
    stock = inventory({**HOSTS, "nodes": list(ALL)})
    made = plan.make(catalog(CONTROL, COUNTED, names), (CONTROL, COUNTED, names), stock, ALL, "run")
    write = made.by_id["p5.names/setup/write@c1"]

    assert opened(made, write.needs) == {"p5.control/verify/is_ready@c1", "p5.control/verify/answers@c1"}
    assert write.after == {"p5.workers/verify/has_joined@w1", "p5.workers/verify/has_joined@w2"}


def test_a_filter_leaves_changes_out_that_run_once_elsewhere() -> None:
    """They are named; the checks of them, which change nothing, are made first instead."""
    made = with_names("w1", entries=(NAMES,))
    outside = {node.id for node in made.nodes if node.prerequisite}

    assert made.left_out == {"p5.names": ("c1", "w2")}
    assert {node.host for node in made.nodes if node.chain == "setup"} == {"w1"}
    assert {i for i in outside if i.startswith("p5.names")} == {
        "p5.names/preconditions/servers_answer@c1",
        "p5.names/verify/is_rolled_out@c1",
        "p5.names/verify/all_resolve@c1",
    }
    assert needs(made, "p5.names/setup/restart@w1") == {"p5.names/setup/save@w1", "p5.names/verify/is_rolled_out@c1"}
    assert made.by_id["p5.names/verify/all_resolve@c1"].after >= {"p5.names/verify/resolves@w1"}
    assert "p5.workers/verify/has_joined@w1" in outside
    assert not {node.id for node in made.nodes if node.host == "w2"}


def test_a_filter_that_leaves_workers_out_does_not_look_at_them() -> None:
    """On a new cluster they are no nodes yet, and the control plane needs none of them."""
    made = with_names("c1")

    assert made.hosts == ("c1",)
    assert made.left_out == {"p5.workers": ("w1", "w2"), "p5.names": ("w1", "w2")}
    assert not any(node.prerequisite for node in made.nodes)


def test_verify_of_one_host_reads_what_is_checked_once_too() -> None:
    """Green means checked; nothing is asked of the other workers."""
    made = with_names("w1", verb="verify")

    assert {node.id for node in made.nodes if node.host != "w1"} == {
        "p5.workers/verify/all_are_counted@c1",
        "p5.names/verify/is_rolled_out@c1",
        "p5.names/verify/all_resolve@c1",
    }
    assert all(node.prerequisite == (node.host != "w1") for node in made.nodes)


def test_rollback_of_a_host_waits_for_what_stands_on_it_there() -> None:
    """And that for what is put back once; the control plane for all of it."""
    made = with_names(verb="rollback")

    assert needs(made, "p5.names/rollback/restore@w1") == {"p5.names/rollback/put_back@c1"}
    assert needs(made, "p5.workers/rollback/leave@w1") == {"p5.names/rollback/restore@w1"}
    assert needs(made, "p5.control/rollback/remove@c1") == {
        *(f"p5.names/rollback/restore@{h}" for h in ALL),
        *(f"p5.workers/rollback/leave@{h}" for h in ("w1", "w2")),
    }


def test_a_step_that_runs_once_on_a_group_without_hosts_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"group control has no host, and steps of p5\.names run there"):
        plan.make(catalog(NAMES), (NAMES,), inventory({"nodes": ["w1"]}), ["w1"], "verify")


def test_one_step_may_need_another_on_the_same_host() -> None:
    """`here` of a step, of this component or another; where that host has none, nothing."""
    first = entry("p.first", "workers", setup=chain(quiet("open"), quiet("close")))
    second = entry("p.second", "all", setup=chain(step(quiet("use"), needs=(here("p.first.open"),))))
    stock = inventory({"workers": ["w1", "w2"], "all": list(ALL)})
    made = plan.make(catalog(first, second), (first, second), stock, ALL, "run")

    assert needs(made, "p.second/setup/use@w1") == {"p.first/setup/open@w1"}
    assert needs(made, "p.second/setup/use@c1") == set()


@pytest.mark.parametrize("verb", ["run", "verify", "rollback"])
def test_edges_grow_with_the_hosts_and_not_with_their_square(verb: str) -> None:
    """What waits for all hosts waits for one gate, and what waits for all in all is as much per step as before."""

    def per_node(count: int) -> float:
        hosts = [f"h{i}" for i in range(count)]
        stock = inventory({"control": ["c1"], "workers": hosts, "nodes": ["c1", *hosts], "all": ["c1", *hosts]})
        later = entry("p6.later", "all", needs=("p5.workers",), setup=chain(quiet("a")), rollback=chain(quiet("b")))
        every = (EARLY_CONTROL, COUNTED, NAMES, later)
        made = plan.make(catalog(*every), every, stock, list(stock.hosts), verb)
        edges = sum(map(len, made.gates.values())) + sum(len(n.needs) + len(n.after) for n in made.nodes)
        return edges / len(made.nodes)

    assert per_node(200) <= 1.1 * per_node(20)


@given(
    st.sets(st.sampled_from(ALL), min_size=1),
    st.sets(st.sampled_from([CONTROL, COUNTED, NAMES]), min_size=1),
    st.sampled_from(["run", "verify", "rollback"]),
)
def test_no_filter_makes_a_circle(hosts: set[str], entries: set[Entry], verb: str) -> None:
    """Whatever is selected: all that is waited for is planned, comes before, and nothing outside is changed."""
    try:
        made = with_names(
            *sorted(hosts), verb=verb, entries=tuple(e for e in (CONTROL, COUNTED, NAMES) if e in entries)
        )
    except ConfigError:
        return
    seen: set[str] = set()
    for node in made.nodes:
        assert waits_for(made, node.id) <= seen
        seen.add(node.id)
        assert node.host in hosts or (node.prerequisite and node.chain in ("preconditions", "verify"))
