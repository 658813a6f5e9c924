"""What a run was given: settings, the files that decide what it does, and the commit they are from."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any

from nornir.core.inventory import Inventory

from thinkube_nornir.config import Config
from thinkube_nornir.git import GitMissing, GitTooSlow, git
from thinkube_nornir.secret import MASK, is_secret_name, redact

Settings = Mapping[str, Mapping[str, Any]]
"""Host to the names and values of its settings, JSON."""

_log = logging.getLogger(__name__)

_LOGIN = ("hostname", "port", "username")
_GIT_DEADLINE = 2.0  # seconds; a run that is over waits for it, and goes without


@dataclass(frozen=True)
class Inputs:
    settings: Settings = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Path, below the folder of config.yaml, to a digest of the content."""
    revision: str = ""
    """The git commit; empty where there is none."""
    modified: bool | None = None
    """Whether these files differ from the commit."""


def settings_of(inventory: Inventory) -> Settings:
    """What every host's settings resolve to, and how it is reached; read before a target puts its own hosts there."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, host in inventory.hosts.items():
        login = {attribute: getattr(host, attribute) for attribute in _LOGIN}
        found[name] = host.extended_data() | {key: value for key, value in login.items() if value is not None}
    return found


def as_text(value: Any) -> str:
    """JSON in one form for equal values; texts in it are redacted."""
    return json.dumps(masked(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def masked(value: Any) -> Any:
    """The value as JSON has it, without what is a secret by its name, and without the values of known secrets."""
    if isinstance(value, Mapping):
        return {str(key): MASK if is_secret_name(str(key)) else masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [masked(item) for item in value]
        return items if isinstance(value, list | tuple) else sorted(items, key=str)
    return value if value is None or isinstance(value, bool | int | float) else redact(str(value))


def digest_of(content: bytes) -> str:
    return _new_digest(content).hexdigest()


def _new_digest(content: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(content, digest_size=16)


def collect(config: Config, file: Path, settings: Settings) -> Inputs:
    """The inputs as they are now; without git, or outside of a repository, nothing is said of a commit.

    Args:
        file: config.yaml, however it is called.
    """
    paths = [Path(os.path.abspath(file)), config.inventory, config.templates, config.tasks]  # noqa: PTH100 as config_file.py
    revision, modified = _revision(config.root, paths)
    return Inputs(settings, _digests(config.root, paths), revision, modified)


def _digests(root: Path, paths: Iterable[Path]) -> Mapping[str, str]:
    return {os.path.relpath(path, root): digest for path, digest in _digested(paths)}


def _digested(roots: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for root in roots:
        for path in sorted(_files(str(root))):
            try:
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123 twice as fast as Path.read_bytes
                    yield path, hashlib.file_digest(file, _new_digest).hexdigest()  # piece by piece: it may be large
            except OSError:
                continue  # it went away, or is not for us to read: components would have said so


def _files(root: str) -> Iterator[str]:
    """Regular files below a folder, or the file itself; what Python compiles and hidden ones are left out."""
    try:
        if S_ISREG(os.stat(root).st_mode):  # noqa: PTH116 faster than Path.stat
            yield root
            return
        with os.scandir(root) as entries:
            found = list(entries)
    except OSError:
        return
    for entry in found:
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        elif entry.is_file():
            yield entry.path


def _revision(root: Path, paths: Iterable[Path]) -> tuple[str, bool | None]:
    inside = [str(path) for path in paths if path.is_relative_to(root)]
    looked = ("status", "--porcelain=v2", "--branch", "--", *inside, ":(exclude,glob)**/__pycache__/**")
    try:
        answer = git(root, *looked, timeout=_GIT_DEADLINE)
    except (GitMissing, GitTooSlow, OSError) as error:
        _log.debug("the commit is not known: %s", error)
        return "", None
    if not answer.good:
        return "", None
    lines = answer.out.splitlines()
    found = [line.removeprefix("# branch.oid ") for line in lines if line.startswith("# branch.oid ")]
    if not found or found[0].startswith("("):  # "(initial)": no commit yet
        return "", None
    return found[0], any(not line.startswith("#") for line in lines)


@contextmanager
def collecting(config: Config, file: Path, settings: Settings, keep: Callable[[Inputs], None]) -> Iterator[None]:
    """Collect beside what is done here, so that no step waits for it; what was found is kept before this ends."""

    def collect_and_keep() -> None:
        try:
            keep(collect(config, file, settings))
        except Exception:  # a run goes on without: its lessons say less
            _log.warning("what this run was given could not be recorded", exc_info=True)

    thread = threading.Thread(target=collect_and_keep, name="inputs")
    # It inherits this mask. With an open one it may be the thread that takes a Ctrl-C, and the main thread, which
    # answers it, would sleep on: starting a process opens and closes the mask.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    thread.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield
    finally:
        thread.join()
