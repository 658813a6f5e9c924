"""The verbs that only read the operator's files: list, inventory, render."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinkube_nornir.cli import options
from thinkube_nornir.reporting.terminal import Terminal

if TYPE_CHECKING:
    from nornir.core.inventory import Host

    from thinkube_nornir.catalog import Entry
    from thinkube_nornir.rendering import Rendered


@click.command("list")
@click.argument("selection", nargs=-1)
@options.common
def list_verb(selection: tuple[str, ...], config: Path, verbose: int, no_color: bool) -> int:
    """List phases and components, in their order."""
    from thinkube_nornir.project import load_catalog

    terminal = Terminal(verbose, False if no_color else None)
    entries = load_catalog(config).select(selection or ("all",))
    names = max(len(entry.name) for entry in entries)
    groups = max(len(entry.component.group) for entry in entries)
    for entry in entries:
        terminal.say(f"{entry.name:<{names}}  {entry.component.group:<{groups}}  {entry.component.title}")
        if verbose:
            _say_more(entry, terminal)
    return 0


def _say_more(entry: Entry, terminal: Terminal) -> None:
    from thinkube_nornir.component import Here

    component = entry.component
    for chain in ("preconditions", "setup", "verify", "rollback"):
        steps = getattr(component, chain).steps
        _say_words(chain, [f"{s.name} (once, on {s.on})" if s.on else s.name for s in steps], terminal)
    needs = [f"{need} (same host)" if isinstance(need, Here) else need for need in component.needs]
    _say_words("needs", needs, terminal)
    _say_words("settings", component.settings, terminal)
    _say_words("secrets", component.secrets, terminal)


def _say_words(name: str, words: Sequence[str], terminal: Terminal) -> None:
    if words:
        terminal.say(f"    {name:<14}{', '.join(words)}")


@click.command("inventory")
@options.limited
def inventory_verb(config: Path, verbose: int, no_color: bool, limit: str) -> int:
    """Check the inventory; show each host's settings, and where from."""
    from thinkube_nornir.project import built_in_names, load_project

    terminal = Terminal(verbose, False if no_color else None)
    project = load_project(config, ("all",), limit, secrets=False)
    built_in = built_in_names(project.config)
    for position, name in enumerate(project.hosts):
        if position:
            terminal.say()
        _say_host(project.inventory.hosts[name], built_in, terminal)
    return 0


def _say_host(host: Host, built_in: frozenset[str], terminal: Terminal) -> None:
    from thinkube_nornir.inputs import masked

    groups = ", ".join(group.name for group in host.extended_groups())
    terminal.say(f"{host.name}  ({groups or 'in no group'})")
    for name in ("hostname", "port", "username", "platform"):
        value = getattr(host, name)
        if value is not None:
            terminal.say(f"  {name} = {value}")
    for name in sorted(host.keys()):
        terminal.say(f"  {name} = {masked({name: host[name]})[name]}    ({_origin(host, name, built_in)})")


def _origin(host: Host, name: str, built_in: frozenset[str]) -> str:
    """Where Nornir finds a setting: the host, its first group that has it, the defaults, or the built-in defaults."""
    if name in host.data:
        return "host"
    for group in host.extended_groups():
        if name in group.data:
            return f"group {group.name}"
    return "built in" if name in built_in else "defaults"


@click.command("render")
@options.selection
@options.limited
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Write below this folder.")
def render_verb(
    selection: tuple[str, ...], config: Path, verbose: int, no_color: bool, limit: str, output: Path | None
) -> int:
    """Render templates for hosts; touches none."""
    from thinkube_nornir.rendering import render_all

    terminal = Terminal(verbose, False if no_color else None)
    files = render_all(config, selection, limit)
    for rendered in files:
        if rendered.unknown:
            continue
        if output:
            terminal.say(_written(rendered, output))
        else:
            terminal.say(f"# {rendered.component} on {rendered.host}: {rendered.template}")
            terminal.raw(rendered.text)
    if not files:
        terminal.error(f"{' '.join(selection)}: no component among these owns a template")
    return _say_unknown(files, terminal)


def _say_unknown(files: Sequence[Rendered], terminal: Terminal) -> int:
    """Exit code 1 when a template was left out."""
    unknown = {rendered.template: rendered.unknown for rendered in files if rendered.unknown}
    for template, why in unknown.items():
        terminal.error(f"left out: {template}: {why} in the inventory; the component gives it in a run")
    if unknown:
        terminal.error("`plan --diff` shows files as a run would write them")
    return 1 if unknown else 0


def _written(rendered: Rendered, output: Path) -> str:
    path = output / rendered.host / rendered.template.removesuffix(".j2")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(rendered.text)
    return str(path)
