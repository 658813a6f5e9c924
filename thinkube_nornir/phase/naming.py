"""A phase as a whole: its name for people, and what is wrong with a name that is none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thinkube_nornir.did_you_mean import did_you_mean
from thinkube_nornir.errors import ConfigError, Problem

if TYPE_CHECKING:
    from thinkube_nornir.catalog import Catalog


@dataclass(frozen=True)
class Phase:
    name: str
    """`phase5`."""
    title: str
    """`Core Services`, from the name of its folder."""

    @property
    def number(self) -> str:
        """`5`; the whole name where it has no number."""
        found = re.search(r"\d+", self.name)
        return found.group() if found else self.name

    @property
    def lessons(self) -> Path:
        """Its lessons learned, below the project's folder."""
        return Path("docs", "lessons", f"phase_{self.number}_lessons.md")


def find_phase(catalog: Catalog, name: str, verb: str) -> Phase:
    """
    Raises:
        ConfigError: no phase has this name; the nearest one is named.
    """
    folders = {entry.phase: entry.folder for entry in catalog.entries}
    if name not in folders:
        of = name.partition(".")[0]
        fix = f"name its phase: {of}" if of in folders else did_you_mean(name, folders)
        raise ConfigError([catalog.no_phase(name, verb) or Problem(verb, f"no phase is called {name!r}", fix)])
    words = folders[name].removeprefix(name).strip("_").split("_")
    return Phase(name, " ".join(word.capitalize() for word in words))
