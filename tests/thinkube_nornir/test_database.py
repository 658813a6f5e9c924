"""A journal of version 1 becomes one of this version in place: nothing in it is lost, whatever happens."""

from __future__ import annotations

import gzip
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from thinkube_nornir.change_log import StoredChangeLog
from thinkube_nornir.database import Database
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.journal import Journal

RECORDED = Path(__file__).parent / "recorded" / "journal-version-1.sqlite.gz"
"""Made on the lab by the last program that wrote version 1: plan, run and verify phase5; rollback and verify
phase5.coredns, which then is red."""

LAB = "lab 11572 1795799669.265"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A copy of the recorded file."""
    path = tmp_path / "journal.sqlite"
    path.write_bytes(gzip.decompress(RECORDED.read_bytes()))
    path.chmod(0o600)
    return path


def _dump(path: Path, *tables: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        columns = {
            "runs": "id, scope, verb, selection, hosts, dry_run, pid, started, finished, outcome",
            "nodes": "run, node, host, started, finished, outcome, message, error",
            "changes": "id, scope, host, component, key, summary, before, state, at",
        }
        return [row for table in tables for row in connection.execute(f"SELECT {columns[table]} FROM {table}")]  # noqa: S608


def _schema(path: Path) -> tuple[int, list[str]]:
    with closing(sqlite3.connect(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        return version, [row[0] for row in connection.execute("SELECT sql FROM sqlite_schema ORDER BY name") if row[0]]


def test_version_1_becomes_this_version_with_all_that_was_in_it(journal: Path, tmp_path: Path) -> None:
    """Runs, nodes and changes are as they were; new columns say that nothing is known."""
    tables = ("runs", "nodes", "changes")
    before = _dump(journal, *tables)

    with closing(Database(journal)) as database:
        runs = Journal(database, LAB).runs()
        failed = [node for node in Journal(database, LAB).nodes(5) if node.error]
        changes = StoredChangeLog(database, LAB).changes(component="phase5.microk8s_workers")
    Database(tmp_path / "new.sqlite").close()

    assert _dump(journal, *tables) == before
    assert len(before) > 300
    assert _schema(journal) == _schema(tmp_path / "new.sqlite")
    assert _schema(journal)[0] == 3
    assert [(run.id, run.verb, run.outcome, run.settings, run.modified) for run in runs][:2] == [
        (5, "verify", "failed", "", None),
        (4, "rollback", "done", "", None),
    ]
    assert {(node.retries, node.retried) for node in failed} == {(0, "")}
    assert any(change.key == "membership:microk8s" for change in changes)


def test_a_program_of_version_1_that_has_the_file_open_goes_on(journal: Path) -> None:
    """It writes what it always wrote, and reads all of it: columns were only added."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as previous:
        previous.execute("SELECT count(*) FROM runs").fetchone()
        with closing(Database(journal)) as database:
            previous.execute(
                "INSERT INTO runs (scope, verb, selection, hosts, dry_run, pid, started) VALUES (?, ?, ?, ?, ?, ?, ?)",
                ("ssh", "run", "[]", "", 0, 1, 1.0),
            )
            previous.execute("INSERT INTO nodes (run, node, host, started) VALUES (6, 'p.a/setup/x@h1', 'h1', 1.0)")
            kept = Journal(database, "ssh").nodes(6)

    assert [(node.node, node.retries) for node in kept] == [("p.a/setup/x@h1", 0)]


def test_programs_that_open_it_together_upgrade_it_once(journal: Path, tmp_path: Path) -> None:
    """Also a file that is not there yet: none of them trips over the others."""
    program = (
        "import pathlib, sys; from thinkube_nornir.database import Database; sys.stdin.read();"
        "[Database(pathlib.Path(name)).close() for name in sys.argv[1:]]"
    )
    arguments = [sys.executable, "-c", program, str(journal), str(tmp_path / "new.sqlite")]
    started = [subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None

    ended = [(process.communicate()[1], process.returncode) for process in started]

    assert ended == [("", 0)] * 6
    assert _schema(journal) == _schema(tmp_path / "new.sqlite")


def test_a_program_that_waited_for_another_ones_upgrade_does_not_repeat_it(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw version 1, and finds this version when it is let in."""
    connect = sqlite3.connect

    class Late(sqlite3.Connection):
        def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
            if sql.startswith("BEGIN"):
                monkeypatch.setattr(sqlite3, "connect", connect)
                Database(journal).close()
            return super().execute(sql, *given)

    monkeypatch.setattr(sqlite3, "connect", lambda *given, **named: connect(*given, **named, factory=Late))

    Database(journal).close()

    assert _schema(journal)[0] == 3


KILLED = """
import os, pathlib, sqlite3, sys
path, last = pathlib.Path(sys.argv[1]), int(sys.argv[2])
class Connection(sqlite3.Connection):
    left = None
    def execute(self, sql, *given):
        if sql.startswith("BEGIN"):
            self.left = last
        elif self.left is not None:
            if not self.left:
                os.kill(os.getpid(), 9)
            self.left -= 1
        return super().execute(sql, *given)
connect = sqlite3.connect
sqlite3.connect = lambda *given, **named: connect(*given, factory=Connection, **named)
from thinkube_nornir.database import Database
Database(path)
"""


@pytest.mark.parametrize("statements", [0, 2, 5, 11, 12])
def test_a_killed_upgrade_leaves_version_1_as_it_was(journal: Path, statements: int) -> None:
    """Killed before any statement of it, the last one that commits included; the next program upgrades it."""
    before = _schema(journal), _dump(journal, "runs", "nodes", "changes")

    ended = subprocess.run([sys.executable, "-c", KILLED, str(journal), str(statements)], check=False)

    assert ended.returncode == -9
    assert (_schema(journal), _dump(journal, "runs", "nodes", "changes")) == before
    Database(journal).close()
    assert _schema(journal)[0] == 3


def test_an_upgrade_waits_for_no_other_program_for_ever(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds the file is not waited for longer than the file's deadline, and that is what the error says."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **named: connect(*given, **(named | {"timeout": 0.01})))
    with closing(sqlite3.connect(journal, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(ConfigError, match=r"another program keeps the journal busy.*wait for it"):
            Database(journal)


def test_a_file_that_cannot_be_written_is_left_alone(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a read-only disk: the error says what to look at, and nobody is told to move a good journal away."""
    connect, before = sqlite3.connect, journal.read_bytes()
    monkeypatch.setattr(sqlite3, "connect", lambda path, **named: connect(f"file:{path}?mode=ro", **named, uri=True))

    with pytest.raises(ConfigError, match=r"journal\.sqlite: the journal cannot be written: .*readonly.*the mode and"):
        Database(journal)

    assert journal.read_bytes() == before


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").mkdir()

    with pytest.raises(ConfigError, match=r"journal\.sqlite: is a folder, and the journal should be there"):
        Database(tmp_path / "journal.sqlite")


def test_damage_is_found_when_the_file_is_opened(journal: Path) -> None:
    """Not in the middle of a run or a rollback, at the first row that lies on a damaged page."""
    with closing(Database(journal)):
        pass
    content = bytearray(journal.read_bytes())
    content[2 * 4096 : 6 * 4096] = b"?" * (4 * 4096)
    journal.write_bytes(content)

    with pytest.raises(
        ConfigError, match=r"the journal cannot be read: (Tree \d+ p|P)age \d+: .* \(move the file away"
    ) as caught:
        Database(journal)

    assert str(journal) in caught.value.problems[0].where
