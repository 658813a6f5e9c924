"""What is managed: every change with what is needed to undo it, so that rollback undoes that and no more.

The same record lies with the thing itself, on its host or in its cluster, where it is written once and never replaced.
Where the two disagree the thing's own is right: another controller may have undone a change, and made it anew.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from thinkube_nornir.database import Database
from thinkube_nornir.errors import ThinkubeError
from thinkube_nornir.program import command
from thinkube_nornir.secret import redact


@dataclass(frozen=True)
class Record:
    """A change as the host or the cluster that it was made on remembers it; `before` as in Change."""

    component: str
    key: str
    summary: str
    before: Mapping[str, Any]

    @property
    def line(self) -> bytes:
        return json.dumps(vars(self), sort_keys=True).encode("ascii") + b"\n"

    @staticmethod
    def name_of(key: str) -> str:
        """The name under which a key is kept: keys hold slashes, and may be long."""
        return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:32]


@dataclass(frozen=True)
class Merged:
    """What the change log did not have as the thing itself remembers it."""

    adopted: tuple[str, ...] = ()
    """Keys that it lacked, could not read, or had otherwise."""
    dropped: tuple[str, ...] = ()
    """Keys that nothing is recorded of where the change was made."""


@dataclass
class Recalled:
    """What a run's change log took over from hosts and clusters, and gave up, host by host. Thread-safe."""

    adopted: dict[str, list[str]] = field(default_factory=dict)
    dropped: dict[str, list[str]] = field(default_factory=dict)
    unasked: dict[str, str] = field(default_factory=dict)
    """Hosts whose cluster did not say what it remembers, with the reason."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, host: str, merged: Merged) -> None:
        with self._lock:
            for known, keys in ((self.adopted, merged.adopted), (self.dropped, merged.dropped)):
                if keys:
                    known.setdefault(host, []).extend(keys)

    def notes(self) -> list[str]:
        """One line for each host and kind, for the operator; each is given once."""
        with self._lock:
            lines = [
                f"{host}: {_changes(keys)} that this journal did not have were taken over from there: another "
                "controller made them, or this journal was lost"
                for host, keys in self.adopted.items()
            ]
            lines += [
                f"{host}: {_changes(keys)} of this journal are recorded there no more, and are left alone: another "
                f"controller rolled them back, or the host was installed anew ({_some(keys)})"
                for host, keys in self.dropped.items()
            ]
            lines += [
                f"{host}: its cluster could not be asked what was changed in it: {why}"
                for host, why in self.unasked.items()
            ]
            for known in (self.adopted, self.dropped, self.unasked):
                known.clear()
            return lines


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _changes(keys: list[str]) -> str:
    return f"{len(keys)} change{'s' * (len(keys) > 1)}"


def _none(_: Change) -> bool:
    return False


def is_of_cluster(key: str) -> bool:
    """Whether the change was made to an object, whose record lies in the cluster, and not on a host."""
    return key.startswith("object:") and "/" in key


def release_key(namespace: str, name: str) -> str:
    """Return the key under which a change to a Helm release is recorded."""
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
        before: the previous state, JSON; what it holds is between the step that records and the one that undoes.
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
        """Record what is about to be done. When `key` is managed on this host already, its first `before` is kept."""
        ...

    def done(self, change: Change) -> None: ...

    def undone(self, change: Change) -> None:
        """It is no longer managed."""
        ...

    def managed(self, host: str, key: str) -> Change | None:
        """The change recorded under `key`, intended or done, and not undone."""
        ...

    def changes(self, *, host: str | None = None, component: str | None = None) -> list[Change]:
        """All that is managed, oldest first."""
        ...

    def take_over(
        self, host: str, records: Iterable[Record], *, of_cluster: bool, keep: Callable[[Change], bool] = _none
    ) -> Merged:
        """Have, of the changes to a host or to the cluster that is reached through it, those that it remembers itself.

        Args:
            keep: says of a change that is not among them that it stays.
        """
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

    def take_over(
        self, host: str, records: Iterable[Record], *, of_cluster: bool, keep: Callable[[Change], bool] = _none
    ) -> Merged:
        theirs = {record.key: record for record in records}
        rows = self._db.query(
            "SELECT * FROM changes WHERE scope = ? AND host = ? AND state != 'undone' ORDER BY id", self._scope, host
        )
        known, dropped = set(), []
        for row in rows:
            key, record = row["key"], theirs.get(row["key"])
            if is_of_cluster(key) != of_cluster:
                continue
            change = _change(row) if _is_whole(row) else None
            if change and (change.before == record.before if record else keep(change)):
                known.add(key)
                continue
            self._db.write("UPDATE changes SET state = 'undone', at = ? WHERE id = ?", time.time(), row["id"])
            dropped += [] if record else [key]
        adopted = [record for key, record in theirs.items() if key not in known]
        for record in adopted:
            self.intend(host=host, **vars(record))
        return Merged(tuple(record.key for record in adopted), tuple(dropped))

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
