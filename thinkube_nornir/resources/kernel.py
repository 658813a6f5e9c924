"""KernelParameter and KernelModule: as they are now, and as sysctl.d(5) and modules-load.d(5) make them at boot."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.context import context
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.resources.base import Resource, State, resolve
from thinkube_nornir.resources.files import File


@dataclass(frozen=True)
class _Kernel(Resource):
    """What the two have in common: a file for the next boot, and the state of now."""

    @abstractmethod
    def file(self, task: Task) -> File: ...

    @abstractmethod
    def live(self, task: Task) -> State: ...

    @abstractmethod
    def apply_live(self, task: Task) -> Result: ...

    @abstractmethod
    def restore_live(self, task: Task) -> Result: ...

    def loaded_from(self, task: Task) -> tuple[str, ...]:
        return self.file(task).loaded_from(task)

    def state(self, task: Task) -> State:
        live = self.live(task)
        return live if live.wrong else self.file(task).state(task)

    def apply(self, task: Task) -> Result:
        file = self.file(task)
        results = [file.apply(task)] if file.state(task).wrong else []
        return all_of(task, *results, *([self.apply_live(task)] if self.live(task).wrong else []))

    def restore(self, task: Task) -> Result:
        return all_of(task, self.file(task).restore(task), self.restore_live(task))


@dataclass(frozen=True)
class KernelParameter(_Kernel):
    """A value that sysctl knows: `KernelParameter("net.ipv4.ip_forward", "1")`."""

    parameter: str
    value: str | Callable[[Task], str]

    @property
    def words(self) -> tuple[str, ...]:
        return "sysctl", self.parameter

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        return (*self.file(task).facts(task), sysctl(self.parameter))

    def file(self, task: Task) -> File:
        path = f"/etc/sysctl.d/90-{self.parameter.replace('/', '-')}.conf"
        return File(path, f"{self.parameter} = {resolve(task, self.value)}\n")

    def live(self, task: Task) -> State:
        wanted, found = resolve(task, self.value), read(task, sysctl(self.parameter))
        expected = f"{self.parameter} = {wanted}"
        if found is None:
            return State(expected, "unknown", f"the kernel has no {self.parameter}")
        wrong = f"{self.parameter} is {found}, not {wanted}" if found != " ".join(wanted.split()) else ""
        return State(expected, f"{self.parameter} = {found}", wrong)

    def apply_live(self, task: Task) -> Result:
        value, before = resolve(task, self.value), {"value": read(task, sysctl(self.parameter))}
        argv = ("sysctl", "-w", f"{self.parameter}={value}")
        return change(task, f"set {self.parameter} to {value}", *argv, root=True, key=self._key, before=before)

    def restore_live(self, task: Task) -> Result:
        record = context(task).change_log.managed(task.host.name, self._key)
        if record is None:
            return unchanged(task, f"{self.parameter} is not managed")
        value = record.before["value"]
        if value is None or read(task, sysctl(self.parameter)) is None:
            return undo(task, self._key, f"forget {self.parameter}, which has gone", root=True)
        argv = ("sysctl", "-w", f"{self.parameter}={value}")
        return undo(task, self._key, f"set {self.parameter} to {value} again", *argv, root=True)

    @property
    def _key(self) -> str:
        return f"sysctl:{self.parameter}"


def parse_value(done: Completed) -> str | None:
    """Read `sysctl -n`, which divides several numbers with tabs; None for what the kernel does not have."""
    return " ".join(done.text.split()) if done.status == 0 else None


def sysctl(parameter: str) -> Fact[str | None]:
    """Status 255 says that there is no such parameter, and 1 that it cannot be read."""
    return Fact(f"sysctl {parameter}", ("sysctl", "-n", parameter), parse_value, root=True, accept=(0, 1, 255))


@dataclass(frozen=True)
class KernelModule(_Kernel):
    """A module that is loaded, now and at each boot. One that is built in is loaded always."""

    module: str

    @property
    def words(self) -> tuple[str, ...]:
        return "module", self.module

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        return (*self.file(task).facts(task), module(self.module))

    def file(self, task: Task) -> File:
        return File(f"/etc/modules-load.d/{self.module}.conf", f"{self.module}\n")

    def live(self, task: Task) -> State:
        loaded = read(task, module(self.module))
        expected, wrong = f"{self.module} loaded", f"module {self.module} is not loaded"
        return State(expected, expected if loaded else "not loaded", "" if loaded else wrong)

    def apply_live(self, task: Task) -> Result:
        argv = ("modprobe", self.module)
        return change(task, f"load module {self.module}", *argv, root=True, key=self._key)

    def restore_live(self, task: Task) -> Result:
        """One that is in use stays until the next boot."""
        argv = ("modprobe", "--remove", "--quiet", self.module)
        loaded = (
            read(task, module(self.module)) if context(task).change_log.managed(task.host.name, self._key) else False
        )
        summary = f"unload module {self.module} unless it is in use"
        return undo(task, self._key, summary, *(argv if loaded else ()), root=True, accept=(0, 1))

    @property
    def _key(self) -> str:
        return f"module:{self.module}"


# A module that is built in has a folder below /sys/module only if it has parameters or a version.
_LOADED = r"""
[ -d "/sys/module/$1" ] || grep -qs "/$1[.]ko" "/lib/modules/$(uname -r)/modules.builtin"
"""


def module(name: str) -> Fact[bool]:
    """The kernel writes all names with underscores, and files may have dashes."""
    argv = ("sh", "-c", _LOADED, "thinkube:module", name.replace("-", "_"))
    return Fact(f"module {name}", argv, lambda done: done.status == 0, accept=(0, 1, 2))
