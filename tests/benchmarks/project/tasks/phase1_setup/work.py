"""1 directory, 10 rendered files, 3 lines in a file, 2 commands."""

from __future__ import annotations

from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.command import Fact, File
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


def _mark(task: Task, number: int) -> str:
    return f"{setting(task, 'folder')}/command{number}"


def _was_run(task: Task, number: int) -> Fact[bool]:
    argv = ("test", "-e", _mark(task, number))
    return Fact(f"command {number} was run", argv, lambda done: done.status == 0, accept=(0, 1))


def _facts(task: Task) -> tuple[Fact[Any], ...]:
    return _is_directory(task), _settings(task), _was_run(task, 1), _was_run(task, 2)


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
    done = read(task, _was_run(task, 1), _was_run(task, 2))
    results = [
        unchanged(task, f"command {n} was run")
        if done[n - 1]
        else change(task, f"run command {n}", "touch", _mark(task, n))
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
