"""config.yaml as it stands in the file: Nornir's sections under Nornir's names, and own ones beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from thinkube_nornir import operator_file
from thinkube_nornir.config import (
    CLOSED,
    INVENTORY_FILES,
    Config,
    LabSettings,
    LoggingSettings,
    SecretSources,
    SSHSettings,
    Timeouts,
)
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.settings.validation import check
from thinkube_nornir.settings.yaml_source import Source, read_config_yaml
from thinkube_nornir.target import CHOICES

_FIXES = {
    "runner": "the plan has a runner of its own; `workers` says how many steps run at once",
    "core": "errors are always kept as results; remove the section",
    "user_defined": "settings belong in the inventory",
    "transform_function": "secrets come from the sources under `secrets`",
}


@dataclass(frozen=True)
class _InventoryOptions:
    __pydantic_config__ = CLOSED

    host_file: Path = Path("inventory/hosts.yaml")
    group_file: Path = Path("inventory/groups.yaml")
    defaults_file: Path = Path("inventory/defaults.yaml")


@dataclass(frozen=True)
class _InventorySection:
    __pydantic_config__ = CLOSED

    plugin: str = INVENTORY_FILES[0]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _File:
    __pydantic_config__ = CLOSED

    target: Literal["lab", "full-lab", "ssh"] = "lab"  # of a file without it, which is refused
    tasks: Path = Path("tasks")
    templates: Path = Path("templates")
    state: Path = Path(".thinkube")
    inventory: _InventorySection = field(default_factory=_InventorySection)
    workers: Annotated[int, Ge(1)] = 64
    concurrency: Mapping[str, Annotated[int, Ge(1)]] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)
    ssh: SSHSettings = field(default_factory=SSHSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    lab: LabSettings = field(default_factory=LabSettings)
    secrets: SecretSources = field(default_factory=SecretSources)


def load_config(path: Path) -> Config:
    """Read config.yaml.

    Raises:
        ConfigError: every mistake in it, with its line.
    """
    config, problems = read_config(path)
    if problems:
        raise ConfigError(problems)
    return config


def read_config(path: Path) -> tuple[Config, list[Problem]]:
    """Return what config.yaml says, with defaults for what is mistaken, and every mistake in it.

    Raises:
        ConfigError: it is no YAML; of what it names nothing can be said then.
    """
    source = read_config_yaml(path)
    if source.problems and source.value is None:
        raise ConfigError(source.problems)
    checked = check(_File, source.value, source, fixes=_FIXES)
    section = checked.value.inventory
    given = section.options if section.plugin in INVENTORY_FILES else {}
    files = check(_InventoryOptions, given, source, ("inventory", "options"))
    root = Path(os.path.abspath(path)).parent  # noqa: PTH100  (resolve() would follow a linked config.yaml)
    config = _config(root, checked.value, files.value)
    missing = [*_missing_target(source), *_unusable_paths(source, checked.value, config)]
    return config, [*source.problems, *checked.problems, *files.problems, *missing]


def _config(root: Path, file: _File, files: _InventoryOptions) -> Config:
    def absolute(path: Path) -> Path:
        return Path(os.path.abspath(root / os.path.expanduser(path)))  # noqa: PTH100, PTH111  (`~nobody` must not raise)

    def optional(path: Path | None) -> Path | None:
        return path and absolute(path)

    def kept_in_state(path: Path, default: Path) -> Path:
        return absolute(file.state / default.name if path == default else path)

    ssh = file.ssh
    return Config(
        root=root,
        target=file.target,
        tasks=absolute(file.tasks),
        templates=absolute(file.templates),
        inventory=absolute(files.host_file).parent,
        state=absolute(file.state),
        host_file=absolute(files.host_file),
        group_file=absolute(files.group_file),
        defaults_file=absolute(files.defaults_file),
        inventory_plugin=file.inventory.plugin,
        inventory_options=file.inventory.options,
        workers=file.workers,
        concurrency=file.concurrency,
        timeouts=file.timeouts,
        ssh=replace(
            ssh,
            config_file=optional(ssh.config_file),
            key_file=optional(ssh.key_file),
            known_hosts=kept_in_state(ssh.known_hosts, SSHSettings.known_hosts),
        ),
        lab=file.lab,
        secrets=replace(file.secrets, file=optional(file.secrets.file)),
        logging=replace(file.logging, log_file=kept_in_state(file.logging.log_file, LoggingSettings.log_file)),
    )


def _missing_target(source: Source) -> Iterator[Problem]:
    """Nobody gets real hosts, or a copy of them, without having asked for it."""
    unread = bool(source.problems)
    if (source.value is None and not unread) or (isinstance(source.value, dict) and source.value.get("target") is None):
        yield source.problem((), "target is missing: nothing says which hosts these are", CHOICES)


def _unusable_paths(source: Source, file: _File, config: Config) -> Iterator[Problem]:
    """What the operator names must be there, and files must be ones; the tasks folder must be there in any case."""
    if ("templates",) in source.lines and not config.templates.is_dir():
        yield source.problem(("templates",), f"templates: there is no folder {file.templates}")
    named = {
        "config_file": (file.ssh.config_file, config.ssh.config_file),
        "key_file": (file.ssh.key_file, config.ssh.key_file),
        "known_hosts": (file.ssh.known_hosts, config.ssh.known_hosts),
    }
    for name, (typed, path) in named.items():
        try:
            if path and (name != "known_hosts" or path.exists()):
                operator_file.read(path)
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            what = f"there is no {typed}" if gone else f"{typed} cannot be read: {error.strerror}"
            yield source.problem(("ssh", name), f"ssh.{name}: {what}")
    if source.lines and not config.tasks.is_dir():
        yield source.problem(("tasks",), f"tasks: there is no folder {file.tasks}", _beside(config.root))


def _beside(root: Path) -> str:
    return f"paths start at the folder of config.yaml, {root}"
