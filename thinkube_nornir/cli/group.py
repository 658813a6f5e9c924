"""The group of verbs: each verb's module is imported when it is asked for, and a misspelt verb gets the nearest."""

from __future__ import annotations

import importlib

import click

from thinkube_nornir.did_you_mean import did_you_mean

VERBS = {
    "list": "inspect",
    "plan": "runs",
    "run": "runs",
    "verify": "runs",
    "evidence": "runs",
    "rollback": "runs",
    "resume": "runs",
    "render": "inspect",
    "inventory": "inspect",
    "trust": "trust",
    "checklist": "checklist",
    "history": "history",
    "show": "history",
    "diff": "difference",
    "lessons": "lessons",
    "phase": "phase",
    "lab": "lab",
}
"""Verb to the module of this package that has it, in the order of --help."""


_OF_VERBS = ("-v", "--verbose", "-c", "--config", "-l", "--limit", "--no-color")


class NamingGroup(click.Group):
    """Says what there is when something else was asked for."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            of = f" of {ctx.info_name}" if ctx.parent else ""
            raise click.UsageError(f"no verb{of} is called {args[0]!r} ({did_you_mean(args[0], names)})", ctx)
        return super().resolve_command(ctx, args)


class VerbGroup(NamingGroup):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name not in _OF_VERBS:
                raise
            raise click.UsageError(f"{error.option_name} stands before the verb; options stand after it", ctx) from None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 click gives it, too
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"thinkube_nornir.cli.{VERBS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_verb")
        return command
