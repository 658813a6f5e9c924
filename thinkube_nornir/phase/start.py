"""Begins a phase: its branch is made, the task list says so, and both are pushed. All of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thinkube_nornir import text_file
from thinkube_nornir.checklist import store
from thinkube_nornir.checklist.marking import complete
from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.phase.repository import Repository, said

if TYPE_CHECKING:
    from thinkube_nornir.checklist.document import Document, Task

MESSAGE = "[Project] Update task progress in START_HERE.md"
_ITEMS = ("branch", "push")
"""Tasks of the list that this completes: `phase5/branch`."""
_SHOWN = 10  # files of a tree that is not clean


@dataclass(frozen=True)
class Wish:
    """What the operator asked for."""

    phase: str
    list: Path
    base: str = ""
    """The commit or branch to begin at; empty for the current branch."""
    remote: str = "origin"
    push: bool = True

    @property
    def branch(self) -> str:
        return branch_of(self.phase)


@dataclass(frozen=True)
class Started:
    branch: str
    base: str
    commit: str
    """That of the list; empty when there was nothing to mark."""
    marked: tuple[int, ...]
    """Lines of the list."""


def branch_of(phase: str) -> str:
    return f"feature/{phase}"


def start(repository: Repository, wish: Wish) -> Started:
    """
    Raises:
        ConfigError: something is in the way, all of it is told, or git refuses; everything is as it was before.
    """
    repository.must_be_one()
    problems = [problem for problem in _problems(repository, wish) if problem]
    if problems:
        raise ConfigError(problems)
    previous, base = repository.branch, wish.base or repository.branch
    with _undone_when_it_fails() as undo:
        undo.append(lambda: _switch_back(repository, wish, previous))
        _switch(repository, wish)
        lines = _mark(wish, undo)
        commit = _commit(repository, wish, undo) if lines else ""
        if wish.push:
            repository.push(wish.remote, wish.branch)
    return Started(wish.branch, base, commit, lines)


def _problems(repository: Repository, wish: Wish) -> Iterator[Problem | None]:
    """Everything that would fail later, looked at before anything is done."""
    if not repository.branch:
        yield _problem("HEAD is detached: no branch is checked out", "git switch main")
    if command := repository.in_progress():
        yield _problem(f"a {command} is in progress", f"end it: git {command} {_ends(command)}")
    if files := repository.changed_files():
        more = f" and {len(files) - _SHOWN} more" if files[_SHOWN:] else ""
        what = f"files differ from the last commit: {', '.join(files[:_SHOWN])}{more}"
        yield _problem(what, "commit them, or lay them aside: git stash")
    if wish.base and not repository.commit_of(wish.base):
        yield _problem(
            f"there is no branch or commit {wish.base} to begin at", did_you_mean(wish.base, repository.branches)
        )
    is_on_it = repository.branch == wish.branch
    if is_on_it:
        yield _problem(f"you are on {wish.branch} already", f"see what is next: checklist next --phase {wish.phase}")
    elif repository.has_branch(wish.branch):
        yield _problem(f"branch {wish.branch} is there already", f"go on with it: git switch {wish.branch}")
    yield repository.must_know_who_commits()
    if wish.push and not is_on_it:
        missing = repository.missing_remote(wish.remote)
        yield missing or _on_remote(repository, wish)


def _ends(command: str) -> str:
    return "reset" if command == "bisect" else "--continue, or --abort"


def _on_remote(repository: Repository, wish: Wish) -> Problem | None:
    try:
        there = repository.on_remote(wish.remote, wish.branch)
    except ConfigError as error:
        return error.problems[0]
    fix = f"go on with it: git fetch {wish.remote} && git switch {wish.branch}"
    return _problem(f"branch {wish.branch} is on {wish.remote} already", fix) if there else None


Undo = list[Callable[[], object]]


@contextmanager
def _undone_when_it_fails() -> Iterator[Undo]:
    """What was done is undone backward, also after Ctrl-C; what cannot be undone is told with the error."""
    undo: Undo = []
    try:
        yield undo
    except BaseException as error:
        left = [problem for one in reversed(undo) for problem in _problems_of(one)]
        if left:
            problems = error.problems if isinstance(error, ConfigError) else ()
            raise ConfigError([*problems, *left]) from error
        raise


def _problems_of(undo: Callable[[], object]) -> tuple[Problem, ...]:
    try:
        undo()
    except ConfigError as error:
        return error.problems
    return ()


def _switch(repository: Repository, wish: Wish) -> None:
    start = [wish.base] if wish.base else []
    answer = repository.ask("switch", "--quiet", "--no-track", "--create", wish.branch, *start)
    if repository.branch != wish.branch:  # a post-checkout hook's status says nothing of the switch
        raise ConfigError([_problem(f"branch {wish.branch} cannot be made: {said(answer)}")])


def _switch_back(repository: Repository, wish: Wish, previous: str) -> None:
    if not repository.has_branch(wish.branch):
        return
    repository.ask("switch", "--quiet", previous)
    answer = repository.ask("branch", "--quiet", "-D", wish.branch)
    if not answer.good:
        fix = f"see: git status; then: git switch {previous} && git branch -D {wish.branch}"
        raise ConfigError([_problem(f"branch {wish.branch} is still there: {said(answer)}", fix)])


def _mark(wish: Wish, undo: Undo) -> tuple[int, ...]:
    """Complete the list's tasks of making the branch; the lines that were open."""
    before = text_file.content_of(wish.list)
    if before is None:
        return ()
    lines: list[int] = []

    def change(document: Document) -> Document:
        tasks = _tasks(document, wish)
        lines[:] = [task.line for task in tasks]
        return complete(document, tasks, lambda _: {})[0]

    after = store.edit(wish.list, change).content
    undo.append(lambda: _unmark(wish, before, after))
    return tuple(lines)


def _unmark(wish: Wish, before: bytes, after: bytes) -> None:
    text_file.update(wish.list, lambda content: before if content == after else None)
    if text_file.content_of(wish.list) != before:
        fix = f"open it: checklist pending {wish.phase}/branch"
        raise ConfigError([_problem(f"{wish.list.name} is still marked: somebody edited it meanwhile", fix)])


def _tasks(document: Document, wish: Wish) -> list[Task]:
    wanted = [f"{wish.phase}/{item}" for item in _ITEMS if wish.push or item == "branch"]
    return [task for task in document.tasks if task.identifier in wanted and not task.done]


def _commit(repository: Repository, wish: Wish, undo: Undo) -> str:
    """The list alone, whatever else is staged."""
    repository.do("commit", "--quiet", "--message", MESSAGE, "--only", "--", str(wish.list))
    undo.pop()  # from now on the list is as the previous branch has it when that is checked out
    return repository.head


def _problem(what: str, fix: str = "") -> Problem:
    return Problem("phase start", what, fix)
