"""Which hosts are meant by -l among those that the journal knows: the inventory of today may have others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import ConfigError, Problem


def past_hosts(limit: str, known: Sequence[str], config: Path) -> tuple[str, ...]:
    """The hosts that a limit names: hosts, groups of today's inventory, `!` exclusions; empty for all.

    Raises:
        ConfigError: a name is neither a host of the journal nor a group, or no host is left.
    """
    if not limit:
        return ()
    words = [word.strip() for word in limit.split(",")]
    names = [word.removeprefix("!").strip() for word in words]
    groups = _groups(config, known) if set(names) - set(known) else {}
    meant = {**groups, **{host: [host] for host in known}}
    problems = [
        Problem("-l/--limit", f"there is no host or group {name} in these runs", did_you_mean(name, [*meant]))
        for name in names
        if name not in meant
    ]
    if problems:
        raise ConfigError(problems)
    pairs = list(zip(words, names, strict=True))
    chosen = {host for word, name in pairs if not word.startswith("!") for host in meant[name]}
    excluded = {host for word, name in pairs if word.startswith("!") for host in meant[name]}
    every = all(word.startswith("!") for word in words)
    hosts = tuple(host for host in known if (every or host in chosen) and host not in excluded)
    if not hosts:
        raise ConfigError([Problem("-l/--limit", f"{limit} selects no host of these runs")])
    return hosts


def _groups(config: Path, known: Sequence[str]) -> Mapping[str, list[str]]:
    """Groups and which of the known hosts are in them; none where the inventory cannot be read."""
    from thinkube_nornir.project import load_hosts  # costs what a look at hosts alone need not pay

    try:
        _, inventory, _ = load_hosts(config)
    except ConfigError:
        return {}
    hosts = [inventory.hosts[name] for name in known if name in inventory.hosts]
    return {group: [host.name for host in hosts if host.has_parent_group(group)] for group in inventory.groups}
