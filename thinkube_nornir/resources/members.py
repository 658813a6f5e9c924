"""GroupMember: a user who is in a group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.command import Fact
from thinkube_nornir.context import is_managed
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.resources.accounts import Group, group
from thinkube_nornir.resources.base import Resource, State, label_of, resolve


@dataclass(frozen=True)
class GroupMember(Resource):
    """A user in a group that the system, or something set up before, has made."""

    group: str
    user: str | Callable[[Task], str]

    @property
    def words(self) -> tuple[str, ...]:
        return "member", label_of(self.user, self.label), "of", self.group

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        return (group(self.group),)

    def state(self, task: Task) -> State:
        user, found = resolve(task, self.user), self._found(task)
        expected, wrong = f"{user} in group {self.group}", f"{user} is not in group {self.group}"
        if found is None:
            return State(expected, "no such group", wrong)
        seen = f"members: {', '.join(sorted(found.members)) or 'none'}"
        return State(expected, seen, "" if user in found.members else wrong)

    def apply(self, task: Task) -> Result:
        user = resolve(task, self.user)
        argv = ("usermod", "-aG", self.group, user)
        return change(task, f"add {user} to group {self.group}", *argv, root=True, key=self._key(user))

    def restore(self, task: Task) -> Result:
        """From this one group; and without a word to gpasswd when the group, or the user in it, has gone."""
        user = resolve(task, self.user)
        if not is_managed(task, self._key(user)):
            return unchanged(task, f"{user} is not in group {self.group} by our doing")
        found = self._found(task)
        present = found is not None and user in found.members
        argv = ("gpasswd", "--delete", user, self.group) if present else ()
        return undo(task, self._key(user), f"remove {user} from group {self.group}", *argv, root=True)

    def _found(self, task: Task) -> Group | None:
        return read(task, group(self.group))

    def _key(self, user: str) -> str:
        return f"group-member:{self.group}:{user}"
