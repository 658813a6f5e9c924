"""The master task list: show, next, complete, pending, sync."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinkube_nornir.cli import options
from thinkube_nornir.cli.group import NamingGroup
from thinkube_nornir.program import command
from thinkube_nornir.reporting.terminal import Terminal

if TYPE_CHECKING:
    from thinkube_nornir.checklist.document import Document, Task
    from thinkube_nornir.checklist.marking import Marked
    from thinkube_nornir.checklist.sync import Sync

_LIST = "START_HERE.md"

_FILE = click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(path_type=Path),
    help=f"The list; {_LIST} beside config.yaml when not given.",
)
_PHASE = click.option("--phase", default="", metavar="PHASE", help="Of this phase only: phase5.")
_TASKS = click.argument("tasks", nargs=-1, required=True, metavar="LINE|NAME...")


def _with_list(function: options.F) -> options.F:
    return reduce(lambda decorated, decorator: decorator(decorated), (_FILE, options.common), function)


@click.group("checklist", cls=NamingGroup)
def checklist_verb() -> None:
    """The master task list: what is done, next, and proven.

    A task is named by its line number or by its name (`checklist show -v`).
    """


@checklist_verb.command("show")
@click.option("--open", "only_open", is_flag=True, help="Only what is open.")
@_PHASE
@_with_list
def show(only_open: bool, phase: str, path: Path | None, config: Path, verbose: int, no_color: bool) -> int:
    """Print the list by phase; -v adds the tasks' names."""
    from thinkube_nornir.checklist import store, tree

    terminal = Terminal(verbose, False if no_color else None)
    place = path or _beside(config)
    document = store.read(place)
    width = terminal.width if terminal.out.isatty() else None
    shown = tree.show(document, tree.View(phase, only_open, bool(verbose), width))
    for line in [*shown, "", *tree.summary(document, phase)]:
        terminal.say(line)
    _say_shared_names(document, terminal)
    _say_progress(document, place, config, terminal, tasks=tree.in_phase(document, phase))
    return 0


@checklist_verb.command("next")
@_PHASE
@_with_list
def next_(phase: str, path: Path | None, config: Path, verbose: int, no_color: bool) -> int:
    """Print the next open task.

    It is of the phase whose branch, feature/PHASE, is checked out; otherwise of the first one that this project builds.
    """
    from thinkube_nornir.checklist import store, tree
    from thinkube_nornir.checklist.following import following

    terminal = Terminal(verbose, False if no_color else None)
    place = path or _beside(config)
    document = store.read(place)
    task = following(document, tree.in_phase(document, phase), folder=place.parent, config=config)
    if task is None:
        terminal.say("nothing is open")
        return 0
    identifier = f"  ({task.identifier})" if task.identifier else ""
    terminal.say(f"line {task.line}  {tree.place(task)}{identifier}")
    for line in _wrapped(task.text, "  ", terminal):
        terminal.say(line)
    terminal.say(f"then   {_how_to_mark(task, path, config)}")
    return 0


@checklist_verb.command("complete")
@_TASKS
@click.option("--by-hand", is_flag=True, help="On your word, where the journal does not prove it.")
@_with_list
def complete(tasks: tuple[str, ...], by_hand: bool, **given: Any) -> int:
    """Mark tasks as done; what can be proven must be.

    Several are marked all or none.
    """
    from thinkube_nornir.checklist import marking
    from thinkube_nornir.checklist.provable import evidences

    config = given["config"]
    needed = evidences(config, by_hand=by_hand, command=command)
    return _mark(tasks, lambda document, chosen: marking.complete(document, chosen, needed), "marked", "done", **given)


@checklist_verb.command("pending")
@_TASKS
@_with_list
def pending(tasks: tuple[str, ...], **given: Any) -> int:
    """Open tasks again, and the tasks above them."""
    from thinkube_nornir.checklist import marking

    return _mark(tasks, marking.reopen, "opened", "open", **given)


@checklist_verb.command("sync")
@click.option("--dry-run", is_flag=True, help="Only say what would change; exit code 3 when something would.")
@_with_list
def sync(dry_run: bool, path: Path | None, config: Path, verbose: int, no_color: bool) -> int:
    """Mark what the journal proves, open what turned red.

    What was rolled back is opened, too. What the journal knows nothing of stays as it is.
    """
    from thinkube_nornir.checklist import store
    from thinkube_nornir.checklist import sync as syncing
    from thinkube_nornir.checklist.proof import read_proofs

    terminal = Terminal(verbose, False if no_color else None)
    place = path or _beside(config)
    proofs = read_proofs(config)
    done: list[Sync] = []

    def change(document: Document) -> Document:
        done[:] = [syncing.sync(document, proofs)]
        return done[0].document

    if dry_run:
        change(store.read(place))
    else:
        store.edit(place, change)
    _say_sync(done[0], place, config, terminal, dry_run)
    return 3 if dry_run and done[0].changes else 0


