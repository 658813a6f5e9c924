"""1 directory, 10 rendered files, 3 lines in a file, 2 commands."""

from __future__ import annotations

from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.command import Completed, Fact, File
from thinkube_nornir.component import Chain, Component, chain
from thinkube_nornir.context import setting
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import change, read
from thinkube_nornir.remote.files import put
from thinkube_nornir.templates import render

LINES = ("alpha = 1", "beta = 2", "gamma = 3")


def _is_directory(task: Task) -> Fact[bool]:
    return Fact("directory", ("test", "-d", setting(task, "folder")), lambda done: done.status == 0, accept=(0, 1))


def _settings(task: Task) -> Fact[str]:
    return Fact("settings", ("cat", f"{setting(task, 'folder')}/settings"), lambda done: done.text, accept=(0, 1))


def _done(task: Task) -> Fact[tuple[bool, ...]]:
    script = 'for f in "$@"; do test -e "$f" && echo y || echo n; done'
    marks = [f"{setting(task, 'folder')}/command{n}" for n in (1, 2)]
    return Fact("commands", ("sh", "-c", script, "sh", *marks), _yes_or_no)


def _yes_or_no(done: Completed) -> tuple[bool, ...]:
    return tuple(line == "y" for line in done.text.splitlines())


def _facts(task: Task) -> tuple[Fact[Any], ...]:
    return _is_directory(task), _settings(task), _done(task)


def make_directory(task: Task) -> Result:
    if read(task, _is_directory(task)):
        return unchanged(task, "the directory is there")
    return change(task, "make the directory", "mkdir", "-p", setting(task, "folder"))


def write_files(task: Task) -> Result:
    folder = setting(task, "folder")
    files = [
        File(f"{folder}/service{n}.conf", render(task, "service.conf.j2", number=n).encode(), owner=None)
        for n in range(10)
    ]
    return put(task, *files)


def have_lines(task: Task) -> Result:
    lines = read(task, _settings(task)).splitlines()
    missing = [line for line in LINES if line not in lines]
    content = "".join(f"{line}\n" for line in [*lines, *missing])
    return put(task, File(f"{setting(task, 'folder')}/settings", content.encode(), owner=None))


def run_commands(task: Task) -> Result:
    done = read(task, _done(task))
    results = [
        unchanged(task, f"command {n} was run")
        if done[n - 1]
        else change(task, f"run command {n}", "touch", f"{setting(task, 'folder')}/command{n}")
        for n in (1, 2)
    ]
    return all_of(task, *results)


COMPONENT = Component(
    title="The benchmark's work",
    number=10,
    group="bench",
    settings=("folder",),
    setup=chain(make_directory, write_files, have_lines, run_commands, facts=_facts),
    verify=Chain(),
    rollback=Chain(),
)
