"""A throw-away machine for those tests that want real programs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.thinkube_nornir.resources.throw_away import ThrowAway, throw_away_machine


@pytest.fixture
def machine() -> Iterator[ThrowAway]:
    with throw_away_machine() as found:
        yield found
