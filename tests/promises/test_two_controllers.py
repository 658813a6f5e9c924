"""Promise 4 for two controllers: what undoing needs lies with hosts and cluster, so any checkout rolls back alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.promises.conftest import Labs
from tests.promises.lab_project import LabProject, differences

pytestmark = [pytest.mark.lab, pytest.mark.slow]


THEIRS = "echo theirs >/etc/microk8s.yaml"


def _agree(before: Any, project: LabProject) -> None:
    assert "\n".join(differences(before, project.snapshot())) == ""


def _green(project: LabProject, *arguments: str) -> str:
    ended = project(*arguments)
    assert ended.code == 0, ended.told
    return ended.told


def test_another_checkout_rolls_back_as_the_first_would(labs: Labs, tmp_path: Path) -> None:
    """It says that it takes over; phase 6 goes and leaves phase 5 as it was, then that goes; the first one then knows
    that nothing of it is there any more, and leaves alone what an operator has put there since."""
    first = labs()
    second = LabProject(tmp_path / "second", beside=first)
    bare = first.snapshot()
    _green(first, "run", "phase5")
    without = first.snapshot()
    _green(first, "run", "phase6")

    told = _green(second, "rollback", "phase6")
    assert "note   tkc: 43 changes that this journal did not have were taken over from there" in told
    _agree(without, first)
    _green(second, "rollback", "phase5")
    _agree(bare, first)

    look = "snap list; cat /etc/microk8s.yaml"
    theirs = first.ssh("tkw1", f"snap install microk8s --classic --channel=1.35/stable; {THEIRS}; {look}").text
    ended = first("rollback", "all")
    assert (ended.code, ended.places("changed")) == (0, set()), ended.told
    assert "tkw1: 8 changes of this journal are recorded there no more, and are left alone" in ended.told
    assert theirs.endswith(first.ssh("tkw1", look).text)


def test_a_second_set_up_keeps_the_first_originals(labs: Labs, tmp_path: Path) -> None:
    """Another checkout with other settings, and the first one without its journal, run in between: what was there
    before any of them comes back, above all containerd's template and the Corefile."""
    first = labs()
    second = LabProject(tmp_path / "second", beside=first, inventory={"defaults": {"token_ttl": 900}})
    bare = first.snapshot()
    _green(first, "run", "phase5")
    without = first.snapshot()
    _green(first, "run", "phase6")

    _green(second, "run", "all")
    first.forget()
    _green(first, "run", "phase6")

    _green(first, "rollback", "phase6")
    _agree(without, first)
    _green(second, "rollback", "phase5")
    _agree(bare, first)
