"""Log files below `.thinkube/logs`: tracebacks and details go there, redacted, and never to the terminal."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thinkube_nornir.secret import redact

KEPT = 50
"""Log files; older ones are removed."""


class _Redacting(logging.Formatter):
    """Redacts the whole record, so also what a traceback quotes."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


@contextmanager
def log_file(folder: Path, name: str, *, debug: bool = False) -> Iterator[Path]:
    """Everything that is logged goes to a new file in `folder` while the block runs."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_old(folder)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-{os.getpid()}.log"
    handler = _handler(path)
    root = logging.getLogger()
    former = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        yield path
    finally:
        root.setLevel(former)
        root.removeHandler(handler)
        handler.close()


def log_fault(error: BaseException, folder: Path) -> Path:
    """Write the traceback of an error that nobody foresaw: in `folder`, else where the system keeps such files."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = folder
    except OSError:
        place = Path(tempfile.gettempdir())
    path = place / f"{time.strftime('%Y%m%d-%H%M%S')}-fault-{os.getpid()}.log"
    handler = _handler(path)
    try:
        info = type(error), error, error.__traceback__
        handler.handle(logging.LogRecord("fault", logging.ERROR, "", 0, "%s", (error,), info))
    finally:
        handler.close()
    return path


def _handler(path: Path) -> logging.Handler:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)-7s %(threadName)s %(name)s: %(message)s"))
    return handler


def _remove_old(folder: Path) -> None:
    for path in sorted(folder.glob("*.log"))[: -KEPT + 1]:
        path.unlink(missing_ok=True)
