"""Commands as messages show them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from thinkube_nornir.change_log import Record
from thinkube_nornir.command import Command
from thinkube_nornir.remote.on_host_state import changing, undoing


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (("snap", "install", "a b"), "snap install 'a b'"),
        (("sh", "-c", "exit 1"), "sh -c 'exit 1'"),
        (("sh", "-c", "line\nline\n", "name", "/etc/x"), "name /etc/x"),
    ],
)
def test_a_script_goes_by_its_name(argv: tuple[str, ...], shown: str) -> None:
    """An interrupted run must not print forty lines of shell."""
    assert str(Command(argv)) == shown


RECORD = Record("phase5.x", "snap:microk8s", "install microk8s", {})


@pytest.mark.parametrize("recorded", [lambda c: changing(c, RECORD), lambda c: undoing(c, RECORD.key, (0,))])
def test_a_recorded_command_goes_by_its_own_words(recorded: Callable[[Command], Command]) -> None:
    """Whoever ends a run reads what it was at, and not the script around it with the hash of a key."""
    assert str(recorded(Command(("snap", "install", "microk8s"), root=True))) == "snap install microk8s"
