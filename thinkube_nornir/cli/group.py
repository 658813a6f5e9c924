"""The group of verbs: each verb's module is imported when it is asked for, and a misspelt verb gets the nearest."""

from __future__ import annotations

import difflib
import importlib

import click

VERBS = {
    "list": "look",
    "plan": "runs",
    "run": "runs",
    "verify": "runs",
    "evidence": "runs",
    "rollback": "runs",
    "resume": "runs",
    "render": "look",
    "inventory": "look",
    "trust": "trust",
    "checklist": "checklist",
    "history": "past",
    "show": "past",
    "diff": "difference",
    "lessons": "lessons",
    "phase": "phase",
    "lab": "lab",
}
"""Verb to the module of this package that has it, in the order of --help."""


class VerbGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 likewise
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"thinkube_nornir.cli.{VERBS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_verb")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], VERBS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(VERBS)}"
            raise click.UsageError(f"no verb is called {args[0]!r} ({hint})", ctx)
        return super().resolve_command(ctx, args)
