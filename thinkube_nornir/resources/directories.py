"""Directory: a folder with its mode and owner; what is in it is not its concern."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.command import Fact
from thinkube_nornir.context import context
from thinkube_nornir.errors import Refused
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.remote.file_states import FileState, state_at
from thinkube_nornir.resources.base import Resource, State, label_of, resolve

# Arguments: uid:gid, mode, then the folders to make, outermost first. Only the last one gets this mode.
_MAKE = r"""
owner=$1 mode=$2; shift 2
while [ $# -gt 1 ]; do mkdir "$1" && chown "$owner" "$1" || exit 1; shift; done
mkdir -m "$mode" "$1" && chown "$owner" "$1"
"""


@dataclass(frozen=True)
class Directory(Resource):
    """A folder; missing parents are made, with the same owner.

    Args:
        group: None for the owner's primary group.
    """

    path: str | Callable[[Task], str]
    mode: int = 0o755
    owner: str | Callable[[Task], str] = "root"
    group: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        return "directory", label_of(self.path, self.label)

    def loaded_from(self, task: Task) -> tuple[str, ...]:
        return (resolve(task, self.path),)

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        return self._at(task), _is_directory(resolve(task, self.path))

    def state(self, task: Task) -> State:
        path, owner = resolve(task, self.path), resolve(task, self.owner)
        found, is_directory = read(task, *self.facts(task))
        expected = f"{path}: a folder, mode {self.mode:o}, of {owner}"
        if found is None:
            return State(expected, "no such user or group", f"{path} cannot belong to {owner}, who is not there")
        if found.kind == "absent":
            return State(expected, "nothing there", f"{path} is missing")
        if found.kind != "other" or not is_directory:
            return State(expected, "something else", f"{path} is no folder")
        seen = f"{path}: a folder, mode {found.mode}, of {found.uid}:{found.gid}"
        wrong = ""
        if int(found.mode, 8) != self.mode:
            wrong = f"{path} has mode {found.mode}, not {self.mode:o}"
        elif f"{found.uid}:{found.gid}" != found.owner:
            wrong = f"{path} belongs to {found.uid}:{found.gid}, not to {owner} ({found.owner})"
        return State(expected, seen, wrong)

    def apply(self, task: Task) -> Result:
        """A folder that we make becomes managed as a whole; of one that was there, mode and owner."""
        path, (found, is_directory) = resolve(task, self.path), read(task, *self.facts(task))
        if found is None or found.kind not in ("absent", "other") or (found.kind == "other" and not is_directory):
            raise Refused(self.state(task).wrong, why="it is somebody else's", fix="move it away, or add the user")
        if found.kind == "absent":
            return self._make(task, path, found)
        before = {"mode": found.mode, "owner": f"{found.uid}:{found.gid}"}
        return self._set(task, path, found.owner, f"{self.mode:o}", before)

    def restore(self, task: Task) -> Result:
        """Somebody else's content keeps a managed folder in place."""
        path = resolve(task, self.path)
        record = context(task).change_log.managed(task.host.name, f"directory:{path}")
        if record is None:
            return unchanged(task, f"{path} is not managed")
        if not read(task, _is_directory(path)):
            return undo(task, record.key, f"forget {path}, which has gone", root=True)
        if "made" in record.before:
            argv = ("rmdir", "--ignore-fail-on-non-empty", "--", *reversed(record.before["made"]))
            return undo(task, record.key, f"remove {path} unless something is in it", *argv, root=True)
        argv = ("sh", "-c", 'chown "$2" "$1" && chmod "$3" "$1"', "thinkube:own", path)
        owner, mode = record.before["owner"], record.before["mode"]
        return undo(task, record.key, f"give {path} back to {owner}, mode {mode}", *argv, owner, mode, root=True)

    def _make(self, task: Task, path: str, found: FileState) -> Result:
        parents = list(PurePosixPath(path).parents)[: found.missing]
        made = [*map(str, reversed(parents)), path]
        argv = ("sh", "-c", _MAKE, "thinkube:make-directory", found.owner, f"{self.mode:o}", *made)
        return change(task, f"make {path}", *argv, root=True, key=f"directory:{path}", before={"made": made})

    def _set(self, task: Task, path: str, owner: str, mode: str, before: dict[str, str]) -> Result:
        own = ("chown", owner, path), f"give {path} to {owner}", before["owner"] != owner
        allow = ("chmod", mode, path), f"set the mode of {path} to {mode}", int(before["mode"], 8) != self.mode
        key = f"directory:{path}"
        results = [change(task, s, *argv, root=True, key=key, before=before) for argv, s, due in (own, allow) if due]
        return all_of(task, *results)

    def _at(self, task: Task) -> Fact[FileState | None]:
        return state_at(resolve(task, self.path), resolve(task, self.owner), self.group)


def _is_directory(path: str) -> Fact[bool]:
    argv = ("test", "-d", path)
    return Fact(f"whether {path} is a folder", argv, lambda done: done.status == 0, root=True, accept=(0, 1))
