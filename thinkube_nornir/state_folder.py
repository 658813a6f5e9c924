"""The folder of journal, kubeconfigs and log: a copy serves those who alter nothing where it cannot be written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

JOURNAL = "journal.sqlite"


def writable(state: Path) -> bool:
    """Whether files can be made and changed in it; a folder that is not there yet is asked of the one above it."""
    journal = state / JOURNAL
    folder = next(path for path in (state, *state.parents) if path.exists())
    return os.access(folder, os.W_OK | os.X_OK) and (not journal.exists() or os.access(journal, os.W_OK))


@contextmanager
def copied(state: Path) -> Iterator[Path]:
    """A folder with a copy of the journal, which goes when this ends.

    SQLite writes beside a journal even to read it, and so does this program to bring it to its own version.
    """
    with TemporaryDirectory(prefix="thinkube-nornir-") as folder:
        for ending in ("", "-wal"):  # what was written last stands there until SQLite moves it
            source = state / f"{JOURNAL}{ending}"
            if source.exists():
                shutil.copyfile(source, Path(folder) / source.name)
        yield Path(folder)
