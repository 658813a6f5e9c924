"""20 read-only checks: each file, its content, and the commands' marks."""

from __future__ import annotations

from nornir.core.task import Result, Task

from thinkube_nornir.command import Fact
from thinkube_nornir.component import Chain, Component, StepFunction, chain
from thinkube_nornir.context import setting
from thinkube_nornir.errors import CheckFailed
from thinkube_nornir.outcome import passed
from thinkube_nornir.remote import read

QUESTIONS = (
    *((f"file_{n}_is_there", ("test", "-f", f"service{n}.conf")) for n in range(10)),
    *((f"file_{n}_has_its_line", ("grep", "-q", f"900{n}", f"service{n}.conf")) for n in range(7)),
    ("line_is_in_settings", ("grep", "-qx", "beta = 2", "settings")),
    ("first_command_was_run", ("test", "-e", "command1")),
    ("second_command_was_run", ("test", "-e", "command2")),
)
"""Name, and the test's arguments; the last one is a name in the host's folder."""


def _fact(task: Task, name: str, argv: tuple[str, ...]) -> Fact[bool]:
    full = (*argv[:-1], f"{setting(task, 'folder')}/{argv[-1]}")
    return Fact(name, full, lambda done: done.status == 0, accept=None)


def _check(name: str, argv: tuple[str, ...]) -> StepFunction:
    def check(task: Task) -> Result:
        if not read(task, _fact(task, name, argv)):
            raise CheckFailed(f"{name} does not hold")
        return passed(task, "it holds")

    check.__name__ = name
    return check


COMPONENT = Component(
    title="The benchmark's checks",
    number=10,
    group="bench",
    settings=("folder",),
    setup=Chain(),
    verify=chain(*(_check(*q) for q in QUESTIONS), facts=lambda task: tuple(_fact(task, *q) for q in QUESTIONS)),
    rollback=Chain(),
)
