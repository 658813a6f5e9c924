"""The SQLite file in `.thinkube/` that journal and change log share."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

from thinkube_nornir.errors import ConfigError, Problem, ThinkubeError

_MIGRATIONS = (
    (  # to version 1
        """CREATE TABLE runs (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, verb TEXT NOT NULL, selection TEXT NOT NULL, hosts TEXT NOT NULL,
    dry_run INTEGER NOT NULL, pid INTEGER NOT NULL, started REAL NOT NULL, finished REAL, outcome TEXT
)""",
        """CREATE TABLE nodes (
    run INTEGER NOT NULL REFERENCES runs, node TEXT NOT NULL, host TEXT NOT NULL, started REAL NOT NULL, finished REAL,
    outcome TEXT, message TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT 'null', PRIMARY KEY (run, node)
) WITHOUT ROWID""",
        """CREATE TABLE changes (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, host TEXT NOT NULL, component TEXT NOT NULL,
    key TEXT NOT NULL, summary TEXT NOT NULL, before TEXT NOT NULL, state TEXT NOT NULL, at REAL NOT NULL
)""",
        "CREATE UNIQUE INDEX ours ON changes (scope, host, key) WHERE state != 'undone'",
    ),
    (  # to version 2: what a run was given, what its steps had to try again, and how a damaged record is seen
        "CREATE TABLE contents (digest TEXT NOT NULL PRIMARY KEY, content TEXT NOT NULL)",
        "ALTER TABLE runs ADD COLUMN settings TEXT REFERENCES contents",
        "ALTER TABLE runs ADD COLUMN files TEXT REFERENCES contents",
        "ALTER TABLE runs ADD COLUMN revision TEXT",
        "ALTER TABLE runs ADD COLUMN modified INTEGER",
        "ALTER TABLE nodes ADD COLUMN retries INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE nodes ADD COLUMN retried TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX node_runs ON nodes (node, run)",
        "ALTER TABLE changes ADD COLUMN digest TEXT NOT NULL DEFAULT ''",
    ),
    (  # to version 3: what a step is called where people read
        "ALTER TABLE nodes ADD COLUMN label TEXT NOT NULL DEFAULT ''",
    ),
)
"""What brings a file from each version to the next one; a new file goes through all of them. A program of the version
before, that has the file open meanwhile, goes on: columns are only added, and have defaults."""

_VERSION = len(_MIGRATIONS)

_FIX = "move the file away; rollback then knows only what the hosts themselves remember"


class Database:
    """One connection for all threads, because SQLite has one writer anyway. Made for the owner alone.

    Raises:
        ConfigError: the file is no journal of this program, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_dir():
            raise ConfigError([Problem(str(path), "is a folder, and the journal should be there", "move it away")])
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise ConfigError([_unusable(path, error)]) from error
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        found = self._found_version()
        # NORMAL: what is committed survives the end of this process; only a power cut can lose the last moments.
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        if found < _VERSION:
            self._migrate()
        [found_wrong] = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found_wrong != "ok":  # else a rollback would end at the first row on a damaged page
            raise sqlite3.DatabaseError(str(found_wrong).rpartition("\n")[2])

    def _found_version(self) -> int:
        """
        Raises:
            ConfigError: it is newer than this program.
        """
        found: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found > _VERSION:
            what = f"was written by a newer version (format {found})"
            raise ConfigError([Problem(str(self.path), what, "upgrade this program")])
        return found

    def _migrate(self) -> None:
        """All of it or nothing, whenever this process ends."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            # Asked again: another program may have done it while this one waited for its turn.
            for statements in _MIGRATIONS[self._found_version() :]:
                for statement in statements:
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version={_VERSION}")
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def query(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._execute(sql, values)[0]

    def write(self, sql: str, *values: Any) -> int:
        """Run one statement, committed when this returns; the id of the row that an INSERT made."""
        return self._execute(sql, values)[1] or 0

    def _execute(self, sql: str, values: tuple[Any, ...]) -> tuple[list[sqlite3.Row], int | None]:
        """
        Raises:
            ThinkubeError: the file is damaged, or its disk is full or read-only.
        """
        try:
            with self._lock:
                cursor = self._connection.execute(sql, values)
                return cursor.fetchall(), cursor.lastrowid
        except sqlite3.OperationalError as error:
            fix = "see that its disk has room and can be written to, then run again"
            raise ThinkubeError(f"the journal {self.path} cannot be used", why=str(error), fix=fix) from error
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:  # its subclasses are faults of this program
                raise
            raise ThinkubeError(f"the journal {self.path} is damaged", why=str(error), fix=_FIX) from error

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _unusable(path: Path, error: sqlite3.Error) -> Problem:
    """The file cannot be opened: it is no journal, or it is one and cannot be written."""
    kind = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Problem(str(path), f"another program keeps the journal busy: {error}", "wait for it to end")
    if kind in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        fix = "see the owner, the mode and the disk of the file and its folder"
        return Problem(str(path), f"the journal cannot be written: {error}", fix)
    return Problem(str(path), f"the journal cannot be read: {error}", _FIX)
