"""The light lab: up, status, down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from thinkube_nornir.cli import options
from thinkube_nornir.reporting.terminal import Terminal

if TYPE_CHECKING:
    from thinkube_nornir.config import Config


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
        terminal.say(line, wrap=_is_prose(line))
    return 0


@lab_verb.command("status")
@options.common
def status(config: Path, verbose: int, no_color: bool) -> int:
    """Say whether the lab runs, how to log in to its hosts, and which of its behaviour is unproven."""
    from thinkube_nornir.config import load_config
    from thinkube_nornir.lab.client import lab_status, status_lines

    terminal = Terminal(verbose, False if no_color else None)
    loaded = load_config(config)
    for line in [*status_lines(lab_status(loaded)), *_unproven(loaded, terminal.width)]:
        terminal.say(line, wrap=_is_prose(line))
    return 0


def _is_prose(line: str) -> bool:
    """Commands to log in to hosts are none: they are copied as they stand."""
    return not line.startswith("  ")


def _unproven(config: Config, width: int) -> Iterator[str]:
    """What the emulation does without that anybody could read that the real thing does it."""
    from thinkube_nornir import lab
    from thinkube_nornir.lab.sources import read_in

    emulation = config.tasks.joinpath(*config.lab.emulation.split("."))
    found = [u for folder in (emulation, Path(lab.__path__[0])) if folder.is_dir() for u in read_in(folder)[1]]
    if found:
        yield "unproven, as no source of it could be read (docs/reality.md: what is proven, how):"
    for unproven in found:
        yield from wrap(f"{unproven.file.stem}: {unproven.what}", width, initial_indent="  ", subsequent_indent="    ")


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
