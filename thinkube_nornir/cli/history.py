"""The verbs that read the journal: history, show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from thinkube_nornir.cli import options
from thinkube_nornir.program import command
from thinkube_nornir.reporting.terminal import Terminal, clean
from thinkube_nornir.target import KINDS

if TYPE_CHECKING:
    from thinkube_nornir.history.runs import Listed, PastRun
    from thinkube_nornir.history.steps import Steps
    from thinkube_nornir.journal import Journal, NodeRecord

F = TypeVar("F", bound=Callable[..., Any])

_VERBS = ("plan", "run", "verify", "rollback")
_VERDICTS = ("green", "pending", "failed", "interrupted", "killed", "running")
_CHAINS = ("preconditions", "setup", "verify", "rollback")
_OUTCOMES = ("changed", "planned", "passed", "unchanged", "skipped", "failed", "unfinished")
_AS_WANTED = ("passed", "unchanged")
_FOLDED = (*_AS_WANTED, "skipped")
_MORE = ("verb", "outcome", "time", "changed", "failed", "selection")


def _word(name: str, *declared: str, words: Collection[str], **more: Any) -> Callable[[F], F]:
    """An option that takes one of some words; a misspelt one gets the nearest."""

    def known(_: click.Context, __: click.Parameter, given: Any) -> Any:
        from thinkube_nornir.did_you_mean import did_you_mean

        for word in given if isinstance(given, tuple) else filter(None, (given,)):
            if word not in words:
                raise click.BadParameter(f"there is no {word} ({did_you_mean(word, words)})")
        return given

    return click.option(name, *declared, metavar="|".join(words), callback=known, **more)


def _since(_: click.Context, __: click.Parameter, given: str | None) -> float:
    from thinkube_nornir.history.moments import moment

    try:
        return moment(given, datetime.now().astimezone()) if given is not None else 0.0
    except ValueError as error:
        raise click.BadParameter(f"{given!r} is no moment: {error}") from None


class PastRunCommand(click.Command):
    """-1 is a run's name here, if a wrong one, and not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        wrong = next((arg for arg in args if arg[:1] == "-" and arg[1:].isdigit()), None)
        if wrong:
            raise click.UsageError(f"there is no run {wrong} (counted from the end they are last, last-1, last-2)", ctx)
        return super().parse_args(ctx, args)


_HOSTS = click.option(
    "-l", "--limit", "--host", "limit", metavar="HOSTS", callback=options.names_hosts, help="On these hosts or groups."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="For machines: docs/history.md says what is in it.")


@click.command("history")
@_word("--verb", "verbs", words=_VERBS, multiple=True, help="Only these; may be repeated.")
@_word("--outcome", "verdicts", words=_VERDICTS, multiple=True, help="How it ended; may be repeated.")
@click.option("-s", "--selection", "selections", multiple=True, metavar="NAME", help="Of this phase or component.")
@_HOSTS
@_word("--target", words=sorted(KINDS), help="On the hosts of this target.")
@click.option(
    "--since", metavar="WHEN", callback=_since, help="2026-11-27, 2026-11-27T17:30, today, 30min, 2h, 3d, 1w."
)
@click.option("-n", "--number", type=click.IntRange(1), default=20, show_default=True, help="How many runs.")
@_JSON
@options.common
def history_verb(
    config: Path, verbose: int, no_color: bool, limit: str, number: int, as_json: bool, **wanted: Any
) -> int:
    """List the latest runs, newest first."""
    from thinkube_nornir.history import as_json as json_form
    from thinkube_nornir.history.hosts import past_hosts
    from thinkube_nornir.history.reading import past_journal
    from thinkube_nornir.history.runs import Wanted, listed, matching
    from thinkube_nornir.settings.config_file import load_config

    terminal = Terminal(verbose, False if no_color else None)
    with past_journal(load_config(config)) as journal:
        _must_be_known(wanted["selections"], journal, config)
        hosts = past_hosts(limit, journal.hosts(), config) if limit else ()
        asked = Wanted(**{**wanted, "target": wanted["target"] or ""}, hosts=hosts)
        found = matching(journal, asked)
        latest = [listed(journal, run) for run in found[:number]]
    if as_json:
        terminal.raw(json_form.text(json_form.history(latest, len(found))))
    else:
        _list(latest, len(found), asked != Wanted(), terminal)
    return 0


def _must_be_known(names: Collection[str], journal: Journal, config: Path) -> None:
    """Names that no run had must at least be in the catalog.

    Raises:
        ConfigError: there is no such phase or component; with the near one.
    """
    from thinkube_nornir.project import load_catalog

    components = journal.components() if names else []
    known = {"all", *components, *(name.partition(".")[0] for name in components)}
    unknown = tuple(name for name in names if name not in known)
    if unknown:
        load_catalog(config).select(unknown)


def _list(found: Collection[Listed], total: int, filtered: bool, terminal: Terminal) -> None:
    from thinkube_nornir.history.runs import VERDICTS, counted
    from thinkube_nornir.reporting.rendering import render

    if found:
        lines = _fitting(("run", "when", "target", *_MORE), [_cells(each) for each in found], _room(terminal))
        terminal.say(render("history.txt.j2", table=lines).rstrip("\n"))
    verdicts = counted((each.verdict for each in found), VERDICTS)
    text = render("history_summary.txt.j2", shown=len(found), total=total, filtered=filtered, verdicts=verdicts).rstrip(
        "\n"
    )
    # A pipe's reader counts and cuts lines: what is not one of them goes elsewhere.
    (terminal.say if _is_terminal(terminal) or not found else terminal.error)(text)


