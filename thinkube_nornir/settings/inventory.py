"""Loads Nornir's inventory from hosts.yaml, groups.yaml and defaults.yaml; every mistake at once, with its line.

The form of the files and what they mean are those of nornir-utils' YAMLInventory. They are not read with it: it stops
at the first fault, without a line, and for fifty hosts it takes longer to read than all of this to read and check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from nornir.core.inventory import (
    ConnectionOptions,
    Defaults,
    Group,
    Groups,
    Host,
    Hosts,
    Inventory,
    ParentGroups,
)

from thinkube_nornir.config import INVENTORY_FILES, Config
from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.settings.config_file import read_config
from thinkube_nornir.settings.inventory_file import (
    InventoryFile,
    check_defaults,
    check_groups,
    check_hosts,
    read_if_there,
)
from thinkube_nornir.settings.inventory_plugin import read_plugin
from thinkube_nornir.settings.schema import HostSettings, Mistake, Rule, Schema, missing
from thinkube_nornir.settings.yaml_source import Source, read_yaml


@dataclass
class _Files:
    hosts: InventoryFile
    groups: InventoryFile
    defaults: InventoryFile

    @property
    def readable(self) -> bool:
        """Whether each is YAML: of one that is not, nothing can be said to be missing."""
        return not any(file.source.problems for file in (self.hosts, self.groups, self.defaults))


def load_inventory(config: Config, schema: Schema | None = None) -> Inventory:
    """Read and check the inventory.

    Args:
        schema: what the tasks folder knows of its settings; without one, settings are taken as they are.

    Raises:
        ConfigError: every mistake in it.
    """
    inventory, problems = read_inventory(config, schema)
    if problems:
        raise ConfigError(problems)
    return inventory


def load_installation(path: Path, schema_of: Callable[[Config], Schema | None]) -> tuple[Config, Inventory]:
    """Read config.yaml and the inventory it names, so that the mistakes of both are reported together.

    Raises:
        ConfigError: every mistake in either.
    """
    config, problems = read_config(path)
    schema = None
    try:
        schema = schema_of(config) if config.tasks.is_dir() else None
    except ConfigError as error:
        problems.extend(error.problems)
    inventory, more = read_inventory(config, schema)
    if problems or more:
        raise ConfigError([*problems, *more])
    return config, inventory


def place_of(config: Config, host: str) -> str:
    """The file and line of a host."""
    hosts, *_ = _sources(config)
    return hosts.where((host,))


def built_in_names(config: Config, schema: Schema | None) -> frozenset[str]:
    """Settings whose default is the tasks folder's own, because defaults.yaml says nothing of them."""
    *_, defaults = _sources(config)
    entries = check_defaults(defaults, schema).entries[""]
    return frozenset(schema.defaults if schema else ()) - frozenset(entries.get("data") or ())


def read_inventory(config: Config, schema: Schema | None) -> tuple[Inventory, list[Problem]]:
    """Return what could be read of the inventory, and every mistake in it."""
    hosts, groups, defaults = _sources(config)
    files = _Files(check_hosts(hosts, schema), check_groups(groups, schema), check_defaults(defaults, schema))
    problems = [*files.hosts.problems, *files.groups.problems, *files.defaults.problems]
    problems += (no_groups := _no_groups(files))
    problems += [*_unknown_groups(files), *_break_cycles(files), *_clashing_names(files)]
    inventory = _build(files, schema.defaults if schema else {})
    problems += _shared_addresses(files, inventory)
    if schema and files.readable and not no_groups:
        problems += _mistakes(files, inventory, schema)
    return inventory, list(dict.fromkeys(problems))  # a wrong default is seen from every host


def _sources(config: Config) -> tuple[Source, Source, Source]:
    """Hosts, groups and defaults, from the files or from another plugin of Nornir's."""
    if config.inventory_plugin not in INVENTORY_FILES:
        return read_plugin(config.inventory_plugin, config.inventory_options)
    folder = config.inventory
    groups, defaults = (read_if_there(folder / name) for name in (config.group_file, config.defaults_file))
    return read_yaml(folder / config.host_file), groups, defaults


def _unknown_groups(files: _Files) -> Iterator[Problem]:
    """Unknown groups are left out of the entries, so that the rest can be built."""
    known = files.groups.entries
    for file in (files.hosts, files.groups):
        for name, entry in file.entries.items():
            for i, group in enumerate(entry.get("groups", ())):
                if group not in known and known:
                    fix = did_you_mean(group, known)
                    yield file.source.problem((name, "groups", i), f"{name}: there is no group {group}", fix)
            entry["groups"] = [group for group in entry.get("groups", ()) if group in known]


