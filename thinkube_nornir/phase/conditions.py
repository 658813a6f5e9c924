"""What must hold before a phase is finished: all that does not is reported, each with its repair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thinkube_nornir import text_file
from thinkube_nornir.checklist import store
from thinkube_nornir.checklist.sync import is_heading, sync
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.lessons.parts import written_bullets
from thinkube_nornir.lessons.writing import PARTS
from thinkube_nornir.phase.proving import proving_runs
from thinkube_nornir.phase.start import branch_of

if TYPE_CHECKING:
    from thinkube_nornir.checklist.document import Document, Task
    from thinkube_nornir.checklist.proof import Proofs
    from thinkube_nornir.phase.naming import Phase
    from thinkube_nornir.phase.repository import Repository

LAST = ("finish", "pull-request")
"""Tasks that come after this: `phase5/finish`."""
_SHOWN = 6


@dataclass(frozen=True)
class Failed:
    """A condition that does not hold."""

    subject: str
    """`verify`, `lessons`, `list`, `git`."""
    what: str
    commands: tuple[tuple[str, ...], ...] = ()
    """Of this program, without its name; one after the other."""
    fix: str = ""
    """What is no command of this program, and comes first."""


@dataclass(frozen=True)
class Work:
    """What is looked at."""

    phase: Phase
    root: Path
    repository: Repository
    proofs: Proofs
    remote: str

    @property
    def list(self) -> Path:
        return self.root / "START_HERE.md"

    @property
    def lessons(self) -> Path:
        return self.root / self.phase.lessons

    @property
    def branch(self) -> str:
        return branch_of(self.phase.name)


def failed_conditions(work: Work) -> list[Failed]:
    parts = (_list, _lessons, _by_hand, _committed, _pushed)
    return [failed for part in parts for failed in part(work)]


def _lessons(work: Work) -> Iterator[Failed]:
    content = text_file.content_of(work.lessons) if not work.lessons.is_dir() else None
    if content is None and (restore := _restored(work, work.lessons)):
        yield Failed("lessons", f"{work.phase.lessons} was deleted", fix=restore)
    elif content is None:
        yield Failed("lessons", f"{work.phase.lessons} is missing", (("lessons", "new", work.phase.name),))
    elif not written_bullets(content, PARTS):
        what = f"{work.phase.lessons} has nothing that a person wrote, only empty bullets and what the journal knows"
        yield Failed("lessons", what, fix="write what you learned into it")


def _list(work: Work) -> Iterator[Failed]:
    """The list, and what its tasks stand for."""
    name = work.list.name
    if restore := _restored(work, work.list):
        yield Failed("list", f"{name} was deleted", fix=restore)
        yield from _proven(work, None, ())
        return
    try:
        document = store.read(work.list)
    except ConfigError as error:
        yield Failed("list", f"{name}: {error.problems[0].what}", fix=error.problems[0].fix)
        yield from _proven(work, None, ())
        return
    synced = sync(document, work.proofs)
    if synced.changes:
        lines = _lines([change.task for change in synced.changes])
        yield Failed("list", f"{name} is not in step with the journal: {lines}", (("checklist", "sync"),))
    left = _left(work, synced.document)
    yield from _proven(work, document, [task for task in left if task.identifier in work.proofs.by_identifier])


def _left(work: Work, document: Document) -> list[Task]:
    """The phase's open tasks."""
    return [task for task in document.tasks if not task.done and _is_of(task, work.phase.name)]


def _proven(work: Work, document: Document | None, left: Sequence[Task]) -> Iterator[Failed]:
    """What runs have to prove yet, with all of them in the order in which they do.

    Args:
        document: as it stands; None where it cannot be read.
        left: what is open once the list is in step.
    """
    verify = work.proofs.by_identifier[f"{work.phase.name}/verify"]
    green = verify.state == "proven"
    open_ends = [] if green else [f"{work.phase.name} is not verified green on all of its hosts: {verify.reason}"]
    stand_open = [task for task in left if document and not document.by_line[task.line].done]
    if stand_open:
        open_ends.append(f"open in {work.list.name}, and not proven: {_lines(stand_open)}")
    elif left and green:
        open_ends.append(f"to be opened by the sync, and not proven: {_lines(left)}")
    if open_ends:
        kinds = {(task.identifier or "").partition("/")[2] for task in left} | (set() if green else {"verify"})
        commands = proving_runs(work.phase.name, kinds, work.proofs)
        yield Failed("list" if green else "verify", "; ".join(open_ends), (*commands, ("checklist", "sync")))


