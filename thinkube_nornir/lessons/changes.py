"""What was changed between two runs: settings, files, commit, and what runs themselves changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from thinkube_nornir.inputs import Settings
from thinkube_nornir.lessons.past import Attempt, PhaseRun

_ABSENT = object()


@dataclass(frozen=True)
class SettingChange:
    name: str
    before: str
    """JSON; empty where it was not set."""
    after: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Changes:
    settings: tuple[SettingChange, ...] = ()
    files: tuple[str, ...] = ()
    """Those that are new, gone, or other."""
    commits: tuple[str, str] | None = None
    steps: tuple[str, ...] = ()
    """`phase5.coredns.apply_corefile`: steps that changed something, and are not the one in question."""
    new_hosts: bool = False
    known: bool = True
    """Whether the journal has what both runs were given."""

    @property
    def none(self) -> bool:
        """Whether nothing differs, and that is known."""
        return self.known and not (self.settings or self.files or self.steps or self.new_hosts)


def changes_between(runs: Sequence[PhaseRun], pairs: Sequence[tuple[Attempt, Attempt]]) -> Changes:
    """What was changed after the first of each pair's attempts and before the second one.

    Args:
        runs: all that may have changed something.
        pairs: not empty; attempts in the same two runs.
    """
    before, after = pairs[0][0].run, pairs[0][1].run
    known = before.known and after.known
    commits = (before.inputs.revision, after.inputs.revision)
    return Changes(
        settings=tuple(_settings(before.inputs.settings, after.inputs.settings)) if known else (),
        files=tuple(_files(before, after)) if known else (),
        commits=commits if all(commits) and commits[0] != commits[1] else None,
        steps=tuple(dict.fromkeys(_steps(runs, pairs))),
        new_hosts=before.run.scope != after.run.scope,
        known=known,
    )


def _settings(before: Settings, after: Settings) -> Iterator[SettingChange]:
    """The same change on several hosts is one; hosts that are new or gone are told by the inventory's files."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for host in before:
        for name in sorted(before[host].keys() | after.get(host, {}).keys()) if host in after else ():
            old, new = before[host].get(name, _ABSENT), after[host].get(name, _ABSENT)
            if old != new:
                found.setdefault((name, _shown(old), _shown(new)), []).append(host)
    for (name, shown, now), hosts in found.items():
        yield SettingChange(name, shown, now, tuple(hosts))


def _shown(value: Any) -> str:
    return "" if value is _ABSENT else json.dumps(value, ensure_ascii=False)


def _files(before: PhaseRun, after: PhaseRun) -> Iterator[str]:
    old, new = before.inputs.files, after.inputs.files
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) != new.get(path):
            yield path


def _steps(runs: Sequence[PhaseRun], pairs: Sequence[tuple[Attempt, Attempt]]) -> Iterator[str]:
    first, last = pairs[0][0].run.run.id, pairs[0][1].run.run
    since = min(attempt.node.finished or attempt.node.started for attempt, _ in pairs)
    until = max(attempt.node.started for _, attempt in pairs)
    own = {(attempt.node.component, attempt.node.step) for attempt, _ in pairs}
    for run in runs:
        if first <= run.run.id <= last.id and run.run.scope == last.scope:
            for node in run.changed:
                if since <= node.started <= until and (node.component, node.step) not in own:
                    yield f"{node.component}.{node.step}"
