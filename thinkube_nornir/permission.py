"""What the operator lets go of what is foreign: `--delete-foreign`, and what the steps of a run found of it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from thinkube_nornir.program import command

OPTION = "--delete-foreign"


@dataclass
class Permission:
    """Thread-safe."""

    names: tuple[str, ...] = ()
    """As they were typed."""
    request: tuple[str, ...] = ()
    """The arguments of this call without the names: what is to be typed again, with more of them."""
    found: dict[str, None] = field(default_factory=dict)
    """All that steps found, permitted or not, in the order in which they did."""
    refused: dict[str, None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refuse(self, names: Iterable[str]) -> list[str]:
        """Return the names that may not go."""
        with self._lock:
            self.found |= dict.fromkeys(names)
            refused = [name for name in names if name not in self.names]
            self.refused |= dict.fromkeys(refused)
            return refused

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Names that were typed and that nothing which was found has."""
        return tuple(name for name in self.names if name not in self.found)

    @property
    def advice(self) -> str:
        """How to go on, for a refusal."""
        return f"move it away first, or let it be deleted with it: `{self.command}`"

    @property
    def command(self) -> str:
        """What to type to go on: with all names that were typed and are right, and those that were refused so far."""
        with self._lock:
            names = [*(name for name in self.names if name in self.found), *self.refused]
        return command(*self.request, *(word for name in dict.fromkeys(names) for word in (OPTION, name)))
