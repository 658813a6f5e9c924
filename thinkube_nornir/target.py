"""A target is where the inventory's hosts are. Real ones are built in; others are named here, imported when chosen."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.program import install_command

if TYPE_CHECKING:
    from nornir.core.inventory import Inventory

    from thinkube_nornir.config import Config

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """The hosts of a target, ready for a connection."""

    config: Config
    """The operator's, or with another way to log in."""
    scope: str
    """Whose hosts these are, for the journal: the target's name, and which hosts of it where there can be others."""
    emulated: tuple[str, ...] = ()
    """What these hosts do not have, and is emulated."""


class Target(Protocol):
    """What the engine asks of a target."""

    def prepare(self, config: Config, inventory: Inventory, say: Say) -> Prepared:
        """Stand the hosts up or find them, and point the inventory at them; `say` gets the lines to print first."""

    def scope(self, config: Config) -> str:
        """Prepared.scope of the hosts as they are now; nothing is started for it."""


class DisposableTarget(Target, Protocol):
    """One whose hosts are made here, and thrown away again; `lab up`, `lab status` and `lab down` speak to it."""

    def up(self, config: Config, inventory: Inventory, say: Say) -> list[str]:
        """Stand the hosts up, unless they are; return `status`."""

    def status(self, config: Config) -> list[str]:
        """Lines about the hosts that are up and how to log in to each, which begin with a space; none without hosts."""

    def down(self, config: Config) -> int:
        """Remove all hosts, and whatever is left of them after a crash; return how many were up."""


@dataclass(frozen=True)
class Kind:
    """What is known of a target that need not be installed: journals and reports may speak of any."""

    name: str
    choose: str
    """What an operator chooses with it."""
    place: str
    """As in `on real hosts`."""
    summary: str
    disposable: bool = False
    """Whether its hosts are made here and thrown away: their keys and addresses mean nothing to anybody else."""
    module: str = ""
    """Has the Target as TARGET; empty for the built-in one."""
    packages: tuple[str, ...] = ()
    """What the extra of the same name installs."""


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("ssh", "the inventory's real hosts", "real hosts", "real hosts"),
        Kind(
            "lab",
            "hosts like them, stood up on this machine in a second and thrown away again",
            "the lab",
            "emulated hosts on this machine",
            disposable=True,
            module="thinkube_nornir.lab.target",
            packages=("aiohttp", "asyncssh"),
        ),
        Kind(
            "full-lab",
            "Ubuntu machines like them, in containers on this machine, which takes minutes and root",
            "the full lab",
            "Ubuntu in containers on this machine",
            disposable=True,
            module="thinkube_nornir.full_lab.target",
        ),
    )
}
"""Every target, real hosts first."""

CHOICES = f"set {' or '.join(f'`target: {kind.name}` for {kind.choose}' for kind in KINDS.values())}"


def kind_of(scope: str) -> Kind:
    """The kind that a scope, which may be a target's plain name, belongs to."""
    name = scope.partition(" ")[0]
    return KINDS.get(name) or Kind(name, "", f"target {name}", "unknown to this version", disposable=True)


def place_of(scope: str) -> str:
    """Kind.place of disposable hosts; empty for real ones."""
    kind = kind_of(scope)
    return kind.place if kind.disposable else ""


def find_target(name: str) -> Target:
    """The target of this name, imported now.

    Raises:
        ConfigError: it is not installed.
    """
    kind = KINDS[name]
    if not kind.module:
        return _RealHosts()
    lacking = [package for package in kind.packages if not _installed(package)]
    if lacking or not _installed(kind.module):
        what = f"{name} is not installed: Python has no package {' and no '.join(lacking or [kind.module])}"
        raise ConfigError([Problem("target", what, f"`{install_command(name)}`, or `target: ssh` for real hosts")])
    target: Target = importlib.import_module(kind.module).TARGET
    return target


def disposable_target(name: str) -> DisposableTarget:
    """Find a target as find_target does, of a disposable kind."""
    return cast("DisposableTarget", find_target(name))


def disposable_targets() -> list[DisposableTarget]:
    """Return the disposable targets that are installed."""
    kinds = [kind for kind in KINDS.values() if kind.disposable and all(map(_installed, kind.packages))]
    return [disposable_target(kind.name) for kind in kinds]


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


class _RealHosts:
    """The hosts are where the inventory says, and there is one set of them."""

    def prepare(self, config: Config, inventory: Inventory, say: Say) -> Prepared:  # noqa: ARG002  a Target
        return Prepared(config, "ssh")

    def scope(self, config: Config) -> str:  # noqa: ARG002  a Target
        return "ssh"
