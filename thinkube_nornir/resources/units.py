"""Unit: a systemd unit that runs, is enabled, and has loaded what its files say.

Source: systemd/systemd@00c87c57a908 src/shared/bus-print-properties.c
Source: systemd/systemd@0086ef19cb9f src/systemctl/systemctl-show.c
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.change_log import Change
from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.component import Step
from thinkube_nornir.context import context
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.resources.base import Resource, State, named

_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "ExecMainStartTimestamp",
    "InactiveExitTimestamp",
)
_START = 150.0  # seconds; systemd's own DefaultTimeoutStartSec is 90, and a stop comes before
_ENABLED = ("enabled", "enabled-runtime")
_NOT_ENABLED = ("disabled", "enabled-runtime", "linked", "linked-runtime")
"""Unit file states that `enable` changes; others, as `static`, have nothing that it could change."""


@dataclass(frozen=True)
class Found:
    """What systemd knows of a unit."""

    load: str
    """`loaded`, `not-found`, `masked` ..."""
    active: str
    """`active`, `inactive`, `failed`, `activating` ..."""
    enabled: str
    """`enabled`, `disabled`, `static` ...; empty for a unit without a file."""
    stale: bool
    """Its file is newer than what systemd has read of it."""
    started: float | None
    """Seconds since the epoch; None when it never was."""


def parse_unit(done: Completed) -> Found:
    """Read `systemctl show`: a property a line, and a time that never was is empty."""
    found = dict(line.partition("=")[::2] for line in done.text.splitlines())
    started = found.get("ExecMainStartTimestamp") or found.get("InactiveExitTimestamp") or ""
    return Found(
        found["LoadState"],
        found["ActiveState"],
        found.get("UnitFileState", ""),
        found.get("NeedDaemonReload") == "yes",
        parse_time(started) if started else None,
    )


def parse_time(text: str) -> float:
    """Seconds since the epoch of what `--timestamp=us+utc` makes systemctl print.

    >>> parse_time("Thu 1970-01-01 00:01:00.500000 UTC")
    60.5
    """
    _, _, date = text.partition(" ")
    return datetime.strptime(date, "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC).timestamp()


def unit(name: str) -> Fact[Found]:
    argv = ("systemctl", "show", "--timestamp=us+utc", f"--property={','.join(_PROPERTIES)}", name)
    return Fact(f"unit {name}", argv, parse_unit)


def changed_at(*paths: str) -> Fact[Mapping[str, float]]:
    """When the paths were changed last, in seconds since the epoch; without those that are not there.

    The time of the last status change, which also a file that was moved here has.
    """

    def parse(done: Completed) -> Mapping[str, float]:
        pairs = (line.partition(" ") for line in done.text.splitlines())
        return {path: float(moment) for moment, _, path in pairs}

    return Fact(f"changes of {' '.join(paths)}", ("stat", "--format=%.9Z %n", *paths), parse, root=True, accept=(0, 1))


@dataclass(frozen=True)
class Unit(Resource):
    """A unit that something else has brought.

    Args:
        unit: with its ending, `chrony.service`.
        restart_on: resources, or paths of files and folders, that it reads at start. It is restarted when one of them
            was changed after it had started, by whomever, and whatever became of the run that changed it.
    """

    unit: str
    running: bool = True
    enabled: bool = True
    restart_on: tuple[Resource | str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        return "unit", self.unit

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        paths = self._paths(task)
        return (unit(self.unit), *([changed_at(*paths)] if paths else []))

    def state(self, task: Task) -> State:
        found, newer = read(task, unit(self.unit)), self._newer(task)
        expected = f"{self.unit} is {'active' if self.running else 'inactive'}"
        expected += ", starts at boot" if self.enabled else ", does not start at boot"
        seen = f"{self.unit} is {found.active}, {found.enabled or found.load}"
        if found.load in ("not-found", "masked"):
            missing = {"not-found": "is not there", "masked": "is masked"}[found.load]
            absent = found.load == "not-found" and not (self.running or self.enabled)
            return State(expected, seen, "" if absent else f"{self.unit} {missing}")
        if (found.active == "active") != self.running:
            return State(expected, seen, f"{self.unit} is {found.active}")
        if self._enabling(found):
            return State(expected, seen, f"{self.unit} is {found.enabled}")
        if newer:
            seen += f", and started before {' and '.join(newer)} changed"
            return State(expected, seen, f"{self.unit} has not loaded what {' and '.join(newer)} says now")
        return State(expected, seen)

    def apply(self, task: Task) -> Result:
        found, newer = read(task, unit(self.unit)), self._newer(task)
        results = []
        if found.stale:
            results.append(change(task, "read systemd's unit files again", "systemctl", "daemon-reload", root=True))
        if verb := self._enabling(found):
            results.append(self._changed(task, found, verb))
        if (found.active == "active") != self.running:
            results.append(self._changed(task, found, "start" if self.running else "stop"))
        elif newer:
            results.append(self._changed(task, found, "restart"))
        return all_of(task, *results) if results else unchanged(task, f"{self.unit} is as declared")

    def restore(self, task: Task) -> Result:
        """What had run before us goes on; `after_rollback` restarts it, when all that it reads is put back."""
        record = self._record(task)
        if record is None:
            return unchanged(task, f"{self.unit} is not managed")
        found = read(task, unit(self.unit))
        if found.load == "not-found":
            return self._undo(task, f"forget {self.unit}, which has gone")
        results = []
        for verb, due in (
            ("enable", record.before["enabled"] == "enabled" and found.enabled in _NOT_ENABLED),
            ("disable", record.before["enabled"] == "disabled" and found.enabled in _ENABLED),
            ("stop", not record.before["active"] and found.active == "active"),
            ("start", record.before["active"] and found.active != "active"),
        ):
            if due:
                results.append(
                    change(task, f"{verb} {self.unit}", "systemctl", verb, self.unit, root=True, timeout=_START)
                )
        if not (record.before["active"] and self.restart_on):
            results.append(self._undo(task, f"forget {self.unit}"))
        return all_of(task, *results) if results else unchanged(task, f"{self.unit} goes on as before us")

    def after_rollback(self, task: Task) -> Result:
        if self._record(task) is None:
            return unchanged(task, f"{self.unit} is not managed")
        if read(task, unit(self.unit)).load == "not-found":
            return self._undo(task, f"forget {self.unit}, which has gone")
        argv = ("systemctl", "restart", self.unit)
        return self._undo(task, f"restart {self.unit} with what it read before", *argv)

    @property
    def last_step(self) -> Step | None:
        if not self.restart_on:
            return None
        return Step(named(self.after_rollback, f"restart_{self.name}_as_before", f"restart {self.title} as before"))

    def _enabling(self, found: Found) -> str:
        """The verb that makes it start at boot, or not, as declared; empty when it does."""
        if self.enabled:
            return "enable" if found.enabled in _NOT_ENABLED else ""
        return "disable" if found.enabled in _ENABLED else ""

    def _changed(self, task: Task, found: Found, verb: str) -> Result:
        before = {"active": found.active == "active", "enabled": found.enabled}
        argv = ("systemctl", verb, self.unit)
        return change(task, f"{verb} {self.unit}", *argv, root=True, key=self._key, before=before, timeout=_START)

    def _undo(self, task: Task, summary: str, *argv: str) -> Result:
        return undo(task, self._key, summary, *argv, root=True, timeout=_START)

    def _record(self, task: Task) -> Change | None:
        return context(task).change_log.managed(task.host.name, self._key)

    @property
    def _key(self) -> str:
        return f"unit:{self.unit}"

    def _paths(self, task: Task) -> tuple[str, ...]:
        """Those that this host shall have."""
        named = [(r,) if isinstance(r, str) else r.loaded_from(task) for r in self.restart_on]
        return tuple(dict.fromkeys(path for paths in named for path in paths))

    def _newer(self, task: Task) -> list[str]:
        """What was changed after the unit's start. In a dry run also what would be."""
        paths, started = self._paths(task), read(task, unit(self.unit)).started
        if not paths or not self.running or started is None:
            return []
        found = read(task, changed_at(*paths))
        newer = [path for path in paths if found.get(path, 0.0) > started]
        return newer or (self._promised(task) if context(task).dry_run else [])

    def _promised(self, task: Task) -> list[str]:
        wrong = [r for r in self.restart_on if isinstance(r, Resource) and not r.absent_because(task)]
        return [path for r in wrong if r.state(task).wrong for path in r.loaded_from(task)]
