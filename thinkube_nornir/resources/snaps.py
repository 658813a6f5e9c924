"""Snap: installed, on its channel, with its refreshes held.

Source: canonical/snapd@2.66.1 cmd/snap/cmd_list.go
Source: canonical/snapd@2.66.1 cmd/snap/cmd_snap_op.go
Source: canonical/snapd@2.66.1 cmd/snap/notes.go
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.context import context, is_managed
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import change, read, run, undo
from thinkube_nornir.resources.base import Resource, State, resolve
from thinkube_nornir.resources.snapd import WORK, await_idle, order

_HOLD, _CHANNEL, _ENABLED = "snap-hold", "snap-channel", "snap-enabled"
"""Beginnings of the records' keys."""
_SEEDED = 300.0  # seconds, of a machine that was just installed
_WORK = 900.0  # seconds: 200 MB over a slow line; a remove hook and gigabytes of images to delete


@dataclass(frozen=True)
class Found:
    version: str
    channel: str
    """What it tracks: `1.35/stable`."""
    notes: frozenset[str] = frozenset()
    """`classic`, `held`, `disabled`."""


def parse_snap(done: Completed) -> Found | None:
    """Read `snap list NAME`: name, version, revision, tracking, publisher, notes. None when it is not installed."""
    lines = done.text.splitlines()
    if done.status != 0 or len(lines) < 2:
        return None
    _, version, _, channel, *_, notes = lines[1].split()
    return Found(version, channel, frozenset(notes.split(",")) - {"-"})


def snap(name: str) -> Fact[Found | None]:
    return Fact(f"snap {name}", ("snap", "list", name), parse_snap, accept=None)


@dataclass(frozen=True)
class Snap(Resource):
    """A snap of the store.

    Args:
        held: snapd does not move it to another version by itself, at a time of its own choice.
        note: what else is recorded as it was before the installation, for steps that clear what the snap leaves behind.
        keeps_record: after the removal the record stays, until such a step is done with it.
    """

    snap: str
    channel: str | Callable[[Task], str] = "latest/stable"
    classic: bool = False
    held: bool = False
    note: Callable[[Task], Mapping[str, Any]] = lambda _: {}
    keeps_record: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        return "snap", self.snap

    @property
    def key(self) -> str:
        """Of the installation, if that is managed; what was there before us has records for channel and hold."""
        return f"snap:{self.snap}"

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        return snap(self.snap), WORK

    def state(self, task: Task) -> State:
        found, channel = read(task, snap(self.snap)), resolve(task, self.channel)
        expected = f"{self.snap} follows {channel}" + (", refreshes held" if self.held else "")
        if found is None:
            return State(expected, "not installed", f"{self.snap} is not installed")
        seen = f"{self.snap} {found.version} follows {found.channel}, notes: {', '.join(sorted(found.notes)) or 'none'}"
        wrong = ""
        if "disabled" in found.notes:
            wrong = f"{self.snap} is disabled"
        elif found.channel != channel:
            wrong = f"{self.snap} follows {found.channel}, not {channel}"
        elif self.held and "held" not in found.notes:
            wrong = f"refreshes of {self.snap} are not held"
        return State(expected, seen, wrong)

    def set_up(self, task: Task) -> Result:
        """What is read about a snap while snapd works on it is not what will be."""
        await_idle(task, self.snap)
        return super().set_up(task)

    def apply(self, task: Task) -> Result:
        found, channel = read(task, snap(self.snap)), resolve(task, self.channel)
        results = []
        if found is None:
            results.append(self._install(task, channel))
        elif "disabled" in found.notes:
            argv: tuple[str, ...] = ("snap", "enable", self.snap)
            results.append(self._change(task, f"enable {self.snap}", *argv, kind=_ENABLED))
        if found is not None and found.channel != channel:
            results.append(self._move(task, found.channel, channel))
        if self.held and (found is None or "held" not in found.notes):
            argv = ("snap", "refresh", "--hold", self.snap)
            results.append(self._change(task, f"hold refreshes of {self.snap}", *argv, kind=_HOLD))
        return all_of(task, *results)

    def restore(self, task: Task) -> Result:
        """What was there before us gets back its channel, and what it had of holds and the like."""
        if not is_managed(task, self.key):
            return self._given_back(task)
        await_idle(task, self.snap)
        there = read(task, snap(self.snap)) is not None
        if not there and self.keeps_record:
            return unchanged(task, f"{self.snap} is not installed")
        argv = ("snap", "remove", "--purge", self.snap)  # without the snapshot that snapd would take
        if self.keeps_record:
            return self._ordered(task, f"remove {self.snap}", *argv, timeout=_WORK)
        return self._undo(task, self.key, f"remove {self.snap}", *(argv if there else ()))

    def _install(self, task: Task, channel: str) -> Result:
        run(task, "snap", "wait", "system", "seed.loaded", root=True, timeout=_SEEDED)
        argv = ("snap", "install", self.snap, *["--classic"] * self.classic, f"--channel={channel}")
        before = dict(self.note(task))
        return self._ordered(task, f"install {self.snap} {channel}", *argv, key=self.key, before=before, timeout=_WORK)

    def _move(self, task: Task, previous: str, channel: str) -> Result:
        argv, before = ("snap", "refresh", self.snap, f"--channel={channel}"), {"channel": previous}
        return self._change(task, f"move {self.snap} from {previous} to {channel}", *argv, kind=_CHANNEL, before=before)

    def _change(self, task: Task, summary: str, *argv: str, kind: str, before: Any = None) -> Result:
        """Of what was there before us each has a record of its own; one that was installed goes as a whole."""
        key = None if is_managed(task, self.key) else f"{kind}:{self.snap}"
        return self._ordered(task, summary, *argv, key=key, before=before, timeout=_WORK)

    def _ordered(self, task: Task, summary: str, *argv: str, **options: Any) -> Result:
        return order(task, self.snap, lambda: change(task, summary, *argv, root=True, **options))

    def _given_back(self, task: Task) -> Result:
        results = []
        for kind, summary, words in (
            (_HOLD, "no longer hold refreshes of {snap}", ("snap", "refresh", "--unhold", "{snap}")),
            (_CHANNEL, "move {snap} back to {channel}", ("snap", "refresh", "{snap}", "--channel={channel}")),
            (_ENABLED, "disable {snap}", ("snap", "disable", "{snap}")),
        ):
            if record := context(task).change_log.managed(task.host.name, f"{kind}:{self.snap}"):
                text, *argv = (word.format(snap=self.snap, **record.before) for word in (summary, *words))
                there = read(task, snap(self.snap)) is not None
                results.append(self._undo(task, record.key, text, *(argv if there else ())))
        return all_of(task, *results) if results else unchanged(task, f"{self.snap} is not managed")

    def _undo(self, task: Task, key: str, summary: str, *argv: str) -> Result:
        return order(task, self.snap, lambda: undo(task, key, summary, *argv, root=True, timeout=_WORK))
