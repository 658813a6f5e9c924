"""What differs between two runs. Pure.

Two runs are compared step by step, a step being one of one component's chain on one host. What failed comes first, then
what was not run, what changed, what checks saw: a step stands under the first of these that it belongs to, and beside
that under its time, when it took notably longer or shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from thinkube_nornir.component import CHECKS
from thinkube_nornir.history.moments import local
from thinkube_nornir.history.runs import PastRun, duration, words
from thinkube_nornir.inputs import Inputs, Settings
from thinkube_nornir.journal import NodeRecord
from thinkube_nornir.target import kind_of

NOTABLE_SECONDS = 1.0
NOTABLE_RATIO = 1.5
"""A step took notably longer or shorter when both are reached."""

RULE = f"by {NOTABLE_SECONDS:g} s and a factor of {NOTABLE_RATIO:g} or more"

KINDS: Mapping[str, str] = {
    "failed": "failed, and did not before",
    "repaired": "repaired",
    "still_failed": "failed in both",
    "not_run": "not run any more",
    "run_again": "run, and was not before",
    "changed": "changed something, and did not before",
    "settled": "had nothing left to change",
    "seen": "checks that saw something else",
    "only_old": "only in the first",
    "only_new": "only in the second",
    "slower": f"took longer ({RULE})",
    "faster": f"took less time ({RULE})",
}
"""Each kind's title, in the order in which they are shown."""

_NAMED = ("settled", "only_old", "only_new")
"""Kinds of which the names of the steps say enough."""

_RAN = ("changed", "planned", "passed", "unchanged")
_ALTERED = ("changed", "planned")


@dataclass(frozen=True)
class Pair:
    """One step in both runs; None where it is not."""

    old: NodeRecord | None
    new: NodeRecord | None

    @property
    def node(self) -> NodeRecord:
        found = self.new or self.old
        assert found  # noqa: S101 one of them is there, or there would be no pair
        return found


@dataclass(frozen=True)
class Fact:
    """Something that the runs were given or came to, and that differs."""

    name: str
    old: str
    new: str
    kind: str = "run"
    """`run`, `commit`, `file` or `setting`."""
    hosts: tuple[str, ...] = ()
    """Of a setting: those on which it differs so."""


@dataclass(frozen=True)
class Difference:
    old: PastRun
    new: PastRun
    facts: tuple[Fact, ...] = ()
    steps: Mapping[str, tuple[Pair, ...]] = field(default_factory=dict)
    """Kind to what is of it; kinds that nothing is of are left out."""

    @property
    def nothing(self) -> bool:
        return not self.facts and not self.steps


def compare(old: PastRun, new: PastRun, old_inputs: Inputs, new_inputs: Inputs) -> Difference:
    pairs = _pairs(old.nodes, new.nodes)
    kinds: dict[str, list[Pair]] = {name: [] for name in KINDS}
    for pair in pairs:
        for kind in (_kind(pair), _pace(pair)):
            if kind:
                kinds[kind].append(pair)
    steps = {kind: tuple(found) for kind, found in kinds.items() if found}
    return Difference(old, new, (*_asked(old, new), *_given(old_inputs, new_inputs)), steps)


def _pairs(old: Sequence[NodeRecord], new: Sequence[NodeRecord]) -> list[Pair]:
    """Pair the steps, in the order of the second run, with what only the first one had at the end."""
    before, after = ({node.node: node for node in nodes} for nodes in (old, new))
    return [
        Pair(before.get(name), after.get(name)) for name in [*after, *(name for name in before if name not in after)]
    ]


def _kind(pair: Pair) -> str:
    if pair.new is None:
        return "only_old"
    if pair.old is None:
        return "failed" if pair.new.outcome == "failed" else "only_new"
    then, now = pair.old.outcome, pair.new.outcome
    rules: Iterable[tuple[str, bool]] = (
        ("still_failed", then == now == "failed"),
        ("failed", now == "failed"),
        ("repaired", then == "failed" and now in _RAN),
        ("not_run", then in (*_RAN, "failed") and now not in _RAN),
        ("run_again", then not in _RAN and now in _RAN),
        ("changed", now in _ALTERED and then not in _ALTERED),
        ("settled", then in _ALTERED and now not in _ALTERED),
        ("seen", pair.new.chain in CHECKS and now in _RAN and pair.old.message != pair.new.message),
    )
    return next((kind for kind, holds in rules if holds), "")


