"""What a component manages: in every chain, in the right order, and read together."""

from __future__ import annotations

from typing import Any

import pytest
from nornir.core.task import Result, Task

from tests.fake_host import FakeHost
from tests.thinkube_nornir.resources.fake_systemd import FakeSystemd
from thinkube_nornir.command import Fact
from thinkube_nornir.component import Component, chain, step
from thinkube_nornir.errors import ConfigError, ThinkubeError, Unreachable
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.resources import File, Unit, in_home

A, B, C = File("/etc/a", "a"), File("/etc/b", "b"), File("/etc/c", "c")
UNIT = Unit("x.service", restart_on=(A,))
NUMBER: Fact[int] = Fact("a number", ("number",), lambda done: int(done.text))


def peculiar(task: Task) -> Result:
    return unchanged(task, "done by hand")


def checked(task: Task) -> Result:
    return unchanged(task, "seen by hand")


def undone(task: Task) -> Result:
    return unchanged(task, "undone by hand")


def _component(**chains: Any) -> Component:
    return Component(title="X", number=10, group="g", **chains)


def _names(component: Component) -> dict[str, list[str]]:
    return {name: [s.name for s in getattr(component, name).steps] for name in ("setup", "verify", "rollback")}


def test_steps_of_resources_have_titles_for_people() -> None:
    """Their names are identifiers, and no longer show what they are made from."""
    component = _component(manages=(A,), setup=chain(peculiar))

    assert [s.title for s in component.setup.steps] == ["file /etc/a", "peculiar"]
    assert [s.title for s in component.verify.steps] == ["file /etc/a is as declared"]
    assert [s.title for s in component.rollback.steps] == ["restore file /etc/a"]


def test_a_resource_that_is_managed_once_is_checked_and_rolled_back_once() -> None:
    """Its check comes after those that run once and stand first: steps that a filter leaves out need these alone."""
    looks_first = step(checked, on="first")
    component = _component(setup=chain(step(UNIT, on="first"), A), verify=chain(looks_first, peculiar))

    assert [(s.name, s.on) for s in component.verify.steps] == [
        ("checked", "first"),
        ("unit_x_service_is_as_declared", "first"),
        ("file_etc_a_is_as_declared", None),
        ("peculiar", None),
    ]
    assert [(s.name, s.on) for s in component.rollback.steps] == [
        ("restore_file_etc_a", None),
        ("restore_unit_x_service", "first"),
        ("restart_unit_x_service_as_before", "first"),
    ]


def test_what_is_managed_is_first_in_set_up_and_verify_and_last_in_rollback() -> None:
    """In order, and in the reverse order; a unit is restarted when all else is rolled back."""
    component = _component(manages=(A, B, UNIT), setup=chain(peculiar), verify=chain(checked), rollback=chain(undone))

    assert _names(component) == {
        "setup": ["file_etc_a", "file_etc_b", "unit_x_service", "peculiar"],
        "verify": [
            "file_etc_a_is_as_declared",
            "file_etc_b_is_as_declared",
            "unit_x_service_is_as_declared",
            "checked",
        ],
        "rollback": [
            "undone",
            "restore_unit_x_service",
            "restore_file_etc_b",
            "restore_file_etc_a",
            "restart_unit_x_service_as_before",
        ],
    }
    assert component.resources == (A, B, UNIT)


def test_a_resource_in_the_middle_of_set_up_is_in_the_other_chains_too() -> None:
    """By itself, or where it is placed; what its step was given is kept."""
    component = _component(
        manages=(A,),
        setup=chain(peculiar, step(B, needs=(), concurrency="one"), C),
        verify=chain(checked, C),
        rollback=chain(B, undone),
    )

    assert _names(component) == {
        "setup": ["file_etc_a", "peculiar", "file_etc_b", "file_etc_c"],
        "verify": ["file_etc_a_is_as_declared", "file_etc_b_is_as_declared", "checked", "file_etc_c_is_as_declared"],
        "rollback": ["restore_file_etc_b", "undone", "restore_file_etc_c", "restore_file_etc_a"],
    }
    placed = component.setup.steps[2]
    assert (placed.needs, placed.concurrency) == ((), "one")


