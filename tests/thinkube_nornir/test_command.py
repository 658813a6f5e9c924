"""Commands as messages show them."""

from __future__ import annotations

import pytest

from thinkube_nornir.command import Command


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (("snap", "install", "a b"), "snap install 'a b'"),
        (("sh", "-c", "exit 1"), "sh -c 'exit 1'"),
        (("sh", "-c", "line\nline\n", "thinkube:states", "/etc/x"), "thinkube:states /etc/x"),
    ],
)
def test_a_script_goes_by_its_name(argv: tuple[str, ...], shown: str) -> None:
    """An interrupted run must not print forty lines of shell."""
    assert str(Command(argv)) == shown
