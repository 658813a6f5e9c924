"""Identifiers of tasks that the journal can prove: `phase5.coredns/verify`, `phase5/second-run`.

Standard library only, because the status script runs with any Python.
"""

from __future__ import annotations

import ast
from pathlib import Path

from thinkube_nornir.component_files import component_files

COMPONENT_KINDS = ("red", "setup", "verify", "rollback")
PHASE_KINDS = (*COMPONENT_KINDS, "second-run")


def is_provable(identifier: str | None, subjects: frozenset[str]) -> bool:
    """Whether the journal can prove it, given the names of all components and phases."""
    if identifier is None:
        return False
    subject, _, kind = identifier.partition("/")
    return subject in subjects and kind in (COMPONENT_KINDS if "." in subject else PHASE_KINDS)


def names_in(tasks: Path) -> frozenset[str]:
    """The components and phases of a tasks folder, found without importing it; none where there is no such folder."""
    subjects: set[str] = set()
    for phase in _phases(tasks / "__init__.py"):
        short = phase.partition("_")[0]
        subjects |= {short, *(f"{short}.{name}" for name in component_files(tasks / phase))}
    return frozenset(subjects)


def _phases(module: Path) -> tuple[str, ...]:
    """The value of PHASES in a tasks folder's `__init__.py`."""
    try:
        tree = ast.parse(module.read_bytes())
        for statement in tree.body:
            if (
                isinstance(statement, ast.Assign | ast.AnnAssign)
                and "PHASES" in _assigned(statement)
                and statement.value
            ):
                return tuple(str(phase) for phase in ast.literal_eval(statement.value))
    except (OSError, SyntaxError, ValueError, TypeError):
        pass
    return ()


def _assigned(statement: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]
