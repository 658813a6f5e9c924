"""User: an account of this machine, with useradd(8), usermod(8) and userdel(8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.command import Fact
from thinkube_nornir.context import context
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.resources.accounts import account
from thinkube_nornir.resources.base import Resource, State, label_of, resolve


@dataclass(frozen=True)
class User(Resource):
    """A user with a home and a group of the same name; who was there before us stays, and gets his shell back.

    Args:
        system: a user for a service: no home, and a low number.
    """

    user: str | Callable[[Task], str]
    shell: str = "/bin/bash"
    system: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        return "user", label_of(self.user, self.label)

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        return (account(resolve(task, self.user)),)

    def state(self, task: Task) -> State:
        user = resolve(task, self.user)
        found, expected = read(task, account(user)), f"user {user} with {self.shell}"
        if found is None:
            return State(expected, "no such user", f"there is no user {user}")
        wrong = f"{user} has the shell {found.shell}, not {self.shell}" if found.shell != self.shell else ""
        return State(expected, f"user {user} with {found.shell}", wrong)

    def apply(self, task: Task) -> Result:
        user = resolve(task, self.user)
        found = read(task, account(user))
        if found is not None:
            summary, argv = f"give {user} the shell {self.shell}", ["usermod", "--shell", self.shell, user]
        else:
            home = "--system" if self.system else "--create-home"
            summary, argv = f"add user {user}", ["useradd", home, "--user-group", "--shell", self.shell, user]
        before = {"shell": found.shell if found else None}
        return change(task, summary, *argv, root=True, key=f"user:{user}", before=before)

    def restore(self, task: Task) -> Result:
        """A managed user goes with his home."""
        user = resolve(task, self.user)
        record = context(task).change_log.managed(task.host.name, f"user:{user}")
        if record is None:
            return unchanged(task, f"{user} is not managed")
        shell, summary = record.before["shell"], f"remove user {user}"
        argv = ["userdel", *([] if self.system else ["--remove"]), user]
        if shell:
            summary, argv = f"give {user} the shell {shell} back", ["usermod", "--shell", shell, user]
        there = read(task, account(user)) is not None
        return undo(task, record.key, summary, *(argv if there else ()), root=True)
