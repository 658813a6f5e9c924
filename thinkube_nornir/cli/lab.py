"""The light lab: up, status, fault, down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from thinkube_nornir.cli import options
from thinkube_nornir.cli.group import NamingGroup
from thinkube_nornir.program import command
from thinkube_nornir.reporting.terminal import Terminal
from thinkube_nornir.target import disposable_target, disposable_targets, find_target

if TYPE_CHECKING:
    from thinkube_nornir.config import Config
    from thinkube_nornir.errors import Problem
    from thinkube_nornir.lab.client import LabInfo

_NONE = "no lab is running; `lab up`, or any command with `target: lab`, starts one"


@click.group("lab", cls=NamingGroup)
def lab_verb() -> None:
    """The inventory's hosts on this machine, to try things on."""
    find_target("lab")  # says what to install when it is not there


class _FaultCommand(click.Command):
    """A command whose help lists the faults that the lab knows."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from thinkube_nornir.lab.faults import FAULTS

        super().format_help_text(ctx, formatter)
        with formatter.section("KIND is one of"):
            numbered = {kind: what.replace("`seconds`", "--seconds") for kind, what in FAULTS.items()}
            formatter.write_dl([(kind, what.replace("`count`", "--count")) for kind, what in numbered.items()])


@lab_verb.command("up")
@click.option("--full", is_flag=True, help="Ubuntu in containers, for `target: full-lab`: minutes, and root.")
@options.common
def up(full: bool, config: Path, verbose: int, no_color: bool) -> int:
    """Start the lab, unless it runs."""
    from thinkube_nornir.project import load_hosts

    terminal = Terminal(verbose, False if no_color else None)
    target = disposable_target("full-lab" if full else "lab")
    loaded, inventory, _ = load_hosts(config)
    for line in target.up(loaded, inventory, terminal.say):
        terminal.say(line, wrap=_is_prose(line))
    return 0


@lab_verb.command("status")
@options.common
def status(config: Path, verbose: int, no_color: bool) -> int:
    """Say whether the lab runs, how to log in to its hosts, and which of its behaviour is unproven."""
    from thinkube_nornir.settings.config_file import load_config

    terminal = Terminal(verbose, False if no_color else None)
    loaded = load_config(config)
    running = [line for target in disposable_targets() for line in target.status(loaded)]
    for line in [*(running or [_NONE]), *_unproven(loaded, terminal)]:
        terminal.say(line, wrap=_is_prose(line))
    return 0


def _is_prose(line: str) -> bool:
    """Commands to log in to hosts are none: they are copied as they stand."""
    return not line.startswith("  ")


def _unproven(config: Config, terminal: Terminal) -> Iterator[str]:
    """What the emulation does without that anybody could read that the real thing does it."""
    from thinkube_nornir import lab
    from thinkube_nornir.lab.sources import read_in

    emulation = config.tasks.joinpath(*config.lab.emulation.split("."))
    found = [u for folder in (emulation, Path(lab.__path__[0])) if folder.is_dir() for u in read_in(folder)[1]]
    if found and not terminal.verbose:
        yield f"unproven: {len(found)} things that the lab does, as no source of them could be read; -v lists them"
        return
    if found:
        yield "unproven, as no source of it could be read (docs/reality.md: what is proven, how):"
    for unproven in found:
        text = f"{unproven.file.stem}: {unproven.what}"
        yield from wrap(text, terminal.width, initial_indent="  ", subsequent_indent="    ")


@lab_verb.command("fault", cls=_FaultCommand, short_help="Break something about a host, or repair it.")
@click.argument("host")
@click.argument("kind")
@click.option("--seconds", type=click.FloatRange(0, 3600), metavar="N", help="Of slow and sshd; 0.5 when left out.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Bytes, of cut.")
@options.common
def fault(
    host: str, kind: str, seconds: float | None, count: int | None, config: Path, verbose: int, no_color: bool
) -> int:
    """Break something about a host of the running lab, or repair it."""
    from thinkube_nornir.errors import ConfigError
    from thinkube_nornir.lab.client import lab_fault, lab_status
    from thinkube_nornir.lab.faults import REPAIR
    from thinkube_nornir.settings.config_file import load_config

    terminal = Terminal(verbose, False if no_color else None)
    loaded = load_config(config)
    numbers = {name: n for name, n in (("seconds", seconds), ("count", count)) if n is not None}
    if problems := [*_problems(lab_status(loaded), host, kind, numbers)]:
        raise ConfigError(problems)
    lab_fault(loaded, host, kind, **numbers)
    terminal.say(
        f"lab: {host} is repaired"
        if kind == REPAIR
        else f"lab: {host} is {kind}; `{command('lab', 'fault', host, REPAIR)}` repairs it"
    )
    return 0


def _problems(lab: LabInfo | None, host: str, kind: str, numbers: Mapping[str, float]) -> Iterator[Problem]:
    """What is wrong with the fault that was asked for; hosts are known while a lab runs."""
    from thinkube_nornir.did_you_mean import did_you_mean
    from thinkube_nornir.errors import Problem
    from thinkube_nornir.lab.faults import FAULTS, TAKES

    if lab and host not in lab.hosts:
        yield Problem("HOST", f"the lab has no host {host}", did_you_mean(host, lab.hosts))
    if kind not in FAULTS:
        yield Problem("KIND", f"the lab knows no fault {kind}", did_you_mean(kind, FAULTS))
    for name in numbers.keys() - {TAKES.get(kind)} if kind in FAULTS else ():
        takers = " and ".join(taker for taker, number in TAKES.items() if number == name)
        yield Problem(f"--{name}", f"means nothing to {kind}", f"it is for {takers}")


@lab_verb.command("down")
@options.common
def down(config: Path, verbose: int, no_color: bool) -> int:
    """End the lab, light or full, unless a run is in progress on it; nothing of its hosts is left.

    What is proven on these hosts alone is open again in the task list.
    """
    from thinkube_nornir import lock
    from thinkube_nornir.settings.config_file import load_config

    terminal = Terminal(verbose, False if no_color else None)
    loaded = load_config(config)
    with lock.hold(loaded.state, "lab down"):
        hosts = sum(target.down(loaded) for target in disposable_targets())
    terminal.say(f"lab: ended, with its {hosts} hosts" if hosts else "lab: none was running")
    if hosts:
        for line in _opened_tasks(loaded):
            terminal.say(line)
    return 0


def _opened_tasks(config: Config) -> Iterator[str]:
    """What becomes of the tasks that cite a run on these hosts."""
    from thinkube_nornir.checklist.document import parse
    from thinkube_nornir.checklist.script import LIST

    path = config.root / LIST
    tasks = parse(path.read_bytes()).tasks if path.is_file() else ()
    if count := sum(bool(task.evidence and task.evidence.place) for task in tasks):
        yield f"     tasks of {LIST} proven on it alone: {count}; `{command('checklist', 'sync')}` opens them again"
