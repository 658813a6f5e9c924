"""Components against the lab's emulation in this process: its tools and its real Kubernetes API, without hosts and SSH.

cluster = LabCluster(tmp_path)                 MicroK8s is on tkc, with its dns addon
cluster.run(ingress.COMPONENT)                 the set-up chain on the control plane, as the runner would walk it
with cluster.broken(("v1", "Service", "web", "shop"), {"spec": {"type": "ClusterIP"}}): ...
cluster.close()
"""

from __future__ import annotations

import copy
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from nornir.core.task import Result

from tasks.lab.microk8s.node import node_of
from tests.fake_host import FakeHost, MemoryChangeLog, Reply
from tests.tasks.lab.fake_lab import FakeLab, prepared
from thinkube_nornir.command import Command
from thinkube_nornir.component import Component
from thinkube_nornir.config import Timeouts
from thinkube_nornir.context import Context
from thinkube_nornir.lab.kube import KubeApi, Object

Place = tuple[str, str, str, str]
"""apiVersion, kind, name, namespace."""

ROOT = Path(__file__).parent.parent
GROUPS = {
    "bcn2": ("baremetal", "zerotier_nodes"),
    "dns1": ("dns", "zerotier_nodes"),
    "tkc": ("microk8s", "microk8s_control_plane", "zerotier_nodes"),
}
INSTALL = ("snap", "install", "microk8s", "--classic")
SETTINGS = {"microk8s_channel": "1.35/stable", "acme_issuer": "ca", "dns_settle_seconds": 1}


class LabMachine(FakeHost):
    """A host whose commands the emulation answers."""

    cluster: LabCluster

    def _answer(self, command: Command) -> Reply:
        if command.argv == ("true",):
            return Reply()
        if command.argv[0] == "cat":
            return self._cat(command.argv[1])
        if command.argv[0] == "test" and command.argv[-1].endswith("stopped.lock"):
            return Reply(0 if self.cluster.lab.hosts[self.name].files.exists(command.argv[-1]) else 1)
        answer = self.cluster.do(self.cluster.lab.call(self.name, *command.argv, stdin=command.stdin.decode()))
        return Reply(answer.status, answer.stdout, answer.stderr)

    def _cat(self, path: str) -> Reply:
        files = self.cluster.lab.hosts[self.name].files
        return Reply(stdout=files.read(path)) if files.exists(path) else Reply(1, stderr=f"cat: {path}: no such file")

    def forward(self, address: str, port: int) -> socket.socket:
        return socket.create_connection(self.cluster.lab.ports[self.name, address, port])


class LabCluster:
    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder, self.change_log = folder, MemoryChangeLog()
        self.lab: FakeLab = prepared()
        self.do, self.act = self.lab.do, self.lab.act
        self._opened: dict[str, Any] = {}
        channel = {**SETTINGS, **settings}["microk8s_channel"]
        self.do(self.lab.call("tkc", *INSTALL, f"--channel={channel}"))
        node = node_of(self.lab.hosts["tkc"])
        assert node is not None
        self.api: KubeApi = node.api
        self.do(self.api.settled())
        self.machines = {name: self._machine(name, settings) for name in GROUPS}
        for machine in self.machines.values():
            machine.others = tuple(m for m in self.machines.values() if m is not machine)

    def _machine(self, name: str, settings: dict[str, Any]) -> LabMachine:
        known = {**SETTINGS, **self.lab.hosts[name].settings, **settings}
        machine = LabMachine(name, settings=known, groups=GROUPS[name])
        machine.cluster, machine.change_log = self, self.change_log
        return machine

    def close(self) -> None:
        for slot in self._opened.values():
            slot.close()
        self.lab.close()

    def run(self, component: Component, chain: str = "setup", *, host: str = "tkc", **how: Any) -> dict[str, Result]:
        """Walk a chain on one host; a set-up or rollback ends at its first failure, with that exception."""
        context = self.context(host, **how)
        results: dict[str, Result] = {}
        for step in getattr(component, chain).steps:
            results[step.name] = self.machines[host].apply(step.function, context=context)
            error = results[step.name].exception
            if error is not None and chain in ("setup", "rollback"):
                raise error
        return results

    def check(self, component: Component, name: str, *, host: str = "tkc") -> Result:
        """One check alone."""
        step = next(s for s in component.verify.steps if s.name == name)
        return self.machines[host].apply(step.function, context=self.context(host, read_only=True))

    def context(self, host: str, **how: Any) -> Context:
        machine = self.machines[host]
        made = machine._context(machine._inventory(), dry_run=False, read_only=False)
        timeouts = Timeouts(command=20.0)
        config = replace(made.config, target="lab", state=self.folder, templates=ROOT / "templates", timeouts=timeouts)
        return replace(made, config=config, clusters=self._opened, facts={}, **how)

    def get(self, *place: str) -> Object | None:
        return self.act(lambda: self.api.get(*place))

    def add(self, obj: Object) -> Object:
        return self.act(lambda: self.api.create(obj))

    @contextmanager
    def broken(self, place: Place, change: Object | None) -> Iterator[None]:
        """For the time of the block an object is merged with `change`, is gone, or is there that was not."""
        before = self.get(*place)
        self.act(lambda: self._write(place, before, None if change is None else merged(before or new(place), change)))
        try:
            yield
        finally:
            self.act(lambda: self._write(place, self.api.get(*place), before))

    def _write(self, place: Place, present: Object | None, wanted: Object | None) -> None:
        if wanted is None:
            self.api.delete(*place)
            return
        plain = {k: v for k, v in wanted["metadata"].items() if k not in ("resourceVersion", "uid", "managedFields")}
        body = {**wanted, "metadata": plain}
        if present is None:
            self.api.create(body)
        else:
            fresh = self.api.get(*place) or present
            self.api.update({**body, "metadata": plain | {"resourceVersion": fresh["metadata"]["resourceVersion"]}})
        if wanted.get("status") != (present or {}).get("status") and "status" in wanted:
            self.api.set_status(wanted, **wanted["status"])

    @property
    def altering(self) -> list[str]:
        """Commands that altered a host."""
        return [command for machine in self.machines.values() for command in (*machine.altering, *machine.written)]

    def forget_history(self) -> None:
        for machine in self.machines.values():
            machine.commands.clear()
            machine.files.written.clear()

    def objects(self) -> dict[str, Object]:
        """What is declared in the cluster, to compare; when its controllers have nothing more to do."""
        self.do(self.api.settled())
        return self.act(self.api.snapshot)


def new(place: Place) -> Object:
    version, kind, name, namespace = place
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def merged(old: Any, change: Any) -> Any:
    """A merge patch: null takes a field out, lists are replaced."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
