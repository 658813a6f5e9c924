"""A throw-away machine for those tests that want real programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from nornir.core.task import Result

from tests.fake_host import FakeHost
from tests.thinkube_nornir.resources.throw_away import ThrowAway, throw_away_machine


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each result of a step says something, in words of its own; a check says what was expected and seen."""
    plain = FakeHost.apply

    def apply(self: FakeHost, *given: Any, **how: Any) -> Result:
        result = plain(self, *given, **how)
        told = [result.result, *(vars(result)[name] for name in ("expected", "seen") if name in vars(result))]
        assert result.exception or all(isinstance(text, str) and text and "None" not in text for text in told), told
        ordinary = getattr(self, "unprivileged", False)
        assert ordinary or all(command.root for command in self.commands if command.alters)
        for change in self.change_log.changes():
            assert change.summary
            assert "None" not in change.summary
        return result

    monkeypatch.setattr(FakeHost, "apply", apply)


@pytest.fixture
def machine() -> Iterator[ThrowAway]:
    with throw_away_machine() as found:
        yield found
