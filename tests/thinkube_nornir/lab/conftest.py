"""One light lab for all tests of a module that do not end or break it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.light_lab import RunningLab, running_lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running
