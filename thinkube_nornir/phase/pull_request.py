"""The text of a phase's pull request: what was set up, how that is proven, what was learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thinkube_nornir.lessons import phrases
from thinkube_nornir.lessons.parts import written_bullets
from thinkube_nornir.lessons.writing import PARTS
from thinkube_nornir.phase.forge import compare_page
from thinkube_nornir.reporting.rendering import render
from thinkube_nornir.target import kind_of

if TYPE_CHECKING:
    from nornir.core.inventory import Inventory

    from thinkube_nornir.catalog import Catalog, Entry
    from thinkube_nornir.checklist.proof import Proof
    from thinkube_nornir.phase.conditions import Work


@dataclass(frozen=True)
class Verified:
    """A row of the table."""

    name: str
    title: str
    hosts: tuple[str, ...]
    checks: int
    """Of one host."""
    run: int
    date: str


@dataclass(frozen=True)
class Item:
    """A line of the check list; a person ticks what cannot be proven here."""

    text: str
    done: bool


def pull_request(work: Work, catalog: Catalog, inventory: Inventory) -> str:
    """The text, Markdown and without a title, of a phase whose conditions all hold."""
    entries = [entry for entry in catalog.entries if entry.phase == work.phase.name]
    base = work.repository.default_branch(work.remote)
    return render(
        "pull_request.md.j2",
        phrases=phrases,
        phase=work.phase,
        kind=kind_of(work.proofs.history.scope),
        rows=[row for entry in entries if (row := _row(entry, work, inventory)).hosts],
        items=_items(work, entries),
        lessons=written_bullets(work.lessons.read_bytes(), PARTS),
        headings=[*PARTS.values()],
        compare=compare_page(work.repository.address_of(work.remote), base, work.branch),
        counts=_counts(work, base),
    )


def _row(entry: Entry, work: Work, inventory: Inventory) -> Verified:
    proof = work.proofs.by_identifier[f"{entry.name}/verify"]
    hosts = tuple(name for name, host in inventory.hosts.items() if host.has_parent_group(entry.component.group))
    checks = len(entry.component.verify.steps)
    return Verified(entry.name, entry.component.title, hosts, checks, proof.run or 0, proof.date)


def _items(work: Work, entries: Sequence[Entry]) -> list[Item]:
    """Conventions of this kind of project; evidence stands beside what the journal proves."""
    name = work.phase.name
    proofs = work.proofs.by_identifier

    def proven(kind: str, text: str) -> Item:
        proof: Proof = proofs[f"{name}/{kind}"]
        done = proof.state == "proven"
        return Item(f"{text} ({f'run {proof.run}, {proof.date}' if done else proof.reason})", done)

    settings = sorted({setting for entry in entries for setting in entry.component.settings})
    unnamed = [entry.name for entry in entries if entry.name not in _text(work.root / "README.md")]
    undocumented = [setting for setting in settings if setting not in _text(work.root / "docs" / "settings.md")]
    return [
        proven("red", "Checks were written first, and seen red before set-up"),
        proven("verify", "All checks pass on all hosts"),
        proven("second-run", "A second run changes nothing"),
        proven("rollback", "Rollback was tested"),
        Item(f"docs/settings.md names each setting{_lacking(undocumented)}", not undocumented),
        Item(f"README.md names each component{_lacking(unnamed)}", not unnamed),
        Item(f"Task list is in step: `{work.list.name}`", True),
        Item(f"Lessons are written: `{work.phase.lessons}`", True),
    ]


def _lacking(names: Sequence[str]) -> str:
    return f" (not named: {phrases.codes(names)})" if names else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _counts(work: Work, base: str) -> str:
    """`3 commits, 7 files`, since the base; empty when that is not known here."""
    commits, files = work.repository.since(f"{work.remote}/{base}")
    return f"{phrases.counted(commits, 'commit')}, {phrases.counted(files, 'file')}" if commits else ""
