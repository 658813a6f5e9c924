"""The words in which components and shared parts declare settings, and the schema that all of them make.

A fragment is a class `Settings`: names, types, perhaps values that hold where the inventory says nothing, and a line
that says what each is. pydantic, which takes a tenth of a second to import, is used by the engine alone.

    class Settings:
        clock_offset: Annotated[float, Gt(0)] = 0.1
        \"\"\"Seconds that the clock may be off.\"\"\"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class HostSettings:
    """A host as the rules see it."""

    name: str
    groups: frozenset[str]
    """Also the groups that its groups belong to."""
    settings: Mapping[str, Any]
    """Its own, else its groups', else the defaults, else what is built in; in the form the schema gives them."""
    mistaken: frozenset[str] = frozenset()
    """Settings that it has, with a value that was refused; absent from `settings`, and not to be called missing."""

    def lacks(self, name: str) -> bool:
        return name not in self.settings and name not in self.mistaken


@dataclass(frozen=True)
class Mistake:
    """Something that does not hold; the engine finds the line.

    Args:
        host: whose; empty for all hosts, which points at the defaults.
        setting: where that host has it from; empty for the host itself.
    """

    what: str
    fix: str = ""
    host: str = ""
    setting: str = ""


Hosts = Mapping[str, HostSettings]
Rule = Callable[[Hosts], Iterable[Mistake]]
"""What must hold between settings, or between hosts; `RULES` beside a fragment has them."""


@dataclass(frozen=True)
class Valid:
    """Part of a setting's type, `Annotated[str, Valid(image)]`: the function that a value has to pass.

    It returns the value in its one form, or raises ValueError with what it must be.
    """

    form: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self.form, handler(source))


class Required:
    """Part of a setting's type: every host must have it, or every host of these groups."""

    def __init__(self, *groups: str) -> None:
        self.groups = groups


@dataclass(frozen=True)
class Schema:
    """All fragments together."""

    settings: type
    """A TypedDict (total=False): every setting that may stand in the inventory; other names are mistakes."""
    rules: tuple[Rule, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What holds for every host where the inventory says nothing."""
    required: Mapping[str, Required] = field(default_factory=dict)
    previous: Mapping[str, str] = field(default_factory=dict)
    """Settings of earlier releases, and what stands in their place."""


def in_group(hosts: Hosts, group: str, setting: str = "") -> list[HostSettings]:
    """The hosts of a group; only those that have the setting, when one is named."""
    members = (host for host in hosts.values() if group in host.groups)
    return [host for host in members if not setting or setting in host.settings]


def missing(required: Mapping[str, Required], hosts: Hosts) -> Iterable[Mistake]:
    """The required settings that hosts lack. One that no host has is one mistake, not one for each of them."""
    for name, of in required.items():
        wanted = [host for host in hosts.values() if not of.groups or host.groups & {*of.groups}]
        without = [host for host in wanted if host.lacks(name)]
        if without and not of.groups and len(without) == len(hosts):
            yield Mistake(f"setting {name} is missing", "add it to the data of the defaults")
        else:
            yield from (Mistake(f"{host.name}: setting {name} is missing", host=host.name) for host in without)
