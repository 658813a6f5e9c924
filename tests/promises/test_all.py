"""All phases together: from nothing to green, no second change, and back to nothing."""

from __future__ import annotations

import pytest

from tests.promises.conftest import Labs
from tests.promises.lab_project import differences

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_all_phases_come_and_go(labs: Labs) -> None:
    """`run all` is green, a second run changes nothing, and after `rollback all` hosts and cluster are as before."""
    project = labs()
    before = project.snapshot()

    first = project("run", "all")
    standing = project.snapshot()
    second = project("run", "all")
    assert (first.code, second.code) == (0, 0), first.told + second.told
    assert second.places("changed") == set()
    assert "\n".join(differences(standing, project.snapshot())) == ""
    assert project("verify", "all").code == 0

    phase6 = project("rollback", "phase6")
    assert phase6.code == 0, phase6.told
    assert project("verify", "phase5").code == 0
    ended = project("rollback", "all")

    assert ended.code == 0, ended.told
    assert "\n".join(differences(before, project.snapshot())) == ""
    again = project("rollback", "all")
    assert (again.code, again.places("changed")) == (0, set()), again.told


def test_phase_6_gives_phase_5_back_as_it_was(labs: Labs) -> None:
    """Cluster objects and host files agree before phase 6 and after its rollback."""
    project = labs()
    assert project("run", "phase5").code == 0
    before = project.snapshot()

    assert project("run", "phase6").code == 0
    assert project("rollback", "phase6").code == 0

    assert "\n".join(differences(before, project.snapshot())) == ""
