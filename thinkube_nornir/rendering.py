"""Renders the templates of selected components for their hosts, outside any run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from nornir.core import Nornir
from nornir.core.processor import Processors
from nornir.core.task import Result, Task

from thinkube_nornir.change_log import StoredChangeLog
from thinkube_nornir.context import Context, StepTask
from thinkube_nornir.database import Database
from thinkube_nornir.project import Project, load_project
from thinkube_nornir.state_folder import JOURNAL, copied
from thinkube_nornir.templates import UndefinedName, render


@dataclass(frozen=True)
class Rendered:
    component: str
    host: str
    template: str
    """Path below config.yaml's templates folder."""
    text: str
    unknown: str = ""
    """Why there is no text: it uses a value that the component works out in a run."""


def render_all(config: Path, selection: Sequence[str], limit: str = "") -> list[Rendered]:
    """Every template in the folder named after a selected component, for each of its hosts.

    Raises:
        ThinkubeError: a template is malformed.
    """
    project = load_project(config, selection, limit, secrets=False)
    with copied(project.config.state) as state, closing(Database(state / JOURNAL)) as database:
        change_log = StoredChangeLog(database, "render")
        context = Context(config=project.config, inventory=project.inventory, change_log=change_log, read_only=True)
        return list(_rendered(project, context))


def _rendered(project: Project, context: Context) -> Iterator[Rendered]:
    for entry, host in project.targets():
        task = _task(context, entry.name, host)
        for template in _templates(project.config.templates, entry.name):
            try:
                yield Rendered(entry.name, host, template, render(task, template))
            except UndefinedName as error:
                yield Rendered(entry.name, host, template, "", unknown=error.why)


def _templates(folder: Path, component: str) -> list[str]:
    """`phase5.coredns` owns the folder `coredns`."""
    own = folder / component.partition(".")[2]
    return sorted(str(path.relative_to(folder)) for path in own.rglob("*") if path.is_file())


def _task(context: Context, component: str, host: str) -> Task:
    nornir = Nornir(inventory=context.inventory)
    task = StepTask(_nothing, nornir, True, Processors(), context=context, component=component)
    task.host = context.inventory.hosts[host]
    return task


def _nothing(task: Task) -> Result:
    return Result(task.host)