_Marking = Callable[["Document", Sequence["Task"]], "tuple[Document, list[Marked]]"]


def _mark(
    names: tuple[str, ...],
    marking: _Marking,
    word: str,
    state: str,
    *,
    path: Path | None,
    config: Path,
    verbose: int,
    no_color: bool,
) -> int:
    from thinkube_nornir.checklist import store
    from thinkube_nornir.checklist.marking import Selection

    terminal = Terminal(verbose, False if no_color else None)
    selection = Selection(names)
    changes: list[Marked] = []

    def change(document: Document) -> Document:
        after, changes[:] = marking(document, selection.of(document))
        return after

    place = path or _beside(config)
    after = store.edit(place, change)
    for marked in changes:
        why = f": line {marked.because.line} below it is open" if marked.because else ""
        end = why if marked.changed else f": is {state} already"
        _say_task(word if marked.changed else "same", marked.task, end, terminal)
    if any(marked.changed for marked in changes):
        _say_commit(place, terminal)
    _say_progress(after, place, config, terminal, marked=[marked.task for marked in changes])
    return 0


def _say_sync(sync: Sync, place: Path, config: Path, terminal: Terminal, dry_run: bool) -> None:
    _say_shared_names(sync.document, terminal)
    for note in sync.notes:
        fix = f"; prove it: {command(*note.command)}" if note.command else ""
        _say_line("note", f"{_named(note.task)}: {note.why}{fix}", terminal)
    for change in sync.changes:
        word = "opened" if not change.mark.done else "proven" if change.task.done else "marked"
        _say_line(word, f"{_named(change.task)}: {change.why}", terminal)
    counts = [
        (sum(c.mark.done for c in sync.changes), "marked"),
        (sum(not c.mark.done for c in sync.changes), "opened"),
    ]
    counted = ", ".join(f"{count} {word}" for count, word in counts if count)
    if not counted:
        terminal.say(f"{place} is in step with the journal")
    elif dry_run:
        terminal.say(f"{place} would change: {counted}")
        terminal.say(f"next   {_checklist(['sync'], place, config)}")
    else:
        terminal.say(f"{place}: {counted}")
        _say_commit(place, terminal)
        _say_progress(sync.document, place, config, terminal, marked=[change.task for change in sync.changes])


def _say_progress(
    document: Document,
    place: Path,
    config: Path,
    terminal: Terminal,
    *,
    tasks: Sequence[Task] | None = None,
    marked: Sequence[Task] = (),
) -> None:
    from thinkube_nornir.checklist import tree
    from thinkube_nornir.checklist.following import following

    shown = document.tasks if tasks is None else tasks
    terminal.say(f"{place}: {tree.progress(document.tasks)}")
    task = following(document, shown, folder=place.parent, config=config, marked=marked)
    if task:
        _say_task("next", task, "", terminal)
    else:
        terminal.say("nothing is open")


def _say_commit(place: Path, terminal: Terminal) -> None:
    """The list is committed alone, after each change, where it is in a repository."""
    if (place.parent / ".git").exists():
        message = f"[Project] Update task progress in {place.name}"
        terminal.say(f"commit  {shlex.join(['git', 'commit', '-m', message, str(place)])}")


def _say_shared_names(document: Document, terminal: Terminal) -> None:
    for name, lines in document.shared_names.items():
        numbers = ", ".join(map(str, lines))
        _say_line("note", f"lines {numbers} have one name, {name}: give each task its own", terminal)


def _named(task: Task) -> str:
    """Its line and its name, which is shorter than what it says."""
    return f"{task.line}  {task.identifier or task.text}"


def _say_task(word: str, task: Task, end: str, terminal: Terminal) -> None:
    _say_line(word, f"{task.line}  {task.text}{end}", terminal)


def _say_line(word: str, text: str, terminal: Terminal) -> None:
    for number, line in enumerate(_wrapped(text, " " * 8, terminal)):
        terminal.say(f"{word:<8}{line[8:]}" if not number else line)


def _wrapped(text: str, indent: str, terminal: Terminal) -> list[str]:
    """Wrap lines to the terminal's width; in a pipe they stay whole."""
    from thinkube_nornir.checklist import tree

    width = terminal.width - len(indent) if terminal.out.isatty() else None
    return [indent + line for line in tree.wrapped(tree.plain(text), width)]


def _how_to_mark(task: Task, path: Path | None, config: Path) -> str:
    from thinkube_nornir.checklist.provable import provable

    if provable([task], config):
        return f"{_checklist(['sync'], path, config)}    (the journal proves it)"
    return _checklist(["complete", task.identifier or str(task.line)], path, config)


def _checklist(arguments: Sequence[str], path: Path | None, config: Path) -> str:
    file = ["--file", str(path)] if path and path != _beside(config) else []
    return command("checklist", *arguments, *file)


def _beside(config: Path) -> Path:
    return config.parent / _LIST
