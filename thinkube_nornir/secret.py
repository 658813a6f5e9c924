"""Secrets: values that never reach a log, journal, report, traceback or diff."""

from __future__ import annotations

import re
import threading

MASK = "********"
_SHORTEST = 4  # masking shorter values would riddle every text with asterisks

_known: set[str] = set()
_lock = threading.Lock()


_SECRET_NAME = re.compile(r"(^|_)(password|passphrase|secret|token|api_?key|private_key)s?$", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a setting of this name holds a secret: its value is not shown.

    >>> is_secret_name("host_sudo_password"), is_secret_name("token_ttl")
    (True, False)
    """
    return bool(_SECRET_NAME.search(name))


class Secret:
    """A value that prints as asterisks and that `redact` removes from every text.

    >>> str(Secret("correct horse"))
    '********'
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value
        if len(value) >= _SHORTEST:
            with _lock:
                _known.add(value)

    def reveal(self) -> str:
        return self.__value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__value

    def __hash__(self) -> int:
        return hash(self.__value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled")


def redact(text: str) -> str:
    """Return `text` with the value of every Secret made so far masked, longest value first."""
    with _lock:
        known = sorted(_known, key=len, reverse=True)
    for value in known:
        if value in text:
            text = text.replace(value, MASK)
    return text
