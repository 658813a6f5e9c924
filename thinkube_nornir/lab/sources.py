"""Where the lab's behaviour was read: lines `Source:` and `Unproven:` in docstrings, collected.

A `Source: canonical/microk8s@1.35 scripts/wrappers/join.py` names repository, ref and path of what was read; an
`Unproven: how long snapd takes to install MicroK8s.` what nobody could read, in one sentence. Each begins a line, and
goes on until an empty line or the next of them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LINES = re.compile(r"^[ \t]*(Source|Unproven): (.+(?:\n(?![ \t]*(?:Source|Unproven): )[ \t]*\S.*)*)", re.MULTILINE)
_SOURCE = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)@(?P<ref>\S+) (?P<path>\S+)")


@dataclass(frozen=True)
class Read:
    """A source that was read."""

    file: Path
    """The module that names it."""
    repository: str
    ref: str
    path: str


@dataclass(frozen=True)
class Unproven:
    file: Path
    what: str


def read_in(folder: Path) -> tuple[list[Read], list[Unproven]]:
    """What the docstrings of all modules below a folder say.

    Raises:
        ValueError: a `Source:` without repository, ref and path.
    """
    sources, unproven = [], []
    for file in sorted(folder.rglob("*.py")):
        for kind, text in _marked(ast.parse(file.read_text())):
            if kind == "Unproven":
                unproven.append(Unproven(file, text))
            elif found := _SOURCE.match(text):
                sources.append(Read(file, **found.groupdict()))
            else:
                raise ValueError(f"{file}: `Source: {text}` is not OWNER/REPOSITORY@REF PATH")
    return sources, unproven


def _marked(module: ast.Module) -> Iterator[tuple[str, str]]:
    """The marks in every text that stands alone: docstrings, and the texts below constants and fields."""
    for node in ast.walk(module):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for found in _LINES.finditer(node.value.value):
                yield found[1], " ".join(found[2].split())
