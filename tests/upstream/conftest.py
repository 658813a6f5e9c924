"""What the product writes when all phases are set up and verified, recorded once for all drift tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import upstream_data as upstream
from tests.product_objects import Recording, recorded
from tests.promises.lab_project import LabProject


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """`run all` and `verify all` on a light lab of its own."""
    upstream.folder()  # skips before a lab is started for nothing
    project = LabProject(tmp_path_factory.mktemp("recorded"))
    project.up()
    try:
        with recorded() as recording:
            for verb in ("run", "verify"):
                ended = project(verb, "all")
                assert ended.code == 0, ended.told
        yield recording
    finally:
        project.down()
