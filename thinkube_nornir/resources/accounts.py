"""What can be read about users and groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nornir.core.task import Task

from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.remote import read
from thinkube_nornir.resources.base import NotKnown, resolve


@dataclass(frozen=True)
class Group:
    members: frozenset[str]


@dataclass(frozen=True)
class Account:
    uid: str
    home: str
    shell: str


def parse_group(done: Completed) -> Group | None:
    """Read a line of group(5); None when there is no such group."""
    if done.status != 0:
        return None
    return Group(frozenset(done.text.rpartition(":")[2].split(",")) - {""})


def parse_account(done: Completed) -> Account | None:
    """Read a line of passwd(5); None when there is no such user."""
    if done.status != 0:
        return None
    _, _, uid, _, _, home, shell = done.text.split(":")
    return Account(uid, home, shell)


def group(name: str) -> Fact[Group | None]:
    return Fact(f"group {name}", ("getent", "group", name), parse_group, accept=(0, 2))


def account(user: str) -> Fact[Account | None]:
    return Fact(f"account {user}", ("getent", "passwd", user), parse_account, accept=(0, 2))


@dataclass(frozen=True)
class InHome:
    """The path of a file below a user's home, which the host knows.

    Raises:
        NotKnown: there is no such user.
    """

    user: str | Callable[[Task], str]
    label: str
    """The path below the home."""

    def __call__(self, task: Task) -> str:
        name = resolve(task, self.user)
        found = read(task, account(name))
        if found is None:
            raise NotKnown(f"there is no user {name}", fix="create it, or correct its name in the inventory")
        return f"{found.home}/{self.label}"


def in_home(user: str | Callable[[Task], str], path: str) -> InHome:
    return InHome(user, path)
