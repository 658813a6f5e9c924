"""The journal for those who only look: no file is made by it, and no right to write is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext

from thinkube_nornir.config import Config
from thinkube_nornir.database import Database
from thinkube_nornir.journal import Journal
from thinkube_nornir.state_folder import JOURNAL, copied, writable


@contextmanager
def past_journal(config: Config) -> Iterator[Journal]:
    """The journal of a project; an empty one where there is none yet, a copy where it cannot be written."""
    state = config.state
    if state.exists():
        os.listdir(state)  # noqa: PTH208  "no runs yet" would be wrong of a folder that cannot be looked into
    there = (state / JOURNAL).exists() and writable(state)
    with nullcontext(state) if there else copied(state) as folder, closing(Database(folder / JOURNAL)) as database:
        yield Journal(database, "")
