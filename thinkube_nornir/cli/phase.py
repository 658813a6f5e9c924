"""A phase's branch and pull request: start, finish."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinkube_nornir.cli import options
from thinkube_nornir.cli.group import NamingGroup
from thinkube_nornir.program import command
from thinkube_nornir.reporting.terminal import Terminal

if TYPE_CHECKING:
    from thinkube_nornir.phase.conditions import Failed
    from thinkube_nornir.phase.start import Started, Wish

_REMOTE = click.option("--remote", default="origin", show_default=True, metavar="NAME", help="Where the branch goes.")


@click.group("phase", cls=NamingGroup)
def phase_verb() -> None:
    """Work on a phase on a branch of its own: feature/phase5."""


@phase_verb.command("start")
@click.argument("phase", metavar="PHASE")
@click.option("--base", default="", metavar="BRANCH", help="Begin there, and not at the current branch.")
@_REMOTE
@click.option("--no-push", is_flag=True, help="Make the branch here only.")
@options.common
def start(phase: str, base: str, remote: str, no_push: bool, config: Path, verbose: int, no_color: bool) -> int:
    """Make and push the phase's branch.

    It is feature/PHASE. START_HERE.md is marked and committed with it.

    Everything is checked before; when something fails nevertheless, all is as it was.
    """
    from thinkube_nornir import project
    from thinkube_nornir.phase.naming import find_phase
    from thinkube_nornir.phase.repository import Repository
    from thinkube_nornir.phase.start import Wish
    from thinkube_nornir.phase.start import start as start_phase

    terminal = Terminal(verbose, False if no_color else None)
    found = find_phase(project.load_catalog(config), phase, "phase start")
    root = config.absolute().parent
    wish = Wish(found.name, root / "START_HERE.md", base, remote, push=not no_push)
    started = start_phase(Repository(root), wish)
    for line in _started(started, wish):
        terminal.say(line)
    return 0


@phase_verb.command("finish")
@click.argument("phase", metavar="PHASE")
@_REMOTE
@options.common
def finish(phase: str, remote: str, config: Path, verbose: int, no_color: bool) -> int:
    """Print the pull request's text.

    \b
    phase finish phase5 > /tmp/phase5.md && gh pr create --title "Phase 5" --body-file /tmp/phase5.md

    When something is missing, it is named with the command that repairs it, nothing is printed on standard output, and
    the exit code is 1. (A pipe would start gh all the same, with an empty text.)
    """
    from thinkube_nornir import catalog
    from thinkube_nornir.checklist.proof import read_proofs
    from thinkube_nornir.phase.conditions import LAST, Work, failed_conditions
    from thinkube_nornir.phase.naming import find_phase
    from thinkube_nornir.phase.pull_request import pull_request
    from thinkube_nornir.phase.repository import Repository
    from thinkube_nornir.phase.start import MESSAGE
    from thinkube_nornir.project import load_hosts

    terminal = Terminal(verbose, False if no_color else None)
    loaded, inventory, _ = load_hosts(config)
    components = catalog.load(loaded.tasks)
    found = find_phase(components, phase, "phase finish")
    repository = Repository(loaded.root)
    repository.must_be_one()
    work = Work(found, loaded.root, repository, read_proofs(config), remote)
    failed = failed_conditions(work)
    if failed:
        for line in _failed(failed, found.name, terminal):
            terminal.error(line)
        return 1
    terminal.say(pull_request(work, components, inventory).removesuffix("\n"))
    text = f"/tmp/{found.name}.md"  # noqa: S108  the operator's shell writes it; a pipe would start gh in any case
    request = f"gh pr create --title 'Phase {found.number}: {found.title}' --body-file {text}"
    terminal.error(f"next   {command('phase', 'finish', found.name)} > {text} && {request}")
    last = [f"{found.name}/{task}" for task in LAST]
    terminal.error(f"then   note its link in {work.list.name}: {command('checklist', 'complete', *last)}")
    terminal.error(f"then   git commit -m {MESSAGE!r} {work.list.name} && git push {remote} {work.branch}")
    return 0


def _failed(failed: Sequence[Failed], phase: str, terminal: Terminal) -> Iterator[str]:
    """Broken at blanks; a command stays in one piece, to be copied."""
    width = terminal.width if terminal.err.isatty() else 10_000
    for condition in failed:
        first = f"{condition.subject:<8}"
        yield textwrap.fill(
            condition.what, width, initial_indent=first, subsequent_indent=" " * 8, break_long_words=False
        )
        first_fix, *more = [command(*arguments) for arguments in condition.commands] or [""]
        yield f"  fix   {': '.join(part for part in (condition.fix, first_fix) if part)}"
        yield from (f"  then  {then}" for then in more)
    yield f"{phase} is not finished: {len(failed)} {'thing is' if len(failed) == 1 else 'things are'} missing"


def _started(started: Started, wish: Wish) -> list[str]:
    from thinkube_nornir.phase.start import MESSAGE

    lines = [f"branch  {started.branch}, made from {started.base}"]
    if started.marked:
        numbers = " and ".join(str(line) for line in started.marked)
        lines_done = f"lines {numbers} are" if started.marked[1:] else f"line {numbers} is"
        lines.append(f"list    {wish.list.name}: {lines_done} done")
        lines.append(f"commit  {started.commit[:9]} {MESSAGE}")
    else:
        lines.append(f"list    nothing to mark: {wish.list.name} has no open task {wish.phase}/branch")
    lines.append(f"pushed  to {wish.remote}" if wish.push else "pushed  no: git push -u origin HEAD does it")
    return [*lines, f"next   {command('checklist', 'next', '--phase', wish.phase)}"]