def test_the_steps_do_what_their_chain_is_for() -> None:
    host, component = FakeHost(), _component(manages=(A,))

    for name in ("setup", "verify", "rollback"):
        (only,) = getattr(component, name).steps
        assert host.apply(only.function).exception is None
        assert ("/etc/a" in host.files) == (name != "rollback")


@pytest.mark.parametrize("name", ["preconditions", "verify", "rollback"])
def test_what_set_up_does_not_manage_stands_in_no_other_chain(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} has file_etc_b, which set-up does not manage"):
        _component(manages=(A,), **{name: chain(B)})


def test_a_precondition_manages_nothing() -> None:
    with pytest.raises(ValueError, match="preconditions has file_etc_a"):
        _component(manages=(A,), preconditions=chain(A))


def test_a_resource_that_is_managed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="file_etc_a"):
        _component(manages=(A,), setup=chain(A))


def test_all_resources_of_a_chain_are_read_in_one_round_trip() -> None:
    """Together with the chain's own facts; rollback reads nothing ahead."""
    systemd = FakeSystemd()
    host = systemd.host
    host.answers["number"] = "7"
    component = _component(manages=(A, UNIT), setup=chain(peculiar, facts=lambda _: (NUMBER,)))
    facts = component.setup.facts
    assert facts is not None

    def read_all(task: Task) -> Result:
        from thinkube_nornir.remote import read

        read(task, *facts(task))
        return unchanged(task, "read")

    host.apply(read_all)

    assert len(host.trips) == 1
    assert len(host.trips[0]) == 4
    assert component.verify.facts is not None
    assert component.rollback.facts is None
    assert _component(setup=chain(peculiar)).setup.facts is None


def test_a_resource_says_where_it_is_managed() -> None:
    """Once, on the first host of a group, in each chain; a step that has it in a chain may say another."""
    once = File("/etc/once", "x", on="first")
    component = _component(manages=(A, once), setup=chain(step(File("/etc/d", "d", on="first"), on="second")))

    for name in ("setup", "verify", "rollback"):
        steps = getattr(component, name).steps
        assert {s.on for s in steps if "etc_a" in s.name} == {None}
        assert {s.on for s in steps if "etc_once" in s.name} == {"first"}
        assert {s.on for s in steps if "etc_d" in s.name} == {"second"}


def test_what_is_managed_once_is_not_read_on_every_host() -> None:
    """Its step reads it where it is."""
    component = _component(manages=(A, File("/etc/once", "x", on="first")))
    counts: list[int] = []

    def count(task: Task) -> Result:
        counts.extend(len(c.facts(task)) for c in (component.setup, component.verify) if c.facts)
        return unchanged(task, "counted")

    FakeHost().apply(count)

    assert counts == [1, 1]


def test_what_cannot_be_known_yet_is_left_to_the_step() -> None:
    """The home of a user whom an earlier step makes. A host that does not answer is an error at once."""
    errors: list[ThinkubeError] = [ThinkubeError("no such user"), Unreachable("gone"), ConfigError([])]

    def home(task: Task) -> str:
        raise errors.pop(0)

    component = _component(manages=(File(home, "x", label="x"), A))
    facts = component.setup.facts
    assert facts is not None

    def count(task: Task) -> Result:
        return unchanged(task, str(len(facts(task))))

    assert FakeHost().apply(count).result == "1"
    assert isinstance(FakeHost().apply(count).exception, Unreachable)
    assert isinstance(FakeHost().apply(count).exception, ConfigError)


def test_in_home_needs_the_user() -> None:
    assert in_home("ops", ".x").label == ".x"
