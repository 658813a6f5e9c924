"""Labs for the promises: each module has its own, so that what one breaks another does not see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.promises.lab_project import FAST, LabProject

Labs = Callable[..., LabProject]


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    """Makes projects whose labs end with the module."""
    made: list[LabProject] = []

    def make(*, speed: float = FAST, **inventory: dict[str, Any]) -> LabProject:
        folder: Path = tmp_path_factory.mktemp("project")
        made.append(LabProject(folder, inventory=inventory, speed=speed))
        made[-1].up()
        return made[-1]

    yield make
    for project in made:
        project.down()


@pytest.fixture(scope="module")
def standing(labs: Labs) -> LabProject:
    """Phase 5 is set up on this lab; who changes that puts it back."""
    project = labs()
    ended = project("run", "phase5")
    assert ended.code == 0, ended.told
    return project
