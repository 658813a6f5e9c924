"""What can be proven is known by its name, without importing anything of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from thinkube_nornir import catalog
from thinkube_nornir.checklist.names import is_provable, names_in

ROOT = Path(__file__).parents[3]


def test_names_are_those_of_the_catalog() -> None:
    """The folder is read as the catalog reads it, only without importing it."""
    entries = catalog.load(ROOT / "tasks").entries

    assert names_in(ROOT / "tasks") == {e.name for e in entries} | {e.phase for e in entries}


@pytest.mark.parametrize("content", [None, b"", b"PHASES = (", b"\xff\xfe\x00", b"PHASES = found()", b"PHASES = 5"])
def test_a_folder_that_is_none_of_tasks_has_no_names(tmp_path: Path, content: bytes | None) -> None:
    """No folder, no PHASES, or no Python."""
    if content is not None:
        (tmp_path / "__init__.py").write_bytes(content)

    assert names_in(tmp_path) == frozenset()


def test_phases_may_have_a_type(tmp_path: Path) -> None:
    """`PHASES: tuple[str, ...] = ...` is an assignment, too."""
    (tmp_path / "__init__.py").write_text('PHASES: tuple[str, ...] = ("phase1_base",)')
    (tmp_path / "phase1_base").mkdir()
    (tmp_path / "phase1_base" / "_helper.py").touch()
    (tmp_path / "phase1_base" / "base.py").touch()

    assert names_in(tmp_path) == {"phase1", "phase1.base"}


@pytest.mark.parametrize(
    ("identifier", "provable"),
    [
        ("phase5.coredns/verify", True),
        ("phase5.coredns/red", True),
        ("phase5/second-run", True),
        ("phase5.coredns/second-run", False),
        ("phase5.coredns/docs", False),
        ("phase1.ssh_keys/verify", False),
        ("phase5.coredns", False),
        (None, False),
    ],
)
def test_a_name_is_provable_by_its_subject_and_kind(identifier: str | None, provable: bool) -> None:
    """Both must be known."""
    assert is_provable(identifier, frozenset({"phase5", "phase5.coredns"})) is provable
