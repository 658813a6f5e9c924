"""Promises 1 and 2: a plan writes nothing, and a second run changes nothing."""

from __future__ import annotations

import pytest

from tests.promises.conftest import Labs
from tests.promises.lab_project import CONTROL, DNS, NODES, WORKERS, LabProject, differences

pytestmark = pytest.mark.lab

REHEARSALS = (("plan", "phase5"), ("run", "phase5", "--dry-run", "--diff"))


@pytest.fixture(scope="module")
def half(labs: Labs) -> LabProject:
    """A lab on which a set-up got stuck half-way: BIND is silent, so that CoreDNS was not begun."""
    project = labs()
    project.ssh("dns1", "systemctl stop named")
    assert project("run", "phase5").code == 1
    project.ssh("dns1", "systemctl start named")
    return project


def _rehearse(project: LabProject, *arguments: str) -> int:
    before = project.snapshot()
    ended = project(*arguments)
    assert differences(before, project.snapshot()) == []
    assert ended.places("changed") == set()
    assert "Traceback" not in ended.told
    return ended.code


@pytest.mark.parametrize("arguments", REHEARSALS, ids=" ".join)
def test_a_plan_writes_nothing_on_empty_hosts(labs: Labs, arguments: tuple[str, ...]) -> None:
    """Nothing on any disk, in the emulated services or in a cluster is other than before; exit code 3: pending."""
    project = labs()

    assert _rehearse(project, *arguments) == 3
    assert {c for c, _, _ in project(*arguments).places("planned")} == {CONTROL, WORKERS, DNS}


@pytest.mark.parametrize("arguments", REHEARSALS, ids=" ".join)
def test_a_plan_writes_nothing_on_half_set_up_hosts(half: LabProject, arguments: tuple[str, ...]) -> None:
    """Likewise where a cluster is there and could be written to."""
    assert _rehearse(half, *arguments) == 3


def test_a_plan_promises_what_the_run_then_changes(half: LabProject) -> None:
    """Every promise on the half set-up hosts is kept."""
    promised = half("plan", "phase5").places("planned")
    assert promised

    ended = half("run", "phase5")

    assert ended.code == 0, ended.told
    assert promised <= ended.places("changed")


def test_a_second_run_changes_nothing(standing: LabProject) -> None:
    """No step says changed, and the disks, services and objects agree."""
    before = standing.snapshot()

    ended = standing("run", "phase5")

    assert ended.code == 0, ended.told
    assert ended.places("changed") == set()
    assert {host for _, _, host in ended.places("unchanged", "setup")} == set(NODES)
    assert differences(before, standing.snapshot()) == []
    assert standing("verify", "phase5").code == 0


@pytest.mark.parametrize("arguments", REHEARSALS, ids=" ".join)
def test_a_plan_of_what_stands_is_empty(standing: LabProject, arguments: tuple[str, ...]) -> None:
    """Exit code 0: nothing is pending, and nothing was written."""
    assert _rehearse(standing, *arguments) == 0
