"""A lab in which things take time and come in the real order: hosts are not done together, and nothing is at once."""

from __future__ import annotations

from pathlib import Path

from tests.promises.lab_project import LabProject


def test_phase_5_waits_for_what_comes_up_by_itself(tmp_path: Path) -> None:
    """The first join fails, the second worker joins while the first is verified; the second run changes nothing."""
    project = LabProject(tmp_path, speed=60.0)
    project.up()
    try:
        first = project("run", "phase5")
        second = project("run", "phase5")
    finally:
        project.down()

    assert first.code == 0, first.told
    assert second.code == 0, second.told
    assert second.places("changed") == set()
