"""The SQLite file in `.thinkube/` that journal and ledger share."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

from thinkube_nornir.errors import ConfigError, Problem, ThinkubeError

_VERSION = 1
_SCHEMA = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, verb TEXT NOT NULL, selection TEXT NOT NULL, hosts TEXT NOT NULL,
    dry_run INTEGER NOT NULL, pid INTEGER NOT NULL, started REAL NOT NULL, finished REAL, outcome TEXT
);
CREATE TABLE nodes (
    run INTEGER NOT NULL REFERENCES runs, node TEXT NOT NULL, host TEXT NOT NULL, started REAL NOT NULL, finished REAL,
    outcome TEXT, message TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT 'null', PRIMARY KEY (run, node)
) WITHOUT ROWID;
CREATE TABLE changes (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, host TEXT NOT NULL, component TEXT NOT NULL,
    key TEXT NOT NULL, summary TEXT NOT NULL, before TEXT NOT NULL, state TEXT NOT NULL, at REAL NOT NULL
);
CREATE UNIQUE INDEX ours ON changes (scope, host, key) WHERE state != 'undone';
"""


_FIX = "move the file away; rollback then knows only what the hosts themselves remember"


class Database:
    """One connection for all threads, because SQLite has one writer anyway. Made for the owner alone.

    Raises:
        ConfigError: the file is no journal of ours, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise ConfigError([Problem(str(path), f"the journal cannot be read: {error}", _FIX)]) from error
        except ConfigError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found > _VERSION:
            problem = Problem(
                str(self.path), f"was written by a newer version (format {found})", "upgrade this program"
            )
            raise ConfigError([problem])
        # NORMAL: what is committed survives the end of this process; only a power cut can lose the last moments.
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        if not found:
            self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")

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
            if type(error) is not sqlite3.DatabaseError:  # its subclasses are faults of ours
                raise
            raise ThinkubeError(f"the journal {self.path} is damaged", why=str(error), fix=_FIX) from error

    def close(self) -> None:
        with self._lock:
            self._connection.close()
