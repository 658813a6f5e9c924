"""Labs of a test end with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tasks.lab.fake_lab import close_labs


@pytest.fixture(autouse=True)
def ended_labs() -> Iterator[None]:
    yield
    close_labs()
