"""Brings a list into step with what the journal proves. Pure: document and proofs in, the new document out.

What is proven is marked, with its run as evidence; what turned red or was rolled back is opened again. What the journal
knows nothing of stays as it is. A heading, which is a task whose text is bold as a whole, is done when all below it is.
Evidence of disposable hosts counts for these alone; evidence of real hosts is not touched while the target has others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thinkube_nornir.checklist.document import Document, Task
from thinkube_nornir.checklist.task_line import Evidence, Mark

if TYPE_CHECKING:
    from thinkube_nornir.checklist.proof import Proof, Proofs


@dataclass(frozen=True)
class Change:
    task: Task
    """As it was."""
    mark: Mark
    why: str


@dataclass(frozen=True)
class Note:
    """A task that is marked, and that the journal does not speak for."""

    task: Task
    why: str
    command: tuple[str, ...] = ()
    """What would prove it."""


@dataclass(frozen=True)
class Sync:
    document: Document
    """As it is to be."""
    changes: tuple[Change, ...]
    """In the list's order."""
    notes: tuple[Note, ...]


def sync(document: Document, proofs: Proofs) -> Sync:
    changes: dict[int, Change] = {}
    notes: list[Note] = []
    for task in reversed(document.tasks):  # what is below a task comes before it
        proof = proofs.by_identifier.get(task.identifier or "")
        left = list(document.open_below(task, lambda below: _will_be_done(below, changes)))
        heading = _heading(task, left) if is_heading(document, task) else None
        change, note = _judged(task, proof, proofs) if proof else (heading, None)
        change, note = _with_children(task, left, change, note)
        if change:
            changes[task.line] = change
        if note:
            notes.append(note)
    ordered = tuple(changes[line] for line in sorted(changes))
    after = document.marked({change.task.line: change.mark for change in ordered})
    return Sync(after, ordered, tuple(reversed(notes)))


def _judged(task: Task, proof: Proof, proofs: Proofs) -> tuple[Change | None, Note | None]:
    """What the journal says of it alone."""
    if task.done and task.evidence and task.evidence.run is not None:
        return _cited(task, task.evidence, proof, proofs)
    if proof.state == "proven":
        return _proven(task, proof, proofs), None
    if not task.done:
        return None, None
    if proof.state == "refuted":
        return _opened(task, proof.reason), None
    return None, Note(task, f"marked by hand: {proof.reason}", proof.command)


def _cited(task: Task, evidence: Evidence, proof: Proof, proofs: Proofs) -> tuple[Change | None, Note | None]:
    """Compare a task that says which run proved it with that run."""
    run = proofs.run(evidence)
    if proofs.place and not evidence.place:
        return None, Note(task, f"was proven on real hosts, of which {proofs.place} says nothing")
    if proof.state == "refuted":
        return _opened(task, proof.reason), None
    if run is None and not evidence.place:  # another controller's
        unproven = Note(task, f"run {evidence.run} is in another journal; in this one: {proof.reason}", proof.command)
        return None, None if proof.state == "proven" else unproven
    if proof.state == "proven":
        return (None if evidence == proofs.evidence(proof) else _proven(task, proof, proofs)), None
    if evidence.place and not proofs.place:
        return _opened(task, f"run {evidence.run} was on {evidence.place}, and says nothing of real hosts"), None
    if run and run.scope != proofs.history.scope:
        return _opened(task, f"run {evidence.run} was on hosts of {evidence.place} that are gone"), None
    return None, Note(task, f"not proven any more: {proof.reason}", proof.command)


def is_heading(document: Document, task: Task) -> bool:
    """Whether it claims nothing but what is below it."""
    return bool(document.children(task)) and _is_bold(task.text)


def _is_bold(text: str) -> bool:
    return text.startswith("**") and text.find("**", 2) == len(text) - 2


def _heading(task: Task, left: Sequence[Task]) -> Change | None:
    """It claims nothing but what is below it; any other parent is its operator's."""
    if task.done and left:
        return _opened(task, f"below it, {_lines(left)}")
    return None if task.done or left else Change(task, Mark(True), "all below it is done")


def _with_children(
    task: Task, left: Sequence[Task], change: Change | None, note: Note | None
) -> tuple[Change | None, Note | None]:
    """No parent is done before all below it is."""
    reopened = [child for child in left if child.done]
    if task.done and reopened:
        return _opened(task, f"below it, {_lines(reopened)} again"), None
    if change and change.mark.done and not task.done and left:
        return None, Note(task, f"is proven, but below it {_lines(left)}")
    return change, note


def _proven(task: Task, proof: Proof, proofs: Proofs) -> Change:
    return Change(task, Mark(True, proofs.evidence(proof)), f"run {proof.run} proves it")


def _opened(task: Task, why: str) -> Change:
    return Change(task, Mark(False), why)


def _will_be_done(task: Task, changes: Mapping[int, Change]) -> bool:
    return changes[task.line].mark.done if task.line in changes else task.done


def _lines(tasks: Sequence[Task]) -> str:
    numbers = ", ".join(str(task.line) for task in tasks)
    return f"line {numbers} is open" if len(tasks) == 1 else f"lines {numbers} are open"
