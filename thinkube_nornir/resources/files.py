"""File and Directory: what stands at a path, with its content, mode and owner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.command import Fact
from thinkube_nornir.command import File as Wanted
from thinkube_nornir.remote import put, read, restore
from thinkube_nornir.remote.file_diff import diff_of
from thinkube_nornir.remote.file_states import FileState, state_at, states_of
from thinkube_nornir.resources.base import Resource, State, label_of, resolve

Text = str | Callable[[Task], str]


@dataclass(frozen=True)
class File(Resource):
    """A whole file, from `content` or from a template below config.yaml's templates folder.

    Args:
        values: what the template uses beside the inventory.
        owner: None for the login user, without privileges.
        group: None for the owner's primary group.
        directory_mode: of missing parent directories, which go again with the file.
        secret: it holds keys or passwords: no error and no plan shows what it holds.
    """

    path: Text
    content: str | bytes | Callable[[Task], str | bytes] = ""
    template: str = ""
    values: Mapping[str, Any] | Callable[[Task], Mapping[str, Any]] = field(default_factory=dict)
    mode: int = 0o644
    owner: str | Callable[[Task], str | None] | None = "root"
    group: str | None = None
    directory_mode: int = 0o755
    secret: bool = False

    def __post_init__(self) -> None:
        if bool(self.content) and bool(self.template):
            raise TypeError(f"{self.name} has content or a template, not both")

    @property
    def words(self) -> tuple[str, ...]:
        return "file", label_of(self.path, self.label)

    def loaded_from(self, task: Task) -> tuple[str, ...]:
        return (resolve(task, self.path),)

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        """None of a secret one: its content stays on the host as long as it is right."""
        return () if self.secret else (self._fact(task),)

    def state(self, task: Task) -> State:
        wanted = self._wanted(task)
        found = states_of(task, [wanted])[wanted] if self.secret else read(task, self._fact(task))
        return _compared(wanted, found)

    def apply(self, task: Task) -> Result:
        return put(task, self._wanted(task))

    def restore(self, task: Task) -> Result:
        return restore(task, resolve(task, self.path))

    def _fact(self, task: Task) -> Fact[FileState | None]:
        return state_at(resolve(task, self.path), resolve(task, self.owner), self.group)

    def _wanted(self, task: Task) -> Wanted:
        content = self.content(task) if callable(self.content) else self.content
        if self.template:
            from thinkube_nornir.templates import render  # components are listed without it

            content = render(task, self.template, **resolve(task, self.values))
        return Wanted(
            resolve(task, self.path),
            content.encode() if isinstance(content, str) else content,
            self.mode,
            resolve(task, self.owner),
            self.group,
            self.directory_mode,
            self.secret,
        )


def _compared(wanted: Wanted, found: FileState | None) -> State:
    """In the order of blame: what is not there has no content, and what has another content may have any mode."""
    path, owner = wanted.path, wanted.owner or "the login user"
    expected = f"{path}: {len(wanted.content)} bytes, mode {wanted.mode:o}, of {owner}"
    if found is None:
        return State(expected, "no such user or group", f"{path} cannot belong to {owner}, who is not there")
    if found.kind == "absent":
        return State(expected, "nothing there", f"{path} is missing")
    if found.kind != "file":
        seen = f"a link to {found.target}" if found.kind == "link" else "a directory or device"
        return State(expected, seen, f"{path} is no file")
    seen = f"{path}: {len(found.content)} bytes, mode {found.mode}, of {found.uid}:{found.gid}"
    if found.content != wanted.content:
        diff = diff_of(wanted, found.kind, found.content, found.mode)
        return State(expected, seen, f"{path} has another content", diff)
    if int(found.mode, 8) != wanted.mode:
        return State(expected, seen, f"{path} has mode {found.mode}, not {wanted.mode:o}")
    if not found.equals(wanted):
        right = f"{found.wanted_uid}:{found.wanted_gid}"
        return State(expected, seen, f"{path} belongs to {found.uid}:{found.gid}, not to {owner} ({right})")
    return State(expected, seen)
