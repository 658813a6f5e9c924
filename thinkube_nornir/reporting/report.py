"""Writes a Record to files, by their ending: .json for machines, .xml (JUnit) for CI, .md and .html for people."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from thinkube_nornir.errors import ConfigError, Problem
from thinkube_nornir.reporting.html_report import as_html
from thinkube_nornir.reporting.json_report import as_json
from thinkube_nornir.reporting.junit_report import as_junit
from thinkube_nornir.reporting.markdown_report import as_markdown
from thinkube_nornir.reporting.record import Record


def write(record: Record, path: Path) -> None:
    """Write atomically in the format that `path` ends in.

    Raises:
        ConfigError: an ending we do not know, or the file cannot be written.
    """
    text = writer(path)(record)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text)
    except OSError as error:
        raise ConfigError([Problem("--report", f"cannot write {path}: {error.strerror}")]) from None


def writer(path: Path) -> Callable[[Record], str]:
    found = WRITERS.get(path.suffix.lower())
    if found is None:
        raise ConfigError([Problem("--report", f"{path} ends in none of {', '.join(WRITERS)}")])
    return found


def _replace(path: Path, text: str) -> None:
    """A reader sees the old report or the new one, never half of one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


WRITERS: Mapping[str, Callable[[Record], str]] = {
    ".json": as_json,
    ".xml": as_junit,
    ".md": as_markdown,
    ".html": as_html,
}
