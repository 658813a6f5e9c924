"""Package and AptRepository: software from apt's archives, as dpkg-query(1), apt-get(8) and sources.list(5) have it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nornir.core.task import Result, Task

from thinkube_nornir.change_log import Change
from thinkube_nornir.command import Completed, Fact
from thinkube_nornir.context import context
from thinkube_nornir.errors import Refused
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import change, read, run, undo
from thinkube_nornir.resources.base import Resource, State, resolve
from thinkube_nornir.resources.files import File

APT = (
    *("apt-get", "--yes", "--quiet", "-o", "DPkg::Lock::Timeout=600"),
    *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
)
"""Waits for another apt, asks nothing, and keeps configuration that somebody changed."""
_ENV = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
_LONG = 900.0  # seconds, of a download over a slow line
_UNKNOWN = re.compile(
    rb"Unable to locate package|has no installation candidate|Version .* was not found|404 +Not Found"
)
"""What apt says when its lists are older than the archive, or were never fetched."""
_GOES = re.compile(r"^(?:Remv|Purg) (\S+)", re.MULTILINE)
_COMES = re.compile(r"^Inst (\S+) \(", re.MULTILINE)
"""A package that was not there; one that is upgraded has its present version in brackets."""


@dataclass(frozen=True)
class Found:
    version: str
    """Empty when it is not installed."""
    held: bool = False
    configured: bool = False
    """It was removed, and its configuration files were not."""


def parse_package(done: Completed) -> Found:
    """Read `dpkg-query --show`, which ends with 1 when it knows nothing of the name.

    >>> from thinkube_nornir.command import Command
    >>> parse_package(Completed(Command(("dpkg-query",)), 0, b"hold installed 4.3-2\\n", b""))
    Found(version='4.3-2', held=True, configured=False)
    """
    want, state, version = [*done.text.split(), "", "", ""][:3] if done.status == 0 else ("", "", "")
    there = state == "installed"
    return Found(version if there else "", there and want == "hold", state == "config-files")


def package(name: str) -> Fact[Found]:
    form = "--showformat=${db:Status-Want} ${db:Status-Status} ${Version}\\n"
    return Fact(f"package {name}", ("dpkg-query", "--show", form, name), parse_package, accept=(0, 1))


@dataclass(frozen=True)
class Package(Resource):
    """A package. What was there before stays at rollback, with its version and hold.

    Args:
        version: this one and no other; empty for any.
        held: apt does not upgrade it by itself.
    """

    package: str
    version: str | Callable[[Task], str] = ""
    held: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        return "package", self.package

    def loaded_from(self, task: Task) -> tuple[str, ...]:
        """What dpkg writes whenever it unpacks the package."""
        return (f"/var/lib/dpkg/info/{self.package}.list",)

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        return (package(self.package),)

    def state(self, task: Task) -> State:
        found, version = read(task, package(self.package)), resolve(task, self.version)
        expected = f"{self.package} {version or 'installed'}" + (", held" if self.held else "")
        if not found.version:
            return State(expected, "not installed", f"package {self.package} is not installed")
        seen = f"{self.package} {found.version}" + (", held" if found.held else "")
        if version not in ("", found.version):
            return State(expected, seen, f"package {self.package} has version {found.version}, not {version}")
        return State(expected, seen, f"package {self.package} is not held" if self.held and not found.held else "")

    def apply(self, task: Task) -> Result:
        found, version = read(task, package(self.package)), resolve(task, self.version)
        results = []
        if not found.version or version not in ("", found.version):
            results.append(self._install(task, found, version))
        if self.held and not found.held:
            argv = ("apt-mark", "hold", self.package)
            results.append(self._change(task, f"hold package {self.package}", found, *argv))
        return all_of(task, *results)

    def restore(self, task: Task) -> Result:
        record = context(task).change_log.managed(task.host.name, self._key)
        if record is None:
            return unchanged(task, f"package {self.package} is not managed")
        found = read(task, package(self.package))
        if not found.version:
            return self._undo(task, f"forget package {self.package}, which has gone")
        if not record.before["version"]:
            return self._remove(task, record)
        results = []
        if found.version != record.before["version"]:
            results.append(self._return(task, str(record.before["version"])))
        if record.before["held"] != found.held:
            verb = "hold" if record.before["held"] else "unhold"
            argv = ("apt-mark", verb, self.package)
            results.append(change(task, f"{verb} package {self.package}", *argv, root=True))
        return all_of(task, *results, self._undo(task, f"forget package {self.package}"))

    def _install(self, task: Task, found: Found, version: str) -> Result:
        """What would come along is asked for first: it goes with the package again."""
        wanted = f"{self.package}={version}" if version else self.package
        options = ("--allow-downgrades", "--allow-change-held-packages") if found.version else ()
        summary, results = f"install package {self.package} {version}".rstrip(), []
        simulated = self._simulated(task, wanted, *options)
        if simulated.status and _UNKNOWN.search(simulated.stderr):
            results.append(change(task, "fetch apt's lists", *APT, "update", root=True, env=_ENV, timeout=_LONG))
            simulated = self._simulated(task, wanted, *options)
        came = [name for name in _COMES.findall(simulated.text) if name != self.package]
        argv = (*APT, "install", *options, "--", wanted)
        return all_of(task, *results, self._change(task, summary, found, *argv, came=came))

    def _simulated(self, task: Task, wanted: str, *options: str) -> Completed:
        argv = (*APT, "--simulate", "install", *options, "--", wanted)
        return run(task, *argv, root=True, env=_ENV, accept=(0, 100))

    def _remove(self, task: Task, record: Change) -> Result:
        """With what came along, as far as nothing else needs that now."""
        verb = "remove" if record.before["configured"] else "purge"
        for names in ([self.package, *record.before["came"]], [self.package]):
            gone = self._going(task, verb, *names)
            if gone <= set(names):
                summary = f"{verb} package {' '.join(sorted(gone))}"
                return self._undo(task, summary, *APT, verb, "--allow-change-held-packages", "--", *sorted(gone))
        others = ", ".join(sorted(gone - {self.package}))
        fix = f"remove them first, or keep {self.package}: `apt-get remove {self.package}` shows what would go"
        raise Refused(
            f"other packages need {self.package}: {others}", why="they were installed by others", fix=fix, may_pass=True
        )

    def _going(self, task: Task, verb: str, *names: str) -> set[str]:
        argv = (*APT, "--simulate", verb, "--allow-change-held-packages", "--", *names)
        return set(_GOES.findall(run(task, *argv, root=True, env=_ENV).text))

    def _return(self, task: Task, version: str) -> Result:
        argv = (
            *APT,
            "install",
            "--allow-downgrades",
            "--allow-change-held-packages",
            "--",
            f"{self.package}={version}",
        )
        summary = f"put package {self.package} back to {version}"
        return change(task, summary, *argv, root=True, env=_ENV, timeout=_LONG)

    def _change(self, task: Task, summary: str, found: Found, *argv: str, came: list[str] | None = None) -> Result:
        before: Mapping[str, Any] = {**vars(found), "came": came or []}
        return change(task, summary, *argv, root=True, env=_ENV, key=self._key, before=before, timeout=_LONG)

    def _undo(self, task: Task, summary: str, *argv: str) -> Result:
        return undo(task, self._key, summary, *argv, root=True, env=_ENV, timeout=_LONG)

    @property
    def _key(self) -> str:
        return f"package:{self.package}"


@dataclass(frozen=True)
class AptRepository(Resource):
    """An archive for apt, with the key that signs it, for packages that come after it.

    Args:
        repository: names its files.
        key: the text of the public key, armored; empty for an archive that is trusted unsigned.
    """

    repository: str
    uri: str
    suites: str
    components: str = ""
    key: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        return "repository", self.repository

    def loaded_from(self, task: Task) -> tuple[str, ...]:
        return tuple(path for file in self._files for path in file.loaded_from(task))

    def facts(self, task: Task) -> tuple[Fact[Any], ...]:
        return tuple(fact for file in self._files for fact in file.facts(task))

    def state(self, task: Task) -> State:
        states = [file.state(task) for file in self._files]
        return next((state for state in states if state.wrong), states[-1])

    def apply(self, task: Task) -> Result:
        """apt fetches its lists once they say something that a managed package needs; see Package."""
        return all_of(task, *(file.apply(task) for file in self._files if file.state(task).wrong))

    def restore(self, task: Task) -> Result:
        return all_of(task, *(file.restore(task) for file in reversed(self._files)))

    @property
    def _files(self) -> tuple[File, ...]:
        path = f"/etc/apt/keyrings/{self.repository}.asc"
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {self.suites}"]
        lines += [f"Components: {self.components}"] if self.components else []
        lines += [f"Signed-By: {path}"] if self.key else ["Trusted: yes"]
        sources = File(f"/etc/apt/sources.list.d/{self.repository}.sources", "".join(f"{line}\n" for line in lines))
        return (*([File(path, self.key)] if self.key else []), sources)
