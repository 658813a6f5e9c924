"""What the journal has of the runs on this target's hosts, as plain values for proof.py."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from thinkube_nornir.target import find_target, place_of

if TYPE_CHECKING:
    from thinkube_nornir.config import Config

Row = tuple[int, str, str | None, str | None]
"""Run, node, outcome (None: the run was killed meanwhile), and of a failure the name of its error's class."""

# CROSS JOIN keeps SQLite from looking at the nodes of all other scopes first.
_NODES = """
    SELECT n.run, n.node, n.outcome, CASE n.outcome WHEN 'failed' THEN json_extract(n.error, '$.kind') END
    FROM runs r CROSS JOIN nodes n ON n.run = r.id WHERE r.scope = ? AND NOT r.dry_run
    ORDER BY coalesce(n.finished, n.started), r.id, n.node
"""


@dataclass(frozen=True)
class PastRun:
    id: int
    scope: str
    verb: str
    started: float
    finished: float | None
    outcome: str | None
    """None: it was killed, or is still at work."""

    @property
    def place(self) -> str:
        return place_of(self.scope)

    @cached_property
    def date(self) -> str:
        """The day on which it ended, in UTC: marks are read on machines of other zones."""
        return time.strftime("%Y-%m-%d", time.gmtime(self.finished or self.started))


@dataclass(frozen=True)
class History:
    scope: str
    """Whose hosts the nodes are on, as in Journal."""
    runs: Mapping[int, PastRun] = field(default_factory=dict)
    """On any hosts."""
    rows: Iterable[Row] = ()
    """Of the altering and verifying runs in this scope, in the order in which they ended: a verify may end while a run
    with a lower number goes on. Dry runs are left out."""

    @property
    def place(self) -> str:
        return place_of(self.scope)


def read_history(config: Config) -> History:
    """What the journal knows; makes none where there is none yet."""
    from thinkube_nornir.database import Database

    scope, path = find_target(config.target).scope(config), config.state / "journal.sqlite"
    if not path.exists():
        return History(scope)
    with closing(Database(path)) as database:
        columns = "id, scope, verb, started, finished, outcome"
        runs = (PastRun(*row) for row in database.query(f"SELECT {columns} FROM runs"))  # noqa: S608  fixed columns
        rows = database.query(_NODES, scope)
        return History(scope, {run.id: run for run in runs}, rows)  # type: ignore[arg-type]  # a sqlite3.Row unpacks
