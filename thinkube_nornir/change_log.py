"""What is ours: every change with what is needed to undo it, so that rollback undoes that and no more."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from thinkube_nornir.database import Database
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.program import command
from thinkube_nornir.secret import redact


def release_key(namespace: str, name: str) -> str:
    """Under which a change to a Helm release is recorded."""
    return f"helm:{namespace}/{name}"


@dataclass(frozen=True)
class Change:
    """One alteration we made, or began to make, and have not undone.

    Args:
        host: the host it was made on; for cluster objects the host through which the cluster was reached.
        component: full name, `phase5.coredns`.
        key: what was altered, unique on the host: `file:/etc/microk8s.yaml`, `snap:microk8s`,
            `object:v1/ConfigMap/kube-system/coredns`.
        summary: for people, "install microk8s 1.35/stable".
        before: the former state, JSON; what it holds is between the step that records and the one that undoes.
        state: `intended` before the effect, `done` after it. A killed run leaves `intended`:
            it may or may not be there.
    """

    id: int
    host: str
    component: str
    key: str
    summary: str
    before: Mapping[str, Any]
    state: str


class ChangeLog(Protocol):
    """Thread-safe."""

    def intend(self, *, host: str, component: str, key: str, summary: str, before: Mapping[str, Any]) -> Change:
        """Record what is about to be done. When `key` is ours on this host already, its first `before` is kept."""
        ...

    def done(self, change: Change) -> None: ...

    def undone(self, change: Change) -> None:
        """It is no longer ours."""
        ...

    def managed(self, host: str, key: str) -> Change | None:
        """The change recorded under `key`, intended or done, and not undone."""
        ...

    def changes(self, *, host: str | None = None, component: str | None = None) -> list[Change]:
        """All that is ours, oldest first."""
        ...

    def drop_damaged(self, host: str, key: str) -> bool:
        """Forget a record that cannot be read, as a copy of it takes its place; whether there was such a one."""
        ...


class StoredChangeLog:
    """The change log in the journal's database; `scope` as in Journal."""

    def __init__(self, database: Database, scope: str) -> None:
        self._db = database
        self._scope = scope
        self._lock = threading.Lock()

    def intend(self, *, host: str, component: str, key: str, summary: str, before: Mapping[str, Any]) -> Change:
        with self._lock:
            known = self.managed(host, key)
            if known:
                self._set(known, "intended")
                return known
            summary, text = redact(summary), json.dumps(before)
            row = self._db.write(
                "INSERT INTO changes (scope, host, component, key, summary, before, state, at, digest)"
                " VALUES (?, ?, ?, ?, ?, ?, 'intended', ?, ?)",
                *(self._scope, host, component, key, summary, text, time.time(), _digest(text)),
            )
            return Change(row, host, component, key, summary, dict(before), "intended")

    def done(self, change: Change) -> None:
        self._set(change, "done")

    def undone(self, change: Change) -> None:
        self._set(change, "undone")

    def _set(self, change: Change, state: str) -> None:
        self._db.write("UPDATE changes SET state = ?, at = ? WHERE id = ?", state, time.time(), change.id)

    def managed(self, host: str, key: str) -> Change | None:
        rows = self._rows(host, key)
        return _change(rows[0]) if rows else None

    def _rows(self, host: str, key: str) -> list[sqlite3.Row]:
        return self._db.query(
            "SELECT * FROM changes WHERE scope = ? AND host = ? AND key = ? AND state != 'undone'",
            *(self._scope, host, key),
        )

    def drop_damaged(self, host: str, key: str) -> bool:
        damaged = [row for row in self._rows(host, key) if not _is_whole(row)]
        for row in damaged:
            self._db.write("UPDATE changes SET state = 'undone', at = ? WHERE id = ?", time.time(), row["id"])
        return bool(damaged)

    def changes(self, *, host: str | None = None, component: str | None = None) -> list[Change]:
        rows = self._db.query(
            "SELECT * FROM changes WHERE scope = ? AND state != 'undone'"
            " AND host = coalesce(?, host) AND component = coalesce(?, component) ORDER BY id",
            *(self._scope, host, component),
        )
        return [_change(row) for row in rows]


def _change(row: sqlite3.Row) -> Change:
    """
    Raises:
        ThinkubeError: the record is not as it was written.
    """
    if not _is_whole(row):
        raise ThinkubeError(
            f"the journal's record of {row['summary']!r} on {row['host']} is damaged",
            why=f"{row['key']}: what was there before cannot be read any more",
            fix=f"{command('rollback', row['component'])} takes what the host itself remembers in its place",
        )
    return Change(
        id=row["id"],
        host=row["host"],
        component=row["component"],
        key=row["key"],
        summary=row["summary"],
        before=json.loads(row["before"]),
        state=row["state"],
    )


def _is_whole(row: sqlite3.Row) -> bool:
    text = row["before"]
    try:
        read = json.loads(text)
    except (ValueError, TypeError):
        return False
    return isinstance(read, dict) and row["digest"] in ("", _digest(text))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
