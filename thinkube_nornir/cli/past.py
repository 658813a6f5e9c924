"""The verbs that read the journal: history, show."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinkube_nornir.cli import options
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.reporting.terminal import Terminal

if TYPE_CHECKING:
    from thinkube_nornir.journal import NodeRecord, Run


@click.command("history")
@options.common
@click.option("-n", "--number", type=click.IntRange(1), default=20, show_default=True, help="How many runs.")
def history_verb(config: Path, verbose: int, no_color: bool, number: int) -> int:
    """List the latest runs, newest first."""
    from thinkube_nornir.reporting.matrix import table
    from thinkube_nornir.session import open_journal

    terminal = Terminal(verbose, False if no_color else None)
    with open_journal(config) as journal:
        runs = journal.runs(number)
    head = ("run", "when", "verb", "outcome", "time", "selection")
    for line in table(head, [_cells(run) for run in runs], width=terminal.width) if runs else ["no runs yet"]:
        terminal.say(line)
    return 0


def _cells(run: Run) -> tuple[str, ...]:
    limit = f" -l {run.hosts}" if run.hosts else ""
    rehearsal = " --dry-run" if run.dry_run and run.verb != "plan" else ""
    seconds = f"{run.finished - run.started:.1f} s" if run.finished else "-"
    return (str(run.id), _when(run), run.verb + rehearsal, _outcome(run), seconds, " ".join(run.selection) + limit)


def _when(run: Run) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.started))


def _outcome(run: Run) -> str:
    return run.outcome or ("running" if _is_alive(run.pid) else "killed")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@click.command("show")
@click.argument("run", type=click.IntRange(1), required=False)
@options.common
def show_verb(run: int | None, config: Path, verbose: int, no_color: bool) -> int:
    """Show what a run did; the last one without a number."""
    from thinkube_nornir.session import open_journal

    terminal = Terminal(verbose, False if no_color else None)
    with open_journal(config) as journal:
        latest = journal.runs(1)
        found = journal.run(run) if run else next(iter(latest), None)
        if found is None:
            known = f"the last one is {latest[0].id}" if latest else "there are none yet"
            raise ConfigError([Problem("show", f"there is no run {run or ''}".strip(), known)])
        nodes = journal.nodes(found.id)
    terminal.say("  ".join(_cells(found)))
    for node in nodes:
        _say_node(node, terminal)
    return 0


def _say_node(node: NodeRecord, terminal: Terminal) -> None:
    seconds = f"{node.finished - node.started:.1f} s" if node.finished else "-"
    what = node.error["what"] if node.error else node.message
    terminal.say(f"{node.outcome or 'unfinished':<10}  {seconds:>8}  {node.node}")
    if what and (node.error or node.outcome != "unchanged" or terminal.verbose):
        terminal.say(f"            {what.replace(chr(10), chr(10) + ' ' * 12)}")
    for name in ("why", "fix"):
        if node.error and node.error.get(name):
            terminal.say(f"            {name}  {node.error[name].replace(chr(10), chr(10) + ' ' * 17)}")
