"""The verb that compares two runs: diff."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinkube_nornir.cli import options
from thinkube_nornir.cli.history import PastRunCommand
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.program import command
from thinkube_nornir.reporting.terminal import Terminal

if TYPE_CHECKING:
    from thinkube_nornir.history.difference import Difference
    from thinkube_nornir.history.runs import PastRun
    from thinkube_nornir.journal import Journal, Run


@click.command("diff", cls=PastRunCommand)
@click.argument("first", required=False)
@click.argument("second", required=False)
@click.option("--json", "as_json", is_flag=True, help="For machines: docs/history.md says what is in it.")
@options.common
def diff_verb(first: str | None, second: str | None, as_json: bool, config: Path, verbose: int, no_color: bool) -> int:
    """Show what differs between two runs.

    FIRST and SECOND are numbers, last, or last-1 for the one before. With one run, it is compared with the last one
    before it that was asked for the same on the same kind of hosts; with none, the last run is.
    """
    from thinkube_nornir.history import as_json as json_form
    from thinkube_nornir.history.difference import compare
    from thinkube_nornir.history.reading import past_journal
    from thinkube_nornir.history.runs import past_run
    from thinkube_nornir.settings.config_file import load_config

    terminal = Terminal(verbose, False if no_color else None)
    with past_journal(load_config(config)) as journal:
        old, new = _pair(journal, first, second)
        runs = past_run(journal, old), past_run(journal, new)
        found = compare(*runs, journal.inputs(old), journal.inputs(new))
    if as_json:
        terminal.raw(json_form.text(json_form.difference(found)))
    else:
        terminal.say(_text(found).rstrip("\n"))
    return 0


def _pair(journal: Journal, first: str | None, second: str | None) -> tuple[Run, Run]:
    """
    Raises:
        ConfigError: one of them is not there, or has none to be compared with.
    """
    from thinkube_nornir.history.runs import named, previous, words

    if first is not None and second is not None:
        return named(journal, first, "diff"), named(journal, second, "diff")
    new = named(journal, first or "last", "diff")
    old = previous(journal, new)
    if old is None:
        what = f"no run before {new.id} was a {new.verb} of {words(new)} on the same kind of hosts"
        raise ConfigError([Problem("diff", what, "name two runs; `history` lists them")])
    return old, new


def _text(found: Difference) -> str:
    from thinkube_nornir.history.difference import KINDS, alike_steps
    from thinkube_nornir.reporting.rendering import render

    other_verb = (
        ("only_old", "only_new") if found.old.run.verb != found.new.run.verb else ()
    )  # other chains: all of them
    kinds = [
        {
            "title": KINDS[name],
            "count": len(pairs),
            "steps": alike_steps(name, pairs) if name not in other_verb else [],
            "components": Counter(f"{p.node.component} {p.node.chain}" for p in pairs) if name in other_verb else {},
        }
        for name, pairs in found.steps.items()
    ]
    red = found.steps.keys() & {"failed", "still_failed"}
    following = ["show", str(found.new.run.id), "--failed"] if red else []
    return render(
        "diff.txt.j2",
        old=_head(found.old),
        new=_head(found.new),
        nothing=found.nothing,
        facts=found.facts,
        kinds=kinds,
        next=command(*following) if following else "",
    )


def _head(past: PastRun) -> dict[str, Any]:
    from thinkube_nornir.history.moments import local
    from thinkube_nornir.history.runs import words

    asked = f"{past.run.verb} {words(past.run)}"
    return {"id": past.run.id, "words": asked, "verdict": past.verdict, "when": local(past.run.started)}
