"""Lessons learned: `lessons new phase5`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinkube_nornir.cli import options
from thinkube_nornir.cli.group import NamingGroup
from thinkube_nornir.reporting.terminal import Terminal

if TYPE_CHECKING:
    from thinkube_nornir.lessons.writing import Written


@click.group("lessons", cls=NamingGroup)
def lessons_verb() -> None:
    """What was learned in a phase, begun from what the journal knows."""


@lessons_verb.command("new")
@click.argument("phase", metavar="PHASE")
@options.common
def new(phase: str, config: Path, verbose: int, no_color: bool) -> int:
    """Write docs/lessons/phase_N_lessons.md, or renew what nobody edited of it.

    What failed, was repaired, was tried again or took long comes from the journal. What you write stays.
    """
    from thinkube_nornir import catalog
    from thinkube_nornir.history.reading import past_journal
    from thinkube_nornir.lessons.writing import write_lessons
    from thinkube_nornir.phase.naming import find_phase
    from thinkube_nornir.project import load_hosts

    terminal = Terminal(verbose, False if no_color else None)
    loaded, inventory, _ = load_hosts(config)
    components = catalog.load(loaded.tasks)
    found = find_phase(components, phase, "lessons")
    with past_journal(loaded) as journal:
        written = write_lessons(loaded.root, found, journal, components, inventory)
    for line in _lines(written, found.lessons):
        terminal.say(line)
    return 0


_BECAME = {
    "renewed": "renewed from the journal",
    "same": "nothing new in the journal",
    "edited": "left as it is: you edited it",
    "gone": "not written: its marks were removed",
    "broken": "left as it is: its marks are not in order",
}


def _lines(written: Written, path: Path) -> list[str]:
    from thinkube_nornir.lessons.phrases import counted
    from thinkube_nornir.lessons.writing import PARTS
    from thinkube_nornir.target import kind_of

    runs = " and ".join(
        f"{counted(len(found.runs), 'run')} on {kind_of(found.target).place}" for found in written.findings
    )
    failures = sum(failing.times for found in written.findings for failing in found.failures)
    repairs = sum(len(found.repairs) for found in written.findings)
    lines = [f"{path}: {'written' if written.created else 'brought up to date'}"]
    lines += [f"  from     {runs}", f"  found    {counted(failures, 'failure')}, {counted(repairs, 'repair')}"]
    lines += [f"  {_BECAME[state]:<44}{PARTS[name]}" for name, state in written.states.items()]
    return [*lines, "next   open it, and write what you learned below what the journal knows"]
