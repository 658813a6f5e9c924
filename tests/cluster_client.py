"""A run whose only host, `tkc`, leads to an API server: what a step sees of the cluster door."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nornir.core.task import Result, Task

from tests.fake_host import FakeHost, MemoryChangeLog
from thinkube_nornir.cluster import Cluster, cluster
from thinkube_nornir.config import Config, Timeouts
from thinkube_nornir.context import Context

T = TypeVar("T")


class ClusterClient:
    """A run with one host, `tkc`, whose kubeconfig names an API server."""

    def __init__(self, folder: Path, text: str, *, target: Any = "ssh", command: float = 5.0) -> None:
        self.host = FakeHost("tkc")
        self.text, self.read = text, 0
        self.config = Config(
            *(folder, target, folder / "tasks", folder / "templates", folder / "inventory", folder / "state"),
            timeouts=Timeouts(command=command),
        )
        self.change_log = MemoryChangeLog()
        self.context = Context(self.config, self.host._inventory(), self.change_log)
        self.host.forward = lambda address, port: socket.create_connection((address, port), 5)  # type: ignore[method-assign]

    def kubeconfig(self, task: Task) -> str:
        self.read += 1
        return self.text

    def use(self, function: Callable[[Cluster], T]) -> T:
        """What a step gets that opens the cluster and calls the function; its errors are raised."""
        got: list[T] = []

        def step(task: Task) -> Result:
            got.append(function(cluster(task, "tkc", self.kubeconfig)))
            return Result(task.host, result="done")

        result = self.host.apply(step, context=self.context)
        if result.exception:
            raise result.exception
        return got[0]

    def close(self) -> None:
        for opened in self.context.clusters.values():
            opened.close()
        self.context.clusters.clear()
