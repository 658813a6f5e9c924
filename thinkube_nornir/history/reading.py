"""The journal for those who only look: no file is made by it, and no right to write is needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from thinkube_nornir.config import Config
from thinkube_nornir.database import Database
from thinkube_nornir.journal import Journal


@contextmanager
def past_journal(config: Config) -> Iterator[Journal]:
    """The journal of a project; an empty one where there is none yet.

    SQLite writes beside a journal even to read it, and so does this program to bring it to its own version. Where
    that is impossible, a copy is read.
    """
    path = config.state / "journal.sqlite"
    if config.state.exists():
        os.listdir(config.state)  # noqa: PTH208  "no runs yet" would be wrong of a folder that cannot be looked into
    if path.exists() and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        with closing(Database(path)) as database:
            yield Journal(database, "")
    else:
        with (
            TemporaryDirectory(prefix="thinkube-journal-") as folder,
            closing(Database(_copy(path, Path(folder)))) as database,
        ):
            yield Journal(database, "")


def _copy(path: Path, folder: Path) -> Path:
    """What was written last stands in the file that ends in -wal until SQLite moves it."""
    for ending in ("", "-wal"):
        source = path.with_name(path.name + ending)
        if source.exists():
            shutil.copyfile(source, folder / source.name)
    return folder / path.name
