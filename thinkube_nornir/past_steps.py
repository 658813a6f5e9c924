"""What steps took in past runs: one question to the journal."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from thinkube_nornir.database import Database
from thinkube_nornir.durations import PastStep

_PAST_STEPS = """
WITH asked AS MATERIALIZED (
    SELECT id, verb, EXISTS (
        SELECT 1 FROM nodes WHERE run = id AND outcome IN ('changed', 'planned')
    ) AS altered
    FROM runs
    WHERE (verb = ?1 OR verb = 'plan' AND ?1 = 'run' OR verb = 'verify' AND ?2 != 'rollback')
    AND scope LIKE ?3 AND dry_run = ?4
    AND EXISTS (SELECT 1 FROM json_each(selection) WHERE value IN (SELECT value FROM json_each(?5)))
),
chosen AS (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY verb = 'verify', altered ORDER BY id DESC) AS place FROM asked
    ) WHERE place <= 10
)
SELECT run, node, host, outcome, finished - started AS seconds FROM nodes
WHERE run IN (SELECT id FROM chosen) AND finished IS NOT NULL
AND (outcome IN ('changed', 'planned', 'passed', 'unchanged') OR outcome = 'skipped' AND ?4)
ORDER BY run DESC LIMIT 200000
"""
"""One statement, because each question about a plan's steps would be asked a hundred thousand times on large ones."""


def past_steps(database: Database, verb: str, target: str, words: Collection[str], *, dry_run: bool) -> list[PastStep]:
    """What steps took in the last runs that had to do with a selection, newest first.

    Ten runs that altered something, ten that found nothing to do, and ten verifications.

    Args:
        verb: `run`, `verify` or `rollback`.
        words: what their selections had, one of it at least.
    """
    altering = "rollback" if verb == "rollback" else "run"
    rows = database.query(_PAST_STEPS, altering, verb, f"{target}%", dry_run, json.dumps([*words]))
    return [_past_step(row) for row in rows]


def _past_step(row: sqlite3.Row) -> PastStep:
    component, chain, step = row["node"].split("/")
    seconds = max(0.0, row["seconds"])
    return PastStep(row["run"], component, chain, step.partition("@")[0], row["host"], row["outcome"], seconds)