def _no_groups(files: _Files) -> list[Problem]:
    """One problem for a file that is missing or empty, in place of one for each host."""
    named = dict.fromkeys(group for entry in files.hosts.entries.values() for group in entry.get("groups", ()))
    if not named or files.groups.entries or files.groups.problems:
        return []
    what = f"is missing or empty, and hosts are in {', '.join(named)}"
    return [Problem(files.groups.source.shown, what, "write into it what the hosts of each group have in common")]


def _break_cycles(files: _Files) -> Iterator[Problem]:
    entries, done = files.groups.entries, set[str]()

    def visit(name: str, above: tuple[str, ...]) -> Iterator[Problem]:
        for parent in tuple(entries[name]["groups"]):
            if parent in (*above, name):
                entries[name]["groups"].remove(parent)
                cycle = " -> ".join([*above, name, parent][(*above, name).index(parent) :])
                yield files.groups.source.problem((name, "groups"), f"groups contain each other: {cycle}")
            elif parent not in done:
                yield from visit(parent, (*above, name))
        done.add(name)

    for name in entries:
        if name not in done:
            yield from visit(name, ())


def _clashing_names(files: _Files) -> Iterator[Problem]:
    for name in files.hosts.entries.keys() & files.groups.entries.keys():
        where = files.groups.source.where((name,))
        yield files.hosts.source.problem((name,), f"{name} is a host and, at {where}, a group", "rename one of them")


def _shared_addresses(files: _Files, inventory: Inventory) -> Iterator[Problem]:
    seen: dict[tuple[str, int | None], str] = {}
    for host in inventory.hosts.values():
        address = (host.hostname or host.name, host.port)
        if address in seen:
            at = (host.name, "hostname")
            yield files.hosts.source.problem(at, f"{host.name} and {seen[address]} have the same hostname {address[0]}")
        seen.setdefault(address, host.name)


def _build(files: _Files, built_in: Mapping[str, Any]) -> Inventory:
    defaults = Defaults(**_attributes(files.defaults.entries.get("", {})))
    defaults.data = {**built_in, **defaults.data}
    groups = Groups(
        {name: Group(name=name, **_attributes(e), defaults=defaults) for name, e in files.groups.entries.items()}
    )
    hosts = Hosts(
        {name: Host(name=name, **_attributes(e), defaults=defaults) for name, e in files.hosts.entries.items()}
    )
    for name, group in groups.items():
        group.groups = ParentGroups(groups[g] for g in files.groups.entries[name]["groups"])
    for name, host in hosts.items():
        host.groups = ParentGroups(groups[g] for g in files.hosts.entries[name]["groups"])
    return Inventory(hosts=hosts, groups=groups, defaults=defaults)


def _attributes(entry: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: ConnectionOptions(**values) for name, values in entry.get("connection_options", {}).items()}
    plain = {key: value for key, value in entry.items() if key not in ("groups", "connection_options")}
    return {**plain, "connection_options": options}


def _mistakes(files: _Files, inventory: Inventory, schema: Schema) -> Iterator[Problem]:
    hosts = {host.name: _settings(files, host) for host in inventory.hosts.values()}
    rules: tuple[Rule, ...] = (partial(missing, schema.required), *schema.rules)
    for mistake in chain.from_iterable(rule(hosts) for rule in rules):
        yield Problem(_where(files, inventory, mistake), mistake.what, mistake.fix)


def _settings(files: _Files, host: Host) -> HostSettings:
    groups = [group.name for group in host.extended_groups()]
    mistaken = [files.hosts.mistaken.get(host.name, ()), files.defaults.mistaken.get("", ())]
    mistaken += [files.groups.mistaken.get(group, ()) for group in groups]
    return HostSettings(host.name, frozenset(groups), host.extended_data(), frozenset().union(*mistaken))


def _where(files: _Files, inventory: Inventory, mistake: Mistake) -> str:
    """The line where the host has the setting from, else that of the host, else the defaults'."""
    if not mistake.host:
        return files.defaults.source.where(("data", mistake.setting))
    host, setting = inventory.hosts[mistake.host], mistake.setting
    if setting in host.data or not setting:
        return files.hosts.source.where((host.name, "data", setting) if setting else (host.name,))
    for group in host.extended_groups():
        if setting in group.data:
            return files.groups.source.where((group.name, "data", setting))
    if ("data", setting) in files.defaults.source.lines:
        return files.defaults.source.where(("data", setting))
    return files.hosts.source.where((host.name,))