def _fitting(head: tuple[str, ...], cells: Sequence[tuple[str, ...]], width: int | None) -> list[str]:
    """The table. Where it has no room, years and seconds go first, then targets: the selection is to be seen."""
    from thinkube_nornir.reporting.matrix import table

    lines = table(head, cells)
    if width and max(map(len, lines)) > width:
        cells = [(run, when[5:16], *others) for run, when, *others in cells]
        lines = table(head, cells)
    if width and max(map(len, lines)) > width:
        cells = [(run, when, *others) for run, when, _, *others in cells]
        lines = table((*head[:2], *head[3:]), cells, width=width)
    return lines


def _cells(each: Listed) -> tuple[str, ...]:
    from thinkube_nornir.history.moments import local
    from thinkube_nornir.history.runs import duration, words

    seconds = duration(each.run)
    return (
        *(str(each.run.id), local(each.run.started), each.run.target, each.run.verb, each.verdict),
        "-" if seconds is None else f"{seconds:.1f}s",
        *(str(each.counts[word]) for word in ("changed", "failed")),
        words(each.run),
    )


def _room(terminal: Terminal) -> int | None:
    return terminal.width if _is_terminal(terminal) else None


def _is_terminal(terminal: Terminal) -> bool:
    return terminal.out.isatty()


@click.command("show", cls=PastRunCommand)
@click.argument("run", default="last")
@click.option("--failed", is_flag=True, help="The same as --outcome failed.")
@click.option("--changed", is_flag=True, help="The same as --outcome changed.")
@_word("--outcome", "outcomes", words=_OUTCOMES, multiple=True, help="Steps that ended so.")
@click.option("--component", "components", multiple=True, metavar="NAME", help="Steps of this component or phase.")
@_word("--chain", "chains", words=_CHAINS, multiple=True, help="Steps of this chain.")
@_HOSTS
@_JSON
@options.common
def show_verb(
    run: str,
    failed: bool,
    changed: bool,
    outcomes: tuple[str, ...],
    components: tuple[str, ...],
    chains: tuple[str, ...],
    limit: str,
    as_json: bool,
    config: Path,
    verbose: int,
    no_color: bool,
) -> int:
    """Show what a run did.

    RUN is a number, last (when it is left out, too), or last-1 for the one before. Options that ask for steps may be
    repeated.
    """
    from thinkube_nornir.history import as_json as json_form
    from thinkube_nornir.history.hosts import past_hosts
    from thinkube_nornir.history.reading import past_journal
    from thinkube_nornir.history.runs import named, past_run
    from thinkube_nornir.history.steps import Steps, known_components
    from thinkube_nornir.settings.config_file import load_config

    terminal = Terminal(verbose, False if no_color else None)
    with past_journal(load_config(config)) as journal:
        past = past_run(journal, named(journal, run, "show"))
    asked = (*outcomes, *(["failed"] if failed else []), *(["changed"] if changed else []))
    steps = Steps(asked, known_components(components, past), chains, past_hosts(limit, past.hosts, config))
    if as_json:
        terminal.raw(json_form.text(json_form.shown(past, steps.of(past))))
    else:
        _show(past, steps, terminal)
    return 0


def _show(past: PastRun, steps: Steps, terminal: Terminal) -> None:
    from thinkube_nornir.history.moments import local
    from thinkube_nornir.history.record import record_of
    from thinkube_nornir.history.runs import counted, duration, words
    from thinkube_nornir.history.steps import retried, slowest
    from thinkube_nornir.reporting import summary
    from thinkube_nornir.reporting.matrix import host_table
    from thinkube_nornir.reporting.rendering import render

    nodes = steps.of(past)
    brief = _is_terminal(terminal) and steps.all and not terminal.verbose
    listed = [node for node in nodes if not brief or node.outcome not in _FOLDED]
    record = record_of(past, nodes)
    following = summary.next_arguments(record, None) if past.verdict not in ("green", "running") else []
    lines = _fitted(listed, terminal.width) if _is_terminal(terminal) else _columns([_step(node) for node in listed])
    text = render(
        "show.txt.j2",
        run=past.run,
        kind=record.kind,
        words=words(past.run),
        when=local(past.run.started),
        seconds=duration(past.run),
        verdict=past.verdict,
        total=len(past.nodes),
        counts=counted((node.outcome or "unfinished" for node in past.nodes), _OUTCOMES),
        hosts=host_table(record_of(past, past.nodes).rows),
        slowest=slowest(past.nodes),
        retried=retried(past.nodes),
        filtered=not steps.all,
        lines=lines,
        listed=len(listed),
        skipped=summary.skips(record) if brief else [],
        hidden=sum(node.outcome in _AS_WANTED for node in nodes) if brief else 0,
        failures=summary.failures(record),
        next=command(*following) if following else "",
    )
    terminal.say(text.rstrip("\n"))


def _columns(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    from thinkube_nornir.reporting.matrix import table

    return table([""] * len(rows[0]), rows, width=width)[1:] if rows else []


def _fitted(nodes: Sequence[NodeRecord], width: int) -> list[str]:
    """What steps have in common stands above them, so that there is room for what they said."""
    chains: dict[str, list[tuple[str, ...]]] = {}
    for node in nodes:
        outcome, seconds, _, message = _step(node)
        name = clean(node.label) or node.step
        said = f"{name}: {message}" if message else name
        chains.setdefault(f"{node.component} {node.chain}", []).append((outcome, seconds, node.host, said))
    return [
        line for name, rows in chains.items() for line in (name, *(f"  {row}" for row in _columns(rows, width - 2)))
    ]


def _step(node: NodeRecord) -> tuple[str, ...]:
    """One line, whatever the step said."""
    message = node.error["what"] if node.error else node.message
    seconds = f"{node.duration:.1f}s" if node.finished else "-"
    return (node.outcome or "unfinished", seconds, node.node, message.strip().replace("\n", "\\n"))
