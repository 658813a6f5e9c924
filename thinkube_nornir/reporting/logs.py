"""The log file: tracebacks and details go there, redacted, and never to the terminal."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from thinkube_nornir.secret import redact

_LONGEST = 10_000_000  # bytes, and so many older files: what Nornir's own logging keeps
_OLDER = 10


class _Redacting(logging.Formatter):
    """Redacts the whole record, so also what a traceback quotes."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _Private(RotatingFileHandler):
    """Nobody but the operator can read the file, nor the one that follows it when it is full."""

    def _open(self) -> TextIOWrapper:
        os.close(os.open(self.baseFilename, os.O_CREAT | os.O_WRONLY, 0o600))
        return super()._open()


@contextmanager
def logging_to(path: Path, level: str = "INFO") -> Iterator[None]:
    """Everything that is logged while the block runs is appended to the file, for the operator alone."""
    handler = _handler(path)
    root = logging.getLogger()
    former = root.level
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield
    finally:
        root.setLevel(former)
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
    handler = _Private(path, maxBytes=_LONGEST, backupCount=_OLDER, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)-7s %(threadName)s %(name)s: %(message)s"))
    return handler
