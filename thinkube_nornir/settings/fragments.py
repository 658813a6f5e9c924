"""Collects what components and shared parts declare of settings into the one schema of an installation.

A component's fragment is the class `Settings` of its module, or of `settings.py` beside the `__init__` of its package.
`SETTINGS` in the tasks package names the module or package with those that several components share.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from thinkube_nornir.catalog import Catalog
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.settings.schema import Required, Schema
from thinkube_nornir.settings.validation import validate
from thinkube_nornir.task_modules import import_module

CLASS = "Settings"


@dataclass(frozen=True)
class Fragment:
    """The settings that one module declares."""

    title: str
    module: ModuleType
    folder: Path
    """The tasks folder."""

    @property
    def settings(self) -> type:
        found: type = getattr(self.module, CLASS)
        return found

    @property
    def file(self) -> Path:
        return Path(str(self.module.__file__))

    def where(self, name: str = "") -> str:
        """The file that declares a setting, with its line: `tasks/phase5_core_services/ntp.py:16`."""
        shown = str(self.file.relative_to(self.folder.parent))
        lines = self.file.read_text().splitlines() if name else []
        found = [number for number, line in enumerate(lines, 1) if re.match(rf"\s+{name}\s*[:=]", line)]
        return f"{shown}:{found[0]}" if found else shown

    def types(self) -> Mapping[str, Any]:
        """Each setting's type.

        Raises:
            ConfigError: one that cannot be read.
        """
        try:
            return get_type_hints(self.settings, include_extras=True)
        except Exception as error:  # annotations are evaluated here: whatever the author wrote may happen
            what = f"a type of its {CLASS} cannot be read: {type(error).__name__}: {error}"
            raise ConfigError([Problem(self.where(), what, "import what it names, or correct it")]) from error


def load_schema(catalog: Catalog) -> Schema | None:
    """The schema of a tasks folder, or None when nothing in it declares a setting.

    Raises:
        ConfigError: a fragment that is not well formed, or two that declare the same setting.
    """
    found = fragments(catalog)
    if not found:
        return None
    owners = {name: fragment for fragment in found for name in fragment.types()}
    types = {name: fragment.types()[name] for name, fragment in owners.items()}
    typed: type = with_config(ConfigDict(extra="forbid"))(TypedDict(CLASS, types, total=False))  # type: ignore[operator]
    if problems := [*_declared_twice(found), *_without_type(found)]:
        raise ConfigError(problems)
    return Schema(
        typed,
        tuple(rule for fragment in found for rule in getattr(fragment.module, "RULES", ())),
        _defaults(typed, owners),
        {name: part for name, of in types.items() for part in _parts(of) if isinstance(part, Required)},
        {name: text for fragment in found for name, text in getattr(fragment.module, "PREVIOUS", {}).items()},
    )


def fragments(catalog: Catalog) -> list[Fragment]:
    """Those that are shared, then those of the components in the catalog's order."""
    folder = Path(str(catalog.package.__file__)).parent
    titled = [*_shared(catalog, folder), *_of_components(catalog, folder)]
    return [Fragment(title, module, folder) for title, module in titled if _declares(module)]


def _declares(module: ModuleType) -> bool:
    """Whether the class is the module's own, and not one that it imports."""
    return getattr(getattr(module, CLASS, None), "__module__", None) == module.__name__


def _shared(catalog: Catalog, folder: Path) -> Iterator[tuple[str, ModuleType]]:
    name = getattr(catalog.package, "SETTINGS", None)
    if name is None:
        return
    package = import_module(folder, f"{folder.name}.{name}")
    names = sorted(info.name for info in pkgutil.iter_modules(getattr(package, "__path__", ())))
    modules = [package, *(import_module(folder, f"{package.__name__}.{name}") for name in names)]
    for module in modules:
        title = (getattr(getattr(module, CLASS, None), "__doc__", "") or module.__name__).partition("\n")[0]
        yield title.rstrip("."), module


def _of_components(catalog: Catalog, folder: Path) -> Iterator[tuple[str, ModuleType]]:
    for entry in catalog.entries:
        name = f"{folder.name}.{entry.folder}.{entry.name.partition('.')[2]}"
        yield entry.component.title, import_module(folder, name)
        if entry.file.stem == "__init__" and (entry.file.parent / "settings.py").is_file():
            yield entry.component.title, import_module(folder, f"{name}.settings")


def _declared_twice(found: list[Fragment]) -> Iterator[Problem]:
    first: dict[str, Fragment] = {}
    for fragment in found:
        for name in fragment.types():
            other = first.setdefault(name, fragment)
            if other is not fragment:
                what = f"declares the setting {name!r}, which {other.where(name)} declares"
                yield Problem(fragment.where(name), what, "declare it once, among the shared ones if several need it")


def _without_type(found: list[Fragment]) -> Iterator[Problem]:
    """A value without a type would be no setting, of which nobody would know."""
    for fragment in found:
        for name in vars(fragment.settings):
            if not name.startswith("__") and name not in fragment.types():
                what = f"{CLASS} has {name!r} without a type"
                yield Problem(fragment.where(name), what, f"write `{name}: float = ...` with its type")


def _defaults(typed: type, owners: Mapping[str, Fragment]) -> Mapping[str, Any]:
    """What is built in, in the form that the inventory's values have."""
    given = {name: vars(of.settings)[name] for name, of in owners.items() if name in vars(of.settings)}
    try:
        return dict(validate(typed, given))
    except PydanticUserError:
        problems = list(_unusable_types(owners))
    except ValidationError as error:
        refused = [(str(e["loc"][0]), e["msg"].removeprefix("Value error, ")) for e in error.errors()]
        problems = [
            Problem(owners[name].where(name), f"{name}: what is built in is refused: {why}") for name, why in refused
        ]
    raise ConfigError(problems)


def _unusable_types(owners: Mapping[str, Fragment]) -> Iterator[Problem]:
    for name, fragment in owners.items():
        try:
            TypeAdapter(fragment.types()[name])
        except PydanticUserError as error:
            reason = str(error).partition("\n")[0]
            yield Problem(fragment.where(name), f"{name}: its type cannot be checked: {reason}")


def _parts(of: Any) -> tuple[Any, ...]:
    return get_args(of)[1:] if get_origin(of) is Annotated else ()
