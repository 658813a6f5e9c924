"""Addons: those of MicroK8s that are on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nornir.core.task import Result, Task

from tasks.shared.microk8s.distribution import ALWAYS_ON, addon, is_installed, where_installed, without_addon
from tasks.shared.microk8s.facts import STATUS
from thinkube_nornir.command import Fact
from thinkube_nornir.outcome import all_of
from thinkube_nornir.remote import read
from thinkube_nornir.resources import Resource, State


@dataclass(frozen=True)
class Addons(Resource):
    """What is turned on in a MicroK8s that was there before us is turned off again; a managed one goes as a whole.

    Args:
        addons: their names.
        launched: those that the launch configuration turns on: a plan for a bare host does not promise them.
    """

    addons: Callable[[Task], Sequence[str]]
    launched: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        return ("addons",)

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:  # noqa: ARG002 the same on each host
        return (STATUS,)

    def state(self, task: Task) -> State:
        found, wanted = read(task, STATUS).addons, self.addons(task)
        off = [name for name in wanted if not found.get(name)]
        on = ", ".join(name for name, enabled in found.items() if enabled) or "none"
        return State(f"on: {', '.join(wanted)}", f"on: {on}", (off and f"addons are not on: {', '.join(off)}") or "")

    def apply(self, task: Task) -> Result:
        coming = () if is_installed(task) else (*self.launched, *ALWAYS_ON)
        return all_of(task, *(addon(task, name) for name in self.addons(task) if name not in coming))

    def restore(self, task: Task) -> Result:
        return all_of(task, *(without_addon(task, name) for name in self.addons(task)))

    def check(self, task: Task) -> Result:
        return where_installed(super().check)(task)
