"""The verbs that execute a plan: plan, run, verify, rollback, resume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinkube_nornir.cli import options
from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.permission import OPTION
from thinkube_nornir.place import must_take
from thinkube_nornir.program import command
from thinkube_nornir.reporting.terminal import Terminal
from thinkube_nornir.target import kind_of

if TYPE_CHECKING:
    from thinkube_nornir.estimate import Countdown
    from thinkube_nornir.plan import Plan
    from thinkube_nornir.reporting.progress import Progress
    from thinkube_nornir.reporting.record import Record
    from thinkube_nornir.session import Session


@click.command("plan")
@options.selection
@options.execution_options
@options.diff
@options.delete_foreign
@click.option("--graph", is_flag=True, help="Print the steps and what each waits for; touches no host.")
def plan_verb(graph: bool, **given: Any) -> int:
    """Show what `run` would change; writes nothing. Exit code 3 when there is something."""
    if graph:
        return _print_graph(given)
    return _execute("plan", dry_run=True, **given)


@click.command("run")
@options.selection
@options.execution_options
@options.dry_run
@options.diff
@options.delete_foreign
def run_verb(**given: Any) -> int:
    """Set up, and verify what was set up."""
    return _execute("run", **given)


@click.command("verify")
@options.selection
@options.execution_options
def verify_verb(**given: Any) -> int:
    """Check every host; changes nothing."""
    return _execute("verify", **given)


@click.command("evidence")
@options.selection
@options.execution_options
def evidence_verb(evidence: Path | None, **given: Any) -> int:
    """Verify, and record what hosts and cluster answer.

    The archive has no secrets in it and can be sent to who must see it. `run` and `rollback` record as well, with
    --evidence FILE.
    """
    default = Path(f"evidence-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    return _execute("verify", evidence=evidence or default, **given)


@click.command("rollback")
@options.selection
@options.execution_options
@options.dry_run
@options.diff
@options.delete_foreign
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def rollback_verb(yes: bool, **given: Any) -> int:
    """Undo what we did, and nothing else."""
    return _execute("rollback", agreed=_agreed_to(yes), **given)


@click.command("resume")
@options.common
@click.option("--workers", type=click.IntRange(1, 1024), metavar="N", help="Steps at once, over all hosts.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before a rollback goes on.")
def resume_verb(yes: bool, config: Path, **given: Any) -> int:
    """Go on with the latest run, which was killed, stopped or failed."""
    from thinkube_nornir import session

    last = session.unfinished_run(config)
    return _execute(
        last.verb,
        agreed=_agreed_to(yes) if last.verb == "rollback" else _no_question,
        config=config,
        selection=last.selection,
        limit=last.hosts,
        **given,
    )


Agreed = Callable[["Session", Terminal], bool]


def _no_question(session: Session, terminal: Terminal) -> bool:  # noqa: ARG001 an Agreed
    return True


def _agreed_to(yes: bool) -> Agreed:
    """Whether the operator wants the rollback: asked where somebody can answer; real hosts need an answer."""

    def agreed(session: Session, terminal: Terminal) -> bool:
        if yes or session.request.dry_run:
            return True
        if terminal.interactive:
            question = f"Roll back {' '.join(session.request.selection)} on {', '.join(session.hosts)}?"
            return click.confirm(question)
        if not kind_of(session.project.config.target).disposable:
            raise ConfigError([Problem("rollback", "real hosts need a yes, and nobody can be asked here", "add --yes")])
        return True

    return agreed


def _execute(
    verb: str,
    *,
    selection: tuple[str, ...],
    config: Path,
    verbose: int,
    no_color: bool,
    limit: str = "",
    workers: int | None = None,
    reports: tuple[Path, ...] = (),
    evidence: Path | None = None,
    dry_run: bool = False,
    diff: bool = False,
    delete_foreign: tuple[str, ...] = (),
    agreed: Agreed = _no_question,
) -> int:
    from thinkube_nornir import session
    from thinkube_nornir.evidence import archive
    from thinkube_nornir.reporting import report

    for path in reports:
        report.writer(path)
        must_take(path, "--report")
    if evidence:
        archive.must_be_archive(evidence)
        must_take(evidence, "--evidence")
    terminal = Terminal(verbose, False if no_color else None)
    request = session.Request(
        *(verb, selection, limit, config, dry_run, workers),
        debug=verbose > 1,
        evidence=evidence is not None,
        delete_foreign=delete_foreign,
    )
    with session.open_session(request, terminal.say) as opened:
        _announce(opened, terminal)
        if not agreed(opened, terminal):
            terminal.say("nothing was changed")
            return 2
        record = _record(opened, terminal)
        try:
            if evidence:
                _write_evidence(opened, record, evidence, terminal)
            for path in reports:
                report.write(record, path)
            code = record.exit_code
        except (ConfigError, OSError) as error:  # hosts may have been changed: no reason to end with 2
            terminal.error(f"error: {error}")
            code = record.exit_code or 1
    _conclude(record, terminal, diff)
    return code


def _write_evidence(session: Session, record: Record, path: Path, terminal: Terminal) -> None:
    from thinkube_nornir.evidence import archive

    recorder = session.context.evidence
    written = archive.write(path, recorder.entries if recorder else (), record, session.project.inventory)
    counts = f"{len(written.commands)} commands and {len(written.calls)} requests to the API"
    terminal.say(f"evidence  {path}: {counts}, without secrets")
    terminal.say("          look into it before you send it: names, addresses and logs of your hosts are in it")


def _announce(session: Session, terminal: Terminal) -> None:
    filtered = f"  (-l {session.request.limit})" if session.request.limit else ""
    terminal.say(f"hosts  {', '.join(session.hosts)}{filtered}")
    if session.read_hosts:
        terminal.say(f"       read only, because it is needed: {', '.join(session.read_hosts)}")
    _say_recalled(session, terminal)
    if terminal.verbose:
        terminal.say(f"log    {session.project.config.logging.log_file}")


def _say_recalled(session: Session, terminal: Terminal) -> None:
    for line in session.context.recalled.notes():
        terminal.say(f"note   {line}")


def _record(session: Session, terminal: Terminal) -> Record:
    from thinkube_nornir.reporting import summary
    from thinkube_nornir.reporting.record import Collector

    collector = Collector()
    with progress(terminal, session.plan, session.countdown(), session.never_set_up) as shown:
        record = session.execute(collector, [shown], shown.note)
    _say_recalled(session, terminal)
    for line in session.left_recorded():
        terminal.say(f"note   {line}")
    permission = session.context.permission
    for name in permission.unmatched:
        terminal.say(f"note   {OPTION} {name!r}: no step found anything of that name in what it removes")
    if permission.refused:
        return replace(record, next_command=permission.command)
    following = summary.next_arguments(record, session.project.later_phase, session.request.workers)
    return replace(record, next_command=command(*following) if following else "")


def progress(
    terminal: Terminal,
    plan: Plan,
    countdown: Countdown | None = None,
    never_set_up: frozenset[tuple[str, str]] = frozenset(),
) -> Progress:
    """Drawn in place on a terminal, a line for each event elsewhere."""
    if terminal.live:
        from thinkube_nornir.reporting.live import LiveProgress  # costs 60 ms, for terminals only

        return LiveProgress(terminal, plan, countdown=countdown, never_set_up=never_set_up)
    from thinkube_nornir.reporting.progress import PlainProgress

    return PlainProgress(terminal, plan, countdown=countdown, never_set_up=never_set_up)


def _conclude(record: Record, terminal: Terminal, diff: bool) -> None:
    """What scrolls away first comes first: skipped steps, changes, tables, counts; then failures, and what to type."""
    from thinkube_nornir.reporting import summary

    _part(terminal, summary.skips(record))
    _part(terminal, summary.planned(record, diffs=diff) if record.dry_run else summary.made(record) if diff else [])
    table = summary.checks if record.verb == "verify" else summary.hosts
    terminal.say("\n".join(["", *table(record, width=terminal.width, unicode=terminal.unicode)]), wrap=False)
    _part(terminal, [*summary.left_out(record), summary.verdict(record)])
    if failures := summary.failures(record, command("show", str(record.run_id), "--failed")):
        for line in [*failures, "", f"log    {record.log}"]:
            terminal.say(line)
    if record.next_command:
        terminal.say(f"next   {record.next_command}", wrap=False)


def _part(terminal: Terminal, lines: Sequence[str]) -> None:
    from thinkube_nornir.reporting.summary import DIFF_MARGIN

    for line in ["", *lines] if lines else []:
        terminal.say(line, wrap=not line.startswith(DIFF_MARGIN))


def _print_graph(given: dict[str, Any]) -> int:
    from thinkube_nornir import session

    request = session.Request("plan", given["selection"], given["limit"], given["config"], dry_run=True)
    terminal = Terminal(given["verbose"], False if given["no_color"] else None)
    plan = request.plan(request.project())
    for gate, nodes in plan.gates.items():
        terminal.say(f"{gate}: {len(nodes)} nodes")
    for node in plan.nodes:
        terminal.say(node.id)
        for before in sorted(node.needs):
            terminal.say(f"    needs {before}")
        for before in sorted(node.after - node.needs):
            terminal.say(f"    after {before}")
    return 0
