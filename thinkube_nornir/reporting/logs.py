"""The log file: tracebacks and details go there, redacted, and never to the terminal."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from thinkube_nornir.secret import redact

_LONGEST = 10_000_000  # bytes after which the next run begins a new file; Nornir's own logging has the same limits
_OLDER = 10  # files


class _Redacting(logging.Formatter):
    """Redacts the whole record, so also what a traceback quotes."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _LogFile(logging.FileHandler):
    """Says once that the file cannot be written (a full disk), and goes on in silence."""

    _lost = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._lost:
            self._lost = True
            sys.stderr.write(f"log    {self.baseFilename} cannot be written: {error.strerror}\n")

    def close(self) -> None:
        with suppress(OSError):  # what was not written was told by handleError
            super().close()


@contextmanager
def logging_to(path: Path, level: str = "INFO") -> Iterator[None]:
    """Everything that is logged while the block runs is appended to the file, for the operator alone."""
    handler = _handler(path)
    root = logging.getLogger()
    previous = root.level
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield
    finally:
        root.setLevel(previous)
        root.removeHandler(handler)
        handler.close()


def log_fault(error: BaseException, path: Path) -> Path:
    """Append the traceback of an error that nobody foresaw; return the file: another one when `path` cannot be one."""
    try:
        handler = _handler(path)
    except OSError:
        path = Path(tempfile.mkstemp(prefix="thinkube-nornir-", suffix=".log")[1])
        handler = _handler(path)
    try:
        info = type(error), error, error.__traceback__
        handler.handle(logging.LogRecord("fault", logging.ERROR, "", 0, "%s", (error,), info))
    finally:
        handler.close()
    return path


def _handler(path: Path) -> logging.Handler:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_file() and path.stat().st_size > _LONGEST:  # asked once, not at every line
        RotatingFileHandler(path, backupCount=_OLDER, delay=True).doRollover()
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # nobody but the operator can read it
    handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)-7s %(threadName)s %(name)s: %(message)s"))
    return handler
