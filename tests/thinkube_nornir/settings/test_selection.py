"""-l/--limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nornir.core.inventory import Group, Groups, Host, Hosts, Inventory, ParentGroups

from thinkube_nornir.errors import ConfigError
from thinkube_nornir.settings.selection import select_hosts

nodes = Group("nodes")
workers = Group("workers", groups=ParentGroups([nodes]))
GROUPS = Groups({g.name: g for g in (nodes, workers, Group("empty"))})
MEMBERS = {"nodes": {"tkc", "tkw1", "bcn1"}, "workers": {"tkw1", "bcn1"}, "empty": set[str]()}
HOSTS = Hosts(
    {
        "tkw1": Host("tkw1", groups=ParentGroups([workers])),
        "bcn1": Host("bcn1", groups=ParentGroups([workers])),
        "tkc": Host("tkc", groups=ParentGroups([nodes])),
        "dns1": Host("dns1"),
    }
)
INVENTORY = Inventory(HOSTS, GROUPS)


@pytest.mark.parametrize(
    ("limit", "hosts"),
    [
        (None, ["tkw1", "bcn1", "tkc", "dns1"]),
        ("nodes", ["tkw1", "bcn1", "tkc"]),
        ("nodes,!bcn1", ["tkw1", "tkc"]),
        ("!bcn1,nodes", ["tkw1", "tkc"]),
        ("!workers", ["tkc", "dns1"]),
        ("dns1, bcn1", ["bcn1", "dns1"]),
    ],
)
def test_a_limit_is_hosts_groups_and_exclusions(limit: str | None, hosts: list[str]) -> None:
    """Exclusions win wherever they stand; the order is the inventory's."""
    assert select_hosts(INVENTORY, limit) == hosts


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("tkv1", "-l/--limit: there is no host or group tkv1 (did you mean tkw1?)"),
        ("tkc,!worker", "-l/--limit: there is no host or group worker (did you mean workers?)"),
        ("tkc,", "-l/--limit: an empty name (separate names with one comma)"),
        ("", "-l/--limit: an empty name (separate names with one comma)"),
        ("empty", "-l/--limit: empty selects no host (see: `thinkube-nornir inventory`)"),
        ("tkc,!nodes", "-l/--limit: tkc,!nodes selects no host (see: `thinkube-nornir inventory`)"),
    ],
)
def test_a_limit_that_selects_nothing_is_an_error(limit: str, expected: str) -> None:
    """A typing mistake never becomes a run on no hosts, or on all of them."""
    with pytest.raises(ConfigError) as caught:
        select_hosts(INVENTORY, limit)

    assert str(caught.value) == expected


@given(words=st.lists(st.tuples(st.booleans(), st.sampled_from([*HOSTS, *GROUPS])), min_size=1))
def test_a_selection_is_the_named_without_the_excluded(words: list[tuple[bool, str]]) -> None:
    """Whatever is combined: every selected host is named, or nothing is; none is excluded; none is lost or doubled."""
    limit = ",".join("!" * excluded + name for excluded, name in words)
    named = {h for excluded, name in words if not excluded for h in MEMBERS.get(name, {name})}
    excluded = {h for excluded, name in words if excluded for h in MEMBERS.get(name, {name})}
    wanted = (named if any(not excluded for excluded, _ in words) else set(HOSTS)) - excluded

    try:
        selected = select_hosts(INVENTORY, limit)
    except ConfigError:
        selected = []

    assert selected == [host for host in HOSTS if host in wanted]
