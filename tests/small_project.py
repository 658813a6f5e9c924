"""A project whose steps touch no host: config.yaml, an inventory of four hosts, and a tasks folder of two phases."""

from __future__ import annotations

import textwrap
from pathlib import Path

CONFIG = """\
target: ssh
tasks: steps
templates: templates
"""

HOSTS = """\
tkc: {hostname: 127.0.0.1, groups: [control], data: {lan_ip: 192.168.1.110}}
tkw1: {hostname: 127.0.0.2, groups: [workers]}
tkw2: {hostname: 127.0.0.3, groups: [workers]}
dns1: {hostname: 127.0.0.4}
"""

GROUPS = """\
control: {groups: [cluster]}
workers: {groups: [cluster], data: {role: worker}}
cluster: {data: {channel: 1.35/stable}}
"""

DEFAULTS = """\
data: {domain: example.org}
"""

PHASES = 'PHASES = ("phase1_base", "phase2_more")\n'

PREAMBLE = """\
from __future__ import annotations

from pathlib import Path

from nornir.core.task import Result, Task

from thinkube_nornir.component import Component, chain
from thinkube_nornir.context import context
from thinkube_nornir.errors import CheckFailed
from thinkube_nornir.outcome import changed, passed, unchanged


def _mark(task: Task, name: str) -> Path:
    return context(task).config.root / "hosts" / f"{task.host.name}.{name}"

"""

BASE = (
    PREAMBLE
    + """
def install(task: Task) -> Result:
    mark = _mark(task, "base")
    if mark.exists():
        return unchanged(task, "installed")
    if not context(task).dry_run:
        mark.parent.mkdir(exist_ok=True)
        mark.write_text("")
    return changed(task, f"install on {task.host.name}", diff="+base\\n", planned=context(task).dry_run)


def it_is_there(task: Task) -> Result:
    if not _mark(task, "base").exists():
        raise CheckFailed("base is not there", why="nobody installed it", fix="run: thinkube-nornir run phase1")
    return passed(task, "base is there")


def remove(task: Task) -> Result:
    mark = _mark(task, "base")
    if not mark.exists():
        return unchanged(task, "not installed")
    if not context(task).dry_run:
        mark.unlink()
    return changed(task, "remove base", planned=context(task).dry_run)


COMPONENT = Component(
    title="The base that everything needs",
    number=10,
    group="cluster",
    setup=chain(install),
    verify=chain(it_is_there),
    rollback=chain(remove),
    settings=("channel",),
)
"""
)

EXTRA = (
    PREAMBLE
    + """
def join(task: Task) -> Result:
    if _mark(task, "broken").exists():
        raise RuntimeError("the token is sesame-street")
    return unchanged(task, "joined")


def it_answers(task: Task) -> Result:
    return passed(task, "it answers")


def leave(task: Task) -> Result:
    return unchanged(task, "not joined")


COMPONENT = Component(
    title="What workers get",
    number=10,
    group="workers",
    setup=chain(join),
    verify=chain(it_answers),
    rollback=chain(leave),
    needs=("phase1.base",),
)
"""
)


def write_project(root: Path) -> Path:
    """Write the project; return its config.yaml."""
    files = {
        "config.yaml": CONFIG,
        "inventory/hosts.yaml": HOSTS,
        "inventory/groups.yaml": GROUPS,
        "inventory/defaults.yaml": DEFAULTS,
        "templates/base/base.conf.j2": "name={{ host.name }} channel={{ host.channel }}\n",
        "steps/__init__.py": PHASES,
        "steps/phase1_base/__init__.py": "",
        "steps/phase1_base/base.py": BASE,
        "steps/phase2_more/__init__.py": "",
        "steps/phase2_more/extra.py": EXTRA,
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return root / "config.yaml"


def break_join(root: Path, host: str) -> None:
    """Let phase2.extra's set-up fail on a host, with an error that nobody foresaw."""
    (root / "hosts").mkdir(exist_ok=True)
    (root / "hosts" / f"{host}.broken").write_text("")
