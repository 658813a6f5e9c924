"""Which task is next: of the phase that is worked on, and of those that this project builds before the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from thinkube_nornir.checklist import tree
from thinkube_nornir.checklist.document import Document, Task
from thinkube_nornir.checklist.provable import subjects_of
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.git import GitMissing, GitTooSlow, git

_BRANCH = "feature/"


def following(
    document: Document, tasks: Sequence[Task], *, folder: Path, config: Path, marked: Sequence[Task] = ()
) -> Task | None:
    """The first open one of these tasks in the phase of the branch, of those just marked, or that is built.

    Args:
        folder: the list's; the branch that is checked out there says which phase is worked on.
        marked: those that were just marked.
    """
    branch = _phase_of_branch(folder)
    built = _built(config)
    last = marked[-1].phase if marked else None

    def rank(heading: str) -> int:
        if branch and tree.is_called(heading, branch):
            return 0
        if heading == last:
            return 1
        return 2 if any(tree.is_called(heading, phase) for phase in built) else 3

    phases: dict[str, list[Task]] = {}
    for task in tasks:
        phases.setdefault(task.phase, []).append(task)
    found = (tree.next_open(document, phases[heading]) for heading in sorted(phases, key=rank))
    return next((task for task in found if task), None)


def _phase_of_branch(folder: Path) -> str:
    """`phase5` of feature/phase5; empty for any other branch, and where there is no git."""
    try:
        branch = git(folder, "symbolic-ref", "--quiet", "--short", "HEAD").out
    except (GitMissing, GitTooSlow):
        return ""
    return branch.removeprefix(_BRANCH) if branch.startswith(_BRANCH) else ""


def _built(config: Path) -> list[str]:
    """The phases that have components; none where that is not known."""
    if not config.exists():
        return []
    try:
        return [name for name in subjects_of(config) if "." not in name]
    except ConfigError:
        return []
