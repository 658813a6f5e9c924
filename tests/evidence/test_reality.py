"""docs/reality.md against the code: nothing that is used outside is missing from it, and nothing in it is idle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.evidence import used
from tests.evidence.conftest import LabEvidence
from thinkube_nornir.lab.sources import read_in

ROOT = Path(__file__).parents[2]
PROOFS = ("real", "upstream's data", "emulated from source", "unproven")
_SOURCES = re.compile(r"([\w.-]+/[\w.-]+@[^\s;,]+) ([^\s;,]+(?:, (?![^\s,]+@)[^\s;,]+)*)")
"""`OWNER/REPOSITORY@REF PATH, PATH`, several with a comma or a semicolon between them."""


@dataclass(frozen=True)
class Row:
    section: str
    patterns: tuple[str, ...]
    source: str
    proofs: tuple[str, ...]


def rows() -> Iterator[Row]:
    section = ""
    for line in (ROOT / "docs/reality.md").read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| `"):
            what, _, source, proof = (cell.strip() for cell in line.strip("|").split(" | "))
            yield Row(section, tuple(re.findall(r"`([^`]+)`", what)), source, tuple(proof.split("; ")))


ROWS = list(rows())
STATIC = {
    "Commands": used.commands,
    "Files": used.files,
    "Objects of the Kubernetes API": used.objects,
    "Charts, images and services": used.services,
}


def missing(section: str, things: set[str]) -> set[str]:
    patterns = [pattern for row in ROWS if row.section == section for pattern in row.patterns]
    return {thing for thing in things if not any(fnmatchcase(thing, pattern) for pattern in patterns)}


@pytest.mark.parametrize("section", STATIC)
def test_all_that_the_code_names_is_in_the_table(section: str) -> None:
    """Commands, paths, kinds, images and addresses that stand in the code and in the templates."""
    things = STATIC[section]()

    assert len(things) > 5, "the code is read wrongly"
    assert missing(section, things) == set()


@pytest.mark.lab
@pytest.mark.slow
def test_all_that_runs_use_is_in_the_table(lab_evidence: LabEvidence) -> None:
    """What a run, a verification and a rollback of everything asked hosts and cluster, as their evidence has it."""
    archives = (lab_evidence.run, lab_evidence.verify, lab_evidence.rollback)

    assert missing("Commands", used.commands_in(*archives)) == set()
    assert missing("Objects of the Kubernetes API", used.objects_in(*archives)) == set()
    assert missing("Charts, images and services", used.services_in(*archives)) == set()


@pytest.mark.lab
@pytest.mark.slow
def test_nothing_in_the_table_is_idle(lab_evidence: LabEvidence) -> None:
    """A row for what is used no more would be kept up for nothing."""
    archives = (lab_evidence.run, lab_evidence.verify, lab_evidence.rollback)
    things = {
        "Commands": used.commands() | used.commands_in(*archives),
        "Files": used.files(),
        "Objects of the Kubernetes API": used.objects() | used.objects_in(*archives),
        "Charts, images and services": used.services() | used.services_in(*archives),
    }

    idle = [
        pattern
        for row in ROWS
        for pattern in row.patterns
        if not any(fnmatchcase(thing, pattern) for thing in things[row.section])
    ]
    assert idle == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.patterns[0])
def test_each_row_says_how_it_is_known(row: Row) -> None:
    """One of four ways, and a source that can be looked up where it is said to be read."""
    assert row.section in STATIC
    for proof in row.proofs:
        assert proof.partition(":")[0] in PROOFS, proof
    if "emulated from source" in row.proofs:
        assert _SOURCES.search(row.source), "which source?"
    if "unproven" not in row.proofs:
        assert row.source, "where is it known from?"


def test_the_sources_of_the_table_were_read() -> None:
    """Each file that it names is one that a module of the lab or of the product says to have been read, at that ref."""
    read = {
        (f"{source.repository}@{source.ref}", source.path)
        for folder in ("tasks", "thinkube_nornir")
        for source in read_in(ROOT / folder)[0]
    }
    named = {(found[1], path) for row in ROWS for found in _SOURCES.finditer(row.source) for path in _paths(found)}

    assert len(named) > 30
    assert named - read == set()


def _paths(found: re.Match[str]) -> list[str]:
    return [path for path in found[2].split(", ") if path]
