"""A throw-away machine for those tests that want real programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nornir.core.task import Result

from tests.fake_host import FakeHost
from tests.kube_servers import ASSETS, REAL, LabServer, real_server
from tests.thinkube_nornir.resources.cluster_host import ClusterHost
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


@pytest.fixture(scope="module")
def lab() -> Iterator[LabServer]:
    server = LabServer()
    server.do(lambda: server.api.add_node("n1", address="192.0.2.11"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_server(Path(os.environ[ASSETS]), tmp_path_factory.mktemp("real")) as kubeconfig:
        yield kubeconfig


@pytest.fixture(params=["lab", REAL])
def any_cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ClusterHost]:
    host = ClusterHost(tmp_path, request.getfixturevalue(request.param))
    yield host
    host.forget_records()
    host.close()


@pytest.fixture
def lab_cluster(lab: LabServer, tmp_path: Path) -> Iterator[ClusterHost]:
    """For what needs controllers, nodes or pods."""
    host = ClusterHost(tmp_path, lab)
    yield host
    host.forget_records()
    host.close()