def _pace(pair: Pair) -> str:
    """Only steps that did the same are compared: to install takes longer than to see that it is installed."""
    if pair.old is None or pair.new is None or pair.old.outcome != pair.new.outcome or pair.new.outcome not in _RAN:
        return ""
    then, now = pair.old.duration, pair.new.duration
    if abs(now - then) < NOTABLE_SECONDS or max(then, now) < NOTABLE_RATIO * min(then, now):
        return ""
    return "slower" if now > then else "faster"


def _asked(old: PastRun, new: PastRun) -> list[Fact]:
    readers: Mapping[str, Callable[[PastRun], str]] = {
        "verdict": lambda past: past.verdict,
        "command": lambda past: f"{past.run.verb} {words(past.run)}",
        "target": _target,
        "hosts": lambda past: ", ".join(past.hosts),
        "time": _time,
    }
    found = [Fact(name, read(old), read(new)) for name, read in readers.items()]
    return [fact for fact in found if fact.old != fact.new and (fact.name != "time" or _paced(old, new))]


def _target(past: PastRun) -> str:
    """Disposable hosts that were started anew are other hosts."""
    since = past.run.scope.rpartition(" ")[2] if kind_of(past.run.scope).disposable else ""
    return f"{past.run.target} started at {local(float(since))}" if since else past.run.target


def _time(past: PastRun) -> str:
    seconds = duration(past.run)
    return "unknown" if seconds is None else f"{seconds:.1f} s"


def _paced(old: PastRun, new: PastRun) -> bool:
    then, now = duration(old.run), duration(new.run)
    if then is None or now is None:
        return then is not now
    return abs(now - then) >= NOTABLE_SECONDS and max(then, now) >= NOTABLE_RATIO * min(then, now)


def _given(old: Inputs, new: Inputs) -> list[Fact]:
    """Nothing is said of what is not known of one of them, as in journals of earlier versions."""
    facts = [Fact("commit", _commit(old), _commit(new), "commit")] if old.revision and new.revision else []
    if old.files and new.files:
        facts += [Fact(path, then or "", now or "", "file") for path, then, now in _changed(old.files, new.files)]
    if old.settings and new.settings:
        facts += _settings(old.settings, new.settings)
    return [fact for fact in facts if fact.old != fact.new]


def _commit(inputs: Inputs) -> str:
    return inputs.revision[:12] + (" and local changes" if inputs.modified else "")


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(name, old.get(name), new.get(name)) for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


def _settings(old: Settings, new: Settings) -> list[Fact]:
    """One that differs alike on several hosts is one fact."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for host, then, now in _changed(old, new):
        for name, before, after in _changed(then or {}, now or {}):
            alike.setdefault((name, _value(before), _value(after)), []).append(host)
    return [Fact(*key, "setting", tuple(hosts)) for key, hosts in alike.items()]


def _value(value: Any) -> str:
    return "not set" if value is None else str(value)


@dataclass(frozen=True)
class AlikeSteps:
    """Steps of one kind that are shown in one line: the same step on several hosts."""

    component: str
    chain: str
    step: str
    hosts: tuple[str, ...]
    old: str
    new: str


def alike_steps(kind: str, pairs: Iterable[Pair]) -> list[AlikeSteps]:
    alike: dict[tuple[str, str, str, str, str], list[str]] = {}
    for pair in pairs:
        node = pair.node
        alike.setdefault((node.component, node.chain, node.step, *_words(kind, pair)), []).append(node.host)
    return [AlikeSteps(*key[:3], tuple(sorted(hosts)), *key[3:]) for key, hosts in alike.items()]


def _words(kind: str, pair: Pair) -> tuple[str, str]:
    """Then and now, in the words that matter for this kind."""
    if kind in _NAMED:
        return "", ""
    if kind in ("slower", "faster"):
        return _seconds(pair.old), _seconds(pair.new)
    return _said(pair.old, kind), _said(pair.new, kind)


def _seconds(node: NodeRecord | None) -> str:
    return f"{node.duration:.1f} s" if node else ""


def _said(node: NodeRecord | None, kind: str) -> str:
    if node is None:
        return ""
    message = (node.error["what"] if node.error else node.message).strip()
    outcome = node.outcome or "unfinished"
    return message if kind == "seen" else f"{outcome}: {message}" if message else outcome
