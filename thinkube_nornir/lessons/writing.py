"""Writes a phase's lessons: a new file, or the parts of one that nobody edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thinkube_nornir import text_file
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.lessons import phrases
from thinkube_nornir.lessons.findings import Findings, findings
from thinkube_nornir.lessons.parts import State, part, renewed
from thinkube_nornir.lessons.past import read_runs
from thinkube_nornir.lessons.practices import Practice, practices
from thinkube_nornir.reporting.rendering import render

if TYPE_CHECKING:
    from nornir.core.inventory import Inventory

    from thinkube_nornir.catalog import Catalog
    from thinkube_nornir.journal import Journal
    from thinkube_nornir.phase.naming import Phase

PARTS: Mapping[str, str] = {
    "challenges": "Challenges",
    "solutions": "Solutions",
    "improvements": "Improvements",
    "best-practices": "Best Practices Identified",
}
"""Name of a part to the heading above it, in the order of the file."""


@dataclass(frozen=True)
class Written:
    path: Path
    created: bool
    states: Mapping[str, State]
    """What became of each part of a file that was there."""
    findings: tuple[Findings, ...]


def write_lessons(root: Path, phase: Phase, journal: Journal, catalog: Catalog, inventory: Inventory) -> Written:
    """
    Raises:
        ConfigError: nothing of the phase was run, or the file cannot be written.
    """
    runs = read_runs(journal, phase.name)
    found = findings(runs)
    if not found:
        fix = f"run it first: run {phase.name}"
        raise ConfigError([Problem("lessons", f"nothing is known of {phase.name}: it was never run", fix)])
    proven = {each.target: practices(runs, each.target, phase.name, catalog, inventory) for each in found}
    texts = {name: _text(name, found, proven) for name in PARTS}
    path = root / phase.lessons
    became: dict[str, State] = {}

    def change(content: bytes | None) -> bytes:
        became.clear()
        if content is None:
            return _new(phase, texts).encode()
        after, states = renewed(content, texts)
        became.update(states)
        return after

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text_file.update(path, change)
    except OSError as error:
        fix = "docs/lessons has to be a folder in which you may write"
        raise ConfigError([Problem(str(phase.lessons), f"cannot be written: {error.strerror}", fix)]) from None
    return Written(path, not became, became, found)


def _text(name: str, found: Sequence[Findings], proven: Mapping[str, Sequence[Practice]]) -> str:
    return render(f"lessons_{name}.md.j2", findings=found, practices=proven, phrases=phrases)


def _new(phase: Phase, texts: Mapping[str, str]) -> str:
    parts = [(heading, part(name, texts[name])) for name, heading in PARTS.items()]
    return render("lessons.md.j2", phase=phase.name, number=phase.number, name=phase.title, parts=parts)
