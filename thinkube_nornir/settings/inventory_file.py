"""One inventory file in Nornir's form: hosts.yaml, groups.yaml or defaults.yaml, checked key by key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import AfterValidator, ConfigDict, with_config
from typing_extensions import TypedDict

from thinkube_nornir.errors import Problem
from thinkube_nornir.settings import login
from thinkube_nornir.settings.schema import Schema
from thinkube_nornir.settings.validation import check
from thinkube_nornir.settings.yaml_source import Location, Source, read_yaml, shown

_FIXES = {
    "password": "never in a file of the inventory: give it as THINKUBE_SSH_PASSWORD, see `secrets` in config.yaml",
    "ansible_host": "Nornir calls it hostname",
    "ansible_user": "Nornir calls it username",
    "ansible_port": "Nornir calls it port",
}
_HOST = re.compile(r"(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_CLOSED = ConfigDict(extra="forbid")
Hostname = Annotated[str, AfterValidator(login.hostname)]
Port = Annotated[int, Ge(1), Le(65535)]
Username = Annotated[str, AfterValidator(login.username)]


@with_config(_CLOSED)
class ConnectionEntry(TypedDict, total=False):
    hostname: Hostname
    port: Port
    username: Username
    platform: str
    extras: dict[str, Any]


@with_config(_CLOSED)
class DefaultsEntry(TypedDict, total=False):
    hostname: Hostname
    port: Port
    username: Username
    platform: str
    data: dict[str, Any]
    connection_options: dict[str, ConnectionEntry]


@with_config(_CLOSED)
class Entry(TypedDict, total=False):
    """A host or a group."""

    hostname: Hostname
    port: Port
    username: Username
    platform: str
    data: dict[str, Any]
    connection_options: dict[str, ConnectionEntry]
    groups: list[str]


@dataclass
class InventoryFile:
    source: Source
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Nornir's keys by host or group; the defaults stand under "". `data` holds only settings the schema accepts."""
    mistaken: dict[str, frozenset[str]] = field(default_factory=dict)
    """Settings whose value was refused, by host or group."""
    problems: list[Problem] = field(default_factory=list)


def check_hosts(source: Source, schema: Schema | None) -> InventoryFile:
    file = _check_named(source, schema, _HOST, "lower case letters, digits and hyphens, as in a DNS name")
    if not file.entries and not file.problems:
        file.problems.append(Problem(file.source.shown, "no hosts", "add the first one"))
    return file


def check_groups(source: Source, schema: Schema | None) -> InventoryFile:
    return _check_named(source, schema, _GROUP, "letters, digits, hyphens and underscores")


def check_defaults(source: Source, schema: Schema | None) -> InventoryFile:
    file = InventoryFile(source, problems=list(source.problems))
    _read_entry(file, "", DefaultsEntry, source.value, schema)
    return file


def read_if_there(path: Path) -> Source:
    """A file that may be absent, as those of groups and defaults may."""
    return read_yaml(path) if path.exists() else Source(shown(path))


def _check_named(source: Source, schema: Schema | None, pattern: re.Pattern[str], allowed: str) -> InventoryFile:
    file = InventoryFile(source, problems=list(source.problems))
    value = source.value or {}
    if not isinstance(value, dict):
        file.problems.append(file.source.problem((), "must be a mapping from names to their keys"))
        return file
    file.problems.extend(_bad_names(file.source, value, pattern, allowed))
    for name, entry in value.items():
        _read_entry(file, name, Entry, entry, schema)
    return file


def _bad_names(source: Source, names: dict[str, Any], pattern: re.Pattern[str], allowed: str) -> Iterator[Problem]:
    for name in names:
        if not pattern.fullmatch(name):
            yield source.problem((name,), f"{name!r} cannot be a name here", f"use {allowed}")


def _read_entry(file: InventoryFile, name: str, kind: Any, value: Any, schema: Schema | None) -> None:
    at: Location = (name,) if name else ()
    checked = check(kind, value, file.source, at, _FIXES)
    file.problems.extend(checked.problems)
    file.entries[name] = checked.value
    if schema is None or "data" not in checked.value:
        return
    data = check(schema.settings, checked.value["data"], file.source, (*at, "data"), {**_FIXES, **schema.previous})
    file.problems.extend(data.problems)
    file.entries[name]["data"] = data.value
    file.mistaken[name] = data.mistaken
