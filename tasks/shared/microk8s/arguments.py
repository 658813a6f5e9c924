"""Argument: what a service of MicroK8s is given at its start, a line in its file of arguments.

MicroK8s itself writes others into the same files. Our own has some of them from the launch configuration, at its first
start; one that was there before us has to be told, and kubelite restarted, which runs all of Kubernetes' services.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nornir.core.task import Result, Task

from tasks.shared.microk8s.distribution import (
    SNAP_KEY,
    await_ready,
    is_installed,
    restart,
    restart_undone,
    where_installed,
)
from tasks.shared.microk8s.facts import DATA, arguments_file
from thinkube_nornir.context import context, is_managed
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.remote import read, undo
from thinkube_nornir.resources import Line
from thinkube_nornir.resources.units import changed_at, unit

_KUBELITE = unit("snap.microk8s.daemon-kubelite.service")
_RESTART = "restart:microk8s.daemon-kubelite"
_WRITTEN = f"line:{DATA}/args/"
_ARGUMENTS = changed_at(*(arguments_file(service) for service in ("kubelet", "kube-apiserver")))


@dataclass(frozen=True)
class Argument(Line):
    """Given once, with one value.

    Args:
        service: whose it is.
    """

    service: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        return "argument", self.label, "of", self.service

    def set_up(self, task: Task) -> Result:
        if not is_installed(task):
            return unchanged(task, f"{self.label} comes with the installation")
        return super().set_up(task)

    def check(self, task: Task) -> Result:
        return where_installed(super().check)(task)


def argument(service: str, name: str, value: Callable[[Task], str]) -> Argument:
    """`argument("kubelet", "--node-ip", from_setting("lan_ip"))`."""
    path, pattern = arguments_file(service), f"{name}([= ].*)?"
    return Argument(path, lambda task: f"{name}={value(task)}", pattern, service, label=name)


def restart_kubelite(task: Task) -> Result:
    """When a managed argument was written since it started, also by a run that was killed before this."""
    managed = any(c.key.startswith(_WRITTEN) for c in context(task).change_log.changes(host=task.host.name))
    if not managed or not is_installed(task):
        return unchanged(task, "no argument was written")
    started = read(task, _KUBELITE).started or 0.0
    if all(moment <= started for moment in read(task, _ARGUMENTS).values()):
        return unchanged(task, "kubelite has started with its present arguments")
    result = restart(task, "kubelite", "restart kubelite with its present arguments", key=_RESTART)
    if not context(task).dry_run:
        await_ready(task)  # `snap restart` returns before the API serves
    return result


def restart_kubelite_as_before(task: Task) -> Result:
    """Of a MicroK8s that stays; managed goes as a whole."""
    if is_installed(task) and not is_managed(task, SNAP_KEY):
        return restart_undone(task, "kubelite", _RESTART)
    return undo(task, _RESTART, "forget the restart of kubelite", root=True)
