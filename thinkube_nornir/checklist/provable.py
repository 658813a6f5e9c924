"""Which tasks the journal can prove in this project, and the evidence for those that it does.

Imports without the program's dependencies; what needs them is imported when a task is to be proven.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from thinkube_nornir.checklist.document import Task
from thinkube_nornir.checklist.marking import Evidences
from thinkube_nornir.checklist.names import is_provable, names_in
from thinkube_nornir.checklist.task_line import Evidence
from thinkube_nornir.errors import ConfigError, Problem

_USUAL = Path("config.yaml")


def provable(tasks: Sequence[Task], config: Path) -> list[Task]:
    """Return the tasks that are proven and not ticked; none where there is no project.

    Raises:
        ConfigError: the configuration that was named is missing, or its tasks folder is wrong.
    """
    named = any(task.identifier and "/" in task.identifier for task in tasks)
    if not named or (config == _USUAL and not config.exists()):
        return []
    subjects = subjects_of(config)
    return [task for task in tasks if is_provable(task.identifier, subjects)]


def evidences(config: Path, *, by_hand: bool, command: Callable[..., str]) -> Evidences:
    """What completing a task asks for.

    Args:
        by_hand: an operator's word instead of the journal's.
        command: makes a line to type of a command's arguments.
    """

    def found(tasks: Sequence[Task]) -> Mapping[int, Evidence]:
        wanted = provable(tasks, config)
        if by_hand:
            today = Evidence(time.strftime("%Y-%m-%d", time.gmtime()))
            return {task.line: today for task in wanted}
        return _proven(wanted, config, command) if wanted else {}

    return found


def _proven(tasks: Sequence[Task], config: Path, command: Callable[..., str]) -> Mapping[int, Evidence]:
    from thinkube_nornir.checklist.proof import read_proofs

    proofs = read_proofs(config)
    found: dict[int, Evidence] = {}
    problems: list[Problem] = []
    for task in tasks:
        proof = proofs.by_identifier[task.identifier or ""]
        if proof.state == "proven":
            found[task.line] = proofs.evidence(proof)
        else:
            nevertheless = command("checklist", "complete", proof.identifier, "--by-hand")
            fix = f"prove it: {command(*proof.command)}; or mark it nevertheless: {nevertheless}"
            problems.append(Problem(f"line {task.line}", f"{proof.identifier} is not proven: {proof.reason}", fix))
    if problems:
        raise ConfigError(problems)
    return found


def subjects_of(config: Path) -> frozenset[str]:
    """The names of this project's components and phases."""
    try:
        from thinkube_nornir.project import load_catalog
    except ImportError:  # a Python without the program's dependencies
        return names_in(config.parent / "tasks")
    entries = load_catalog(config).entries
    return frozenset(name for entry in entries for name in (entry.name, entry.phase))
