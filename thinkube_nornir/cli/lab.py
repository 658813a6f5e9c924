"""The light lab: up, status, down."""

from __future__ import annotations

from pathlib import Path

import click

from thinkube_nornir.cli import options
from thinkube_nornir.reporting.terminal import Terminal


@click.group("lab")
def lab_verb() -> None:
    """The inventory's hosts on this machine, to try things on."""


@lab_verb.command("up")
@options.common
def up(config: Path, verbose: int, no_color: bool) -> int:
    """Start the lab, unless it runs."""
    from thinkube_nornir.lab.client import ensure_lab, status_lines
    from thinkube_nornir.project import load_hosts

    terminal = Terminal(verbose, False if no_color else None)
    loaded, inventory, _ = load_hosts(config)
    for line in status_lines(ensure_lab(loaded, inventory, terminal.say)):
        terminal.say(line)
    return 0


@lab_verb.command("status")
@options.common
def status(config: Path, verbose: int, no_color: bool) -> int:
    """Say whether the lab runs, and how to log in to its hosts."""
    from thinkube_nornir.config import load_config
    from thinkube_nornir.lab.client import lab_status, status_lines

    terminal = Terminal(verbose, False if no_color else None)
    for line in status_lines(lab_status(load_config(config))):
        terminal.say(line)
    return 0


@lab_verb.command("down")
@options.common
def down(config: Path, verbose: int, no_color: bool) -> int:
    """End the lab, unless a run is under way on it; nothing of its hosts is left."""
    from thinkube_nornir import lock
    from thinkube_nornir.config import load_config
    from thinkube_nornir.lab.client import lab_down

    terminal = Terminal(verbose, False if no_color else None)
    loaded = load_config(config)
    with lock.hold(loaded.state, "lab down"):
        info = lab_down(loaded)
    terminal.say(f"lab: ended, with its {len(info.hosts)} hosts" if info else "lab: none was running")
    return 0
