"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from thinkube_nornir.program import called_with

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_CONFIG = Path("config.yaml")


@dataclass
class Place:
    """Where this invocation's project is; known before anything else, because faults are logged there."""

    config: Path = DEFAULT_CONFIG


def _remember(ctx: click.Context, _: click.Parameter, path: Path) -> Path:
    ctx.ensure_object(Place).config = path
    called_with(path if path != DEFAULT_CONFIG else None)
    return path


def names_hosts(_: click.Context, __: click.Parameter, limit: str | None) -> str:
    """No limit is all hosts; an empty one is more likely an unset shell variable, and must not become all hosts."""
    if limit is not None and not limit.strip():
        raise click.BadParameter("is empty: name hosts or groups, or leave it out for all")
    return limit or ""


_CONFIG = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    callback=_remember,
    help="Configuration.",
)
_VERBOSE = click.option("-v", "--verbose", count=True, help="Say more; -vv also logs every detail.")
_NO_COLOR = click.option("--no-color", is_flag=True, help="No colours (NO_COLOR does the same).")
_COMMON = (_CONFIG, _VERBOSE, _NO_COLOR)
_LIMIT = click.option(
    "-l",
    "--limit",
    metavar="HOSTS",
    callback=names_hosts,
    help="Hosts and groups, comma between; ! excludes: workers,!tkw1.",
)
_WORKERS = click.option("--workers", type=click.IntRange(1, 1024), metavar="N", help="Steps at once, over all hosts.")
_EVIDENCE = click.option(
    "--evidence",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Record what hosts and cluster answer, without secrets, in this .tar.gz.",
)
_REPORT = click.option(
    "--report",
    "reports",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="Write a report: .json, .xml (JUnit), .html, .md. May be repeated.",
)

selection = click.argument("selection", nargs=-1, required=True)
dry_run = click.option("--dry-run", is_flag=True, help="Promise changes, make none.")
diff = click.option("--diff", is_flag=True, help="Show what changes inside files and objects.")


delete_foreign = click.option(
    "--delete-foreign",
    multiple=True,
    metavar="NAME",
    help="Let this object, which thinkube-nornir did not make, be deleted with what holds it. May be repeated.",
)


def common(function: F) -> F:
    return _apply(function, *_COMMON)


def limited(function: F) -> F:
    return _apply(function, _LIMIT, *_COMMON)


def execution_options(function: F) -> F:
    """Add the options of every verb that executes a plan."""
    return _apply(function, _LIMIT, _WORKERS, _REPORT, _EVIDENCE, *_COMMON)


def _apply(function: F, *decorators: Callable[[F], F]) -> F:
    return reduce(lambda decorated, decorator: decorator(decorated), reversed(decorators), _own_pipes(function))


def _own_pipes(function: F) -> F:
    """A connection that breaks in a verb's work is an error; click takes it for `| head`, and ends as if all were done.

    What a verb prints is none of it, as Terminal sees to its reader itself.
    """

    @wraps(function)
    def verb(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except BrokenPipeError as error:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error

    return cast("F", verb)
