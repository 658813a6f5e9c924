"""What an operator does next, where many steps say the same."""

from __future__ import annotations

from nornir.core.task import Task

from thinkube_nornir.context import component_of
from thinkube_nornir.program import command


def set_up(task: Task) -> str:
    """It holds for what was never set up and for what has changed since: a set-up makes both as they should be."""
    return f"run the set-up: `{command('run', component_of(task))}`"
