"""What holds for all tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something of the machine and its load, and nothing of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def own_tasks() -> Iterator[None]:
    """A project of a test's own has a package `tasks`, too, which takes the place of ours: afterwards ours is back."""
    ours, path = _tasks(), list(sys.path)
    yield
    if sys.modules.get("tasks") is not ours.get("tasks"):
        for name in _tasks():
            del sys.modules[name]
        sys.modules.update(ours)
        sys.path[:] = path


def _tasks() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "tasks"}
