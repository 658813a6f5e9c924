"""What a tasks folder says about its settings: their shapes, and what must hold between hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class HostSettings:
    """A host as the checks see it."""

    name: str
    groups: frozenset[str]
    """Also the groups that its groups belong to."""
    settings: Mapping[str, Any]
    """Its own, else its groups', else the defaults; in the form the schema gives them."""
    mistaken: frozenset[str] = frozenset()
    """Settings that it has, with a value that was refused; absent from `settings`, and not to be called missing."""


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


Check = Callable[[Mapping[str, HostSettings]], Iterable[Mistake]]


@dataclass(frozen=True)
class Schema:
    settings: type
    """A TypedDict (total=False): every setting that may stand in the inventory; other names are mistakes."""
    checks: tuple[Check, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What holds for every host where the inventory says nothing."""
    previous: Mapping[str, str] = field(default_factory=dict)
    """Settings of former releases, and what stands in their place."""


def load_schema(package: ModuleType) -> Schema | None:
    """The schema of a tasks package, or None when it has none.

    `SETTINGS = "settings"` in its `__init__` names the module whose SCHEMA it is: a name and not the schema, so that
    finding the components does not import pydantic.
    """
    name = getattr(package, "SETTINGS", None)
    if name is None:
        return None
    schema: Schema = import_module(f"{package.__name__}.{name}").SCHEMA
    return schema
