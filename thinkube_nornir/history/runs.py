"""Which past runs are meant: by name, and by what is asked of all of them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.journal import Journal, NodeRecord, Run

_CLOCKS_DIFFER = 2.0
"""Seconds by which the kernel's time of a process's begin, which counts from a whole second, may be too late."""

VERDICTS = ("green", "pending", "failed", "interrupted", "killed", "running")


@dataclass(frozen=True)
class PastRun:
    run: Run
    nodes: tuple[NodeRecord, ...]
    """In the order in which they started; what was never started is not known."""

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(node.outcome or "unfinished" for node in self.nodes)

    @property
    def verdict(self) -> str:
        return verdict(self.run, self.counts)

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(sorted({node.host for node in self.nodes}))

    @property
    def components(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(node.component for node in self.nodes))


def verdict(run: Run, counts: Counter[str]) -> str:
    """One of VERDICTS: what the run itself said when it ended, or why it said nothing."""
    if run.outcome is None:
        return "running" if _is_alive(run) else "killed"
    if run.outcome == "done":
        return "pending" if run.dry_run and counts["planned"] else "green"
    return run.outcome


def _is_alive(run: Run) -> bool:
    """Whether the process that began the run is there. One that began after the run got its number later."""
    try:
        os.kill(run.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    begun = _begun(run.pid)
    return begun is None or begun <= run.started + _CLOCKS_DIFFER


def _begun(pid: int) -> float | None:
    """When a process began, in seconds since the epoch; None where the kernel does not say it as Linux does."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")


def duration(run: Run) -> float | None:
    """Seconds; None for what never ended."""
    return None if run.finished is None else max(0.0, run.finished - run.started)


def words(run: Run) -> str:
    """What was asked for, as it was typed."""
    limit = ["-l", run.hosts] if run.hosts else []
    dry_run = ["--dry-run"] if run.dry_run and run.verb != "plan" else []
    return " ".join([*run.selection, *limit, *dry_run])


def named(journal: Journal, name: str, verb: str) -> Run:
    """The run with a number, `last`, or `last-2`: the second before the last.

    Raises:
        ConfigError: there is no such run.
    """
    back = re.fullmatch(r"last(?:-([0-9]{1,9}))?", name)
    if not back and not re.fullmatch(r"[0-9]{1,4000}", name):
        fix = did_you_mean(name, ["last", "last-1"], "a run is a number, last, or last-1")
        raise ConfigError([Problem(verb, f"{name if len(name) < 60 else name[:57] + '...'} is no run", fix)])
    latest = journal.runs(1)
    if not latest:
        raise ConfigError([Problem(verb, "there are no runs yet")])
    if back:
        runs = journal.runs(int(back[1] or 0) + 1)
        found = runs[-1] if len(runs) > int(back[1] or 0) else None
    else:
        found = journal.run(int(name)) if 0 < int(name) <= latest[0].id else None
    if found is None:
        raise ConfigError([Problem(verb, f"there is no run {name}", f"the last one is {latest[0].id}")])
    return found


def past_run(journal: Journal, run: Run) -> PastRun:
    return PastRun(run, tuple(journal.nodes(run.id)))


@dataclass(frozen=True)
class Wanted:
    """What is asked of a run; empty is anything."""

    verbs: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    selections: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    target: str = ""
    since: float = 0.0


@dataclass(frozen=True)
class Listed:
    run: Run
    counts: Counter[str]
    verdict: str


def matching(journal: Journal, wanted: Wanted) -> list[Run]:
    """All runs that are wanted, newest first."""
    on = journal.runs_on(wanted.hosts) if wanted.hosts else None
    return [
        run
        for run in journal.runs(-1)
        if run.started >= wanted.since
        and (on is None or run.id in on)
        and _asked(run, wanted)
        and (not wanted.verdicts or _verdict(journal, run) in wanted.verdicts)
    ]


def _verdict(journal: Journal, run: Run) -> str:
    return verdict(run, journal.counts(run.id) if run.dry_run else Counter())


def listed(journal: Journal, run: Run) -> Listed:
    counts = journal.counts(run.id)
    return Listed(run, counts, verdict(run, counts))


def _asked(run: Run, wanted: Wanted) -> bool:
    return (
        (not wanted.verbs or run.verb in wanted.verbs)
        and (not wanted.target or run.target == wanted.target)
        and all(any(overlap(word, name) for word in run.selection) for name in wanted.selections)
    )


def overlap(word: str, name: str) -> bool:
    """Whether two words of selections mean something in common: a phase has its components, `all` has everything."""
    return "all" in (word, name) or word == name or word.startswith(f"{name}.") or name.startswith(f"{word}.")


def counted(words: Iterable[str], order: Sequence[str]) -> str:
    """
    >>> counted(["failed", "green", "green"], ["green", "failed"])
    '2 green, 1 failed'
    """
    counts = Counter(words)
    return ", ".join(f"{counts[word]} {word}" for word in order if counts[word])


def previous(journal: Journal, run: Run) -> Run | None:
    """The last run before this one that was asked for the same, on the same kind of target."""

    def asked(other: Run) -> tuple[object, ...]:
        return other.verb, other.selection, other.hosts, other.dry_run, other.target

    return next((other for other in journal.runs(-1) if other.id < run.id and asked(other) == asked(run)), None)
