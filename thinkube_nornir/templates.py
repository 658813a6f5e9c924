"""Renders templates/ through nornir-jinja2; an undefined name is an error that names template, line and name."""

from __future__ import annotations

import traceback
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nornir.core.task import Task

from thinkube_nornir.context import context
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.program import command

if TYPE_CHECKING:
    from jinja2 import Environment, UndefinedError


class UndefinedName(ThinkubeError):
    """A template uses a name that neither the inventory nor the component gave."""


def render(task: Task, template: str, **values: Any) -> str:
    """Return the text of `template`, a path below config.yaml's templates folder; `host` is the task's host.

    Raises:
        UndefinedName: it uses a name that nobody gave.
        ThinkubeError: there is no such template, or it is malformed.
    """
    from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError  # components are listed without them
    from nornir_jinja2.plugins.tasks import template_file  # type: ignore[import-untyped]

    folder = context(task).config.templates
    try:
        result = template_file(task, template, jinja_env=_environment(folder), **values)
    except TemplateNotFound as error:
        fix = f"put it below {folder}"
        raise ThinkubeError(f"template {template} needs {error.name}, which does not exist", fix=fix) from None
    except TemplateSyntaxError as error:
        where = f"{error.name or template}, line {error.lineno}"
        raise ThinkubeError(f"template {where} is malformed", why=error.message or "", fix="correct it") from None
    except UndefinedError as error:
        where = f"{template}, line {_line(error, folder)}"
        fix = "define it in the inventory, or correct the name in the template"
        raise UndefinedName(f"template {where} uses an undefined name", why=error.message or "", fix=fix) from None
    return str(result.result)


def render_yaml(task: Task, template: str, **values: Any) -> list[Any]:
    """The documents that `template` renders to: manifests, or the one document of a chart's values.

    Raises:
        ThinkubeError: as render; or what came out is not YAML.
    """
    import yaml  # components are listed without it

    text = render(task, template, **values)
    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        shown = command("render", "all")
        fix = f"see what it renders to: `{shown}`, and correct it below {context(task).config.templates}"
        raise ThinkubeError(f"template {template} does not render to YAML", why=str(error), fix=fix) from None


@lru_cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 the output is configuration for hosts, where HTML escapes would be damage
    )


def _line(error: UndefinedError, folder: Path) -> int | str:
    """The line of the innermost template frame: Jinja rewrites tracebacks to template lines."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return lines[-1] if lines and lines[-1] else "?"
