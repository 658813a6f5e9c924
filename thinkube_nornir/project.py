"""What stands in the operator's files, read and checked for one command; nothing here touches a host."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from thinkube_nornir import catalog
from thinkube_nornir.catalog import Catalog, Entry
from thinkube_nornir.config import Config
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.secret import Secret

if TYPE_CHECKING:
    from nornir.core.inventory import Host, Inventory

    from thinkube_nornir.settings.schema import Schema

LOGIN_SECRETS = ("THINKUBE_SSH_PASSWORD", "THINKUBE_SUDO_PASSWORD")
"""Asked for in any case, and not missed where keys and sudo without password do."""

T = TypeVar("T")


@dataclass(frozen=True)
class Project:
    config: Config
    catalog: Catalog
    inventory: Inventory
    entries: tuple[Entry, ...]
    """The selected components."""
    hosts: tuple[str, ...]
    """What the limit resolved to."""
    secrets: Mapping[str, Secret] = field(default_factory=dict)

    @property
    def later_phase(self) -> str | None:
        """The phase after the last one selected."""
        phases = list(dict.fromkeys(entry.phase for entry in self.catalog.entries))
        following = phases[phases.index(self.entries[-1].phase) + 1 :]
        return following[0] if following else None

    @property
    def needed(self) -> tuple[Entry, ...]:
        """The selected components, and those that they need directly: their checks run too."""
        return (*self.entries, *self.catalog.needed_by(self.entries))

    def targets(self) -> Iterator[tuple[Entry, str]]:
        """Yield each selected component with each selected host that gets it."""
        for entry in self.entries:
            for host in self.hosts:
                if self.inventory.hosts[host].has_parent_group(entry.component.group):
                    yield entry, host


def load_catalog(path: Path) -> Catalog:
    """Load the components alone, for `list`.

    Raises:
        ConfigError: config.yaml is missing or no YAML, or the tasks folder is wrong.
    """
    return catalog.load(tasks_folder(path))


def tasks_folder(path: Path) -> Path:
    """Return the tasks folder that config.yaml names; checking the rest would cost `list` a third of its time.

    Raises:
        ConfigError: config.yaml is missing or no YAML.
    """
    from thinkube_nornir.settings.yaml_source import read_config_yaml

    source = read_config_yaml(path)
    if source.problems:
        raise ConfigError(source.problems)
    given = source.value.get("tasks", "tasks") if isinstance(source.value, dict) else "tasks"
    return Path(os.path.abspath(path)).parent / str(given)  # noqa: PTH100  as config_file.py has it


def load_hosts(path: Path, limit: str = "") -> tuple[Config, Inventory, list[Host]]:
    """The inventory and its selected hosts, whatever components want of them."""
    from thinkube_nornir.settings.inventory import load_installation
    from thinkube_nornir.settings.selection import select_hosts

    config, inventory = load_installation(path, _schema)
    return config, inventory, [inventory.hosts[name] for name in select_hosts(inventory, limit or None)]


def built_in_names(config: Config) -> frozenset[str]:
    """Settings whose default comes with the components, and not from the inventory."""
    from thinkube_nornir.settings import inventory

    return inventory.built_in_names(config, _schema(config))


def _schema(config: Config) -> Schema | None:
    from thinkube_nornir.settings.fragments import load_schema

    return load_schema(catalog.load(config.tasks))


def load_project(path: Path, selection: Sequence[str], limit: str = "", *, secrets: bool = True) -> Project:
    """Read everything, and report the mistakes of configuration, inventory, selection and limit together.

    Args:
        secrets: whether those that the components need must be at hand, which may run the operator's commands.

    Raises:
        ConfigError: every mistake found.
    """
    from thinkube_nornir.declarations import undeclared_limits, undeclared_settings, with_limits
    from thinkube_nornir.settings.fragments import load_schema
    from thinkube_nornir.settings.inventory import load_installation
    from thinkube_nornir.settings.selection import select_hosts

    problems = _Problems()
    catalogs: list[Catalog] = []

    def schema_of(config: Config) -> Schema | None:
        catalogs.append(catalog.load(config.tasks))
        schema = load_schema(catalogs[0])
        problems.found += undeclared_limits(catalogs[0], config)
        problems.found += undeclared_settings(catalogs[0], schema) if schema else []
        return schema

    installation = problems.attempt(lambda: load_installation(path, schema_of))
    entries = problems.attempt(lambda: catalogs[0].select(selection)) if catalogs else None
    hosts = problems.attempt(lambda: select_hosts(installation[1], limit or None)) if installation else None
    if installation and entries and hosts and not problems.found:
        config = with_limits(catalogs[0], installation[0])
        project = Project(config, catalogs[0], installation[1], entries, tuple(hosts))
        problems.found += missing_settings(project)
        found = problems.attempt(lambda: _secrets(project)) if secrets else {}
        if found is not None and not problems.found:
            return replace(project, secrets=found)
    raise ConfigError(problems.found)


def _secrets(project: Project) -> Mapping[str, Secret]:
    from thinkube_nornir.settings.secret_sources import load_secrets

    names = {name for entry in project.needed if _uses_secrets(project, entry) for name in entry.component.secrets}
    return load_secrets(project.config, sorted(names), optional=LOGIN_SECRETS)


def _uses_secrets(project: Project, entry: Entry) -> bool:
    """Say whether any host of the component uses its secrets: a filtered run still reads the others."""
    hosts = project.inventory.hosts.values()
    return any(entry.component.uses_secrets(h) for h in hosts if h.has_parent_group(entry.component.group))


def missing_settings(project: Project) -> list[Problem]:
    """Every setting that a selected component requires and one of its selected hosts has not."""
    from thinkube_nornir.settings.inventory import place_of

    return [
        Problem(
            place_of(project.config, host),
            f"{host}: {entry.name} needs the setting {name}",
            f"set it for {host} or its groups",
        )
        for entry, host in project.targets()
        for name in entry.component.settings
        if name not in project.inventory.hosts[host].keys()  # noqa: SIM118 a Host is no mapping
    ]


class _Problems:
    """Collects the problems of parts that can be tried independently."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def attempt(self, part: Callable[[], T]) -> T | None:
        try:
            return part()
        except ConfigError as error:
            self.found += error.problems
            return None
