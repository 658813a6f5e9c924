"""What holds for all tests."""

from __future__ import annotations

import fcntl
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from thinkube_nornir.program import called_with

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


@pytest.fixture(autouse=True)
def _alone_on_this_machine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Of tests whose host is this machine itself, one at a time: each host has one lock for who changes it."""
    if request.node.path.name not in ("test_sudo.py", "test_connection.py"):
        yield
        return
    with Path(tempfile.gettempdir(), "thinkube-nornir-tests.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(autouse=True)
def _called_without_options() -> None:
    """What an earlier test's command line was called with is no part of what this one is told to type."""
    called_with(None)


def _tasks() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "tasks"}
