"""The files of a phase's folder that declare a component: a module, or a package where it is split into parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def component_files(phase: Path) -> Mapping[str, Path]:
    """Return each component's name and the file that declares it; names that begin with _ are of helpers.

    `coredns.py` is the component `coredns`, and so is `coredns/__init__.py`.
    """
    found = [*phase.glob("[!_]*.py"), *phase.glob("[!_]*/__init__.py")]
    return {(file.parent.name if file.stem == "__init__" else file.stem): file for file in sorted(found)}
