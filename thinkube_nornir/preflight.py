"""Before a rollback undoes anything: a dry run of it, for what would be refused on the way."""

from __future__ import annotations

from dataclasses import replace

from nornir.core import Nornir

from thinkube_nornir.context import Context, Roster
from thinkube_nornir.errors import ConfigError, HoldsForeign, Problem, Refused
from thinkube_nornir.plan import Node, Plan
from thinkube_nornir.runner import execute
from thinkube_nornir.target import Say


def refuse_what_is_foreseen(plan: Plan, nornir: Nornir, context: Context, say: Say) -> None:
    """Raise all refusals at once while everything is still there.

    What fails otherwise, as on a host that is away, is left to the rollback itself.

    Raises:
        ConfigError: with each refusal, its component and host.
        KeyboardInterrupt: the operator ended it.
    """
    run = execute(plan, nornir, replace(context, dry_run=True, roster=Roster(), evidence=None), say=say)
    context.facts.clear()  # the operator may take his time before he agrees
    if run.interrupted:
        raise KeyboardInterrupt
    refused = {node: error for node in plan.nodes if isinstance(error := run.results[node.id].exception, Refused)}
    if refused:
        raise ConfigError([_problem(node, error, context) for node, error in refused.items()])


def _problem(node: Node, error: Refused, context: Context) -> Problem:
    what = f"{error.what}: {', '.join(error.why.splitlines())}" if error.why else error.what
    fix = context.permission.advice if isinstance(error, HoldsForeign) else error.fix
    return Problem(f"rollback of {node.component} on {node.host}", what, fix)