def _by_hand(work: Work) -> Iterator[Failed]:
    """What no run proves; headings are left out, as a sync marks them."""
    try:
        document = store.read(work.list)
    except ConfigError:  # told by what looks at the list
        return
    begins = () if work.repository.has_branch(work.branch) else (f"{work.phase.name}/branch", f"{work.phase.name}/push")
    tasks = [
        task
        for task in _left(work, sync(document, work.proofs).document)
        if task.identifier not in (*work.proofs.by_identifier, *begins)
        and not document.by_line[task.line].done
        and not is_heading(document, task)
    ]
    if tasks:
        names = [task.identifier or "" for task in tasks]
        what = f"to be done by hand, open in {work.list.name}: {_lines(tasks)} ({', '.join(names)})"
        mark = ("checklist", "complete", "NAME" if names[1:] else names[0])
        yield Failed("list", what, (mark,), "do these, then mark each" if names[1:] else "do it, then mark it")


def _restored(work: Work, path: Path) -> str:
    """The command that brings back a file that the last commit has; empty where it is there, or never was."""
    repository = work.repository
    if path.exists() or path.is_symlink() or not repository.has_committed(path):
        return ""
    staged = "--source=HEAD --staged --worktree " if repository.is_untracked(path) else ""
    return f"git restore {staged}{path.relative_to(work.root)}"


def _is_of(task: Task, phase: str) -> bool:
    name = task.identifier or ""
    return name.partition("/")[0].partition(".")[0] == phase and name not in {f"{phase}/{last}" for last in LAST}


def _lines(tasks: Sequence[Task]) -> str:
    return f"line{'s' if tasks[1:] else ''} {_listed([str(task.line) for task in tasks])}"


def _committed(work: Work) -> Iterator[Failed]:
    repository = work.repository
    if command := repository.in_progress():
        yield Failed("git", f"a {command} is in progress", fix=f"git {command} --continue")
    files = repository.changed_files()
    for path in (work.list, work.lessons):  # to commit that these were deleted is no repair
        if _restored(work, path):
            files = [file for file in files if not repository.is_named(path, file)]
    if work.lessons.exists() and repository.is_untracked(work.lessons):
        files.append(str(work.phase.lessons))
    if files:
        fix = f"git add {' '.join(files[:_SHOWN])} && git commit" if not files[_SHOWN:] else "git add -A && git commit"
        yield Failed("git", f"not committed: {_listed(files)}", fix=fix)


def _pushed(work: Work) -> Iterator[Failed]:
    repository = work.repository
    if repository.branch != work.branch:
        begin = () if repository.has_branch(work.branch) else (("phase", "start", work.phase.name),)
        current = repository.branch or "none: HEAD is detached"
        fix = "" if begin else f"git switch {work.branch}"
        yield Failed("git", f"the phase's branch is {work.branch}, and the current one is {current}", begin, fix)
    if not repository.has_branch(work.branch):
        return
    if missing := repository.missing_remote(work.remote):
        yield Failed("git", missing.what, fix="git remote add NAME URL; --remote names another one")
        return
    try:
        there = repository.on_remote(work.remote, work.branch)
    except ConfigError as error:
        yield Failed("git", error.problems[0].what, fix=error.problems[0].fix)
        return
    yield from _compared(work, there)


def _compared(work: Work, there: str) -> Iterator[Failed]:
    """The branch here and on the remote."""
    repository, here = work.repository, work.repository.commit_of(work.branch)
    if there == here:
        return
    if not there:
        yield Failed("git", f"{work.branch} is not on {work.remote}", fix=f"git push -u {work.remote} {work.branch}")
    elif not repository.has_ancestor(here, there):
        what = f"{work.branch} is behind {work.remote}: there are commits that you have not"
        yield Failed("git", what, fix=f"git pull --rebase {work.remote} {work.branch}")
    else:
        yield Failed("git", f"commits of {work.branch} are not pushed", fix=f"git push {work.remote} {work.branch}")


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - _SHOWN} more" if words[_SHOWN:] else ""
    return ", ".join(words[:_SHOWN]) + more
