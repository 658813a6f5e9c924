"""trust: show the hosts' SSH keys and add them to known_hosts. Nothing else ever adds a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinkube_nornir.cli import options
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.reporting.terminal import Terminal
from thinkube_nornir.target import kind_of

if TYPE_CHECKING:
    from thinkube_nornir.config import Config
    from thinkube_nornir.remote.host_keys import Scanned

_ADVICE = "compare with each host's console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"


@click.command("trust")
@options.limited
@click.option(
    "--fingerprint",
    "expected",
    multiple=True,
    metavar="HOST=SHA256:...",
    help="Accept this host's key without asking, if it has this fingerprint. May be repeated.",
)
def trust_verb(config: Path, verbose: int, no_color: bool, limit: str, expected: tuple[str, ...]) -> int:
    """Show the hosts' SSH keys, and accept those that you recognise."""
    from thinkube_nornir.remote.host_keys import accept

    terminal = Terminal(verbose, False if no_color else None)
    fingerprints = _parse(expected)
    loaded, rows = _scan(config, limit, fingerprints)
    _show(rows, terminal)
    wrong = [row for row in rows if row.key and fingerprints.get(row.host, row.key.fingerprint) != row.key.fingerprint]
    for row in wrong:
        terminal.error(f"error: {row.host} has another key than --fingerprint says: nothing was accepted for it")
    named = [row for row in rows if row.host in fingerprints and row not in wrong]
    open_rows = [row for row in rows if row.state in ("new", "changed") and row.host not in fingerprints]
    agreed = _ask(open_rows, terminal) if open_rows else []
    written = accept(loaded.ssh.known_hosts, [*named, *agreed], replace=True)
    if written:
        terminal.say(f"accepted {', '.join(row.host for row in written)} in {loaded.ssh.known_hosts}")
    silent = [row for row in rows if row.state == "silent"]
    if wrong or silent:
        return 1
    return 0 if len(agreed) == len(open_rows) else 2


def _parse(expected: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in expected]
    problems = [
        Problem(
            "--fingerprint", f"{host}{equals}{value} is not of the form HOST=SHA256:...", "as ssh-keygen -l prints it"
        )
        for host, equals, value in pairs
        if not host or not value.startswith("SHA256:")
    ]
    if problems:
        raise ConfigError(problems)
    return {host: value.rstrip("=") for host, _, value in pairs}


def _scan(path: Path, limit: str, fingerprints: Mapping[str, str]) -> tuple[Config, list[Scanned]]:
    from thinkube_nornir.project import load_hosts
    from thinkube_nornir.remote.connection import login_of
    from thinkube_nornir.remote.host_key_scan import scan

    config, _, hosts = load_hosts(path, limit)
    kind = kind_of(config.target)
    if kind.disposable:
        what = f"{kind.place} accepts the keys of its own hosts"
        raise ConfigError([Problem("trust", what, "for real hosts, set target: ssh")])
    names = [host.name for host in hosts]
    unknown = [
        Problem("--fingerprint", f"{name} is not among the hosts", "") for name in fingerprints if name not in names
    ]
    if unknown:
        raise ConfigError(unknown)
    return config, scan([login_of(host, config, {}) for host in hosts])


def _show(rows: Sequence[Scanned], terminal: Terminal) -> None:
    from thinkube_nornir.reporting.matrix import table

    for line in table(("host", "state", "key"), [(row.host, row.state, _fingerprint(row)) for row in rows]):
        terminal.say(line)
    for row in rows:
        if row.state == "changed":
            known = ", ".join(map(str, row.known))
            terminal.say(f"{row.host}: the key has CHANGED; accepted is {known}. Was the host installed anew?")


def _fingerprint(row: Scanned) -> str:
    if row.key:
        return str(row.key)
    return row.error.what if row.error else ""


def _ask(rows: Sequence[Scanned], terminal: Terminal) -> list[Scanned]:
    """Ask which keys the operator recognises: new ones together, each changed one by itself."""
    if not terminal.interactive:
        names = ", ".join(row.host for row in rows)
        terminal.error(f"error: nobody can be asked about {names} here (give --fingerprint HOST=SHA256:...)")
        return []
    terminal.say(_ADVICE)
    new = [row for row in rows if row.state == "new"]
    changed = [row for row in rows if row.state == "changed"]
    agreed = new if new and click.confirm(f"Accept the new keys of {', '.join(row.host for row in new)}?") else []
    return agreed + [row for row in changed if click.confirm(f"Replace the key of {row.host}?")]
