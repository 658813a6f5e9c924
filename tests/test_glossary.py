"""docs/glossary.md: each word that an author meets in component.py has its line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = (ROOT / "docs/glossary.md").read_text()
ROWS = [line for line in GLOSSARY.splitlines() if line.startswith("| ") and not line.startswith("| term")]
PLAIN = {"function", "steps", "facts", "name", "chains", "ChainName"}
"""What is said by the words of other rows: a chain's steps and facts, a step's function and name."""


def _public(tree: ast.Module) -> Iterator[str]:
    """Functions, classes and constants of the module, and the fields and properties of its classes."""
    for node in tree.body:
        yield from _named(node)
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                yield from _named(field)


def _named(node: ast.stmt) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        names.append(node.name)
    yield from (name for name in names if not name.startswith("_"))


def test_each_public_name_of_components_is_explained() -> None:
    """In backquotes, in the line of the term that it stands for."""
    names = set(_public(ast.parse((ROOT / "thinkube_nornir/component.py").read_text()))) - PLAIN
    explained = {name for row in ROWS for name in re.findall(r"`(\w+)[`(]", row)}

    assert "manages" in names
    assert names - explained == set()


def test_each_term_is_one_line_and_stands_once() -> None:
    """Term and meaning, a sentence or two."""
    terms = [row.split(" | ")[0].removeprefix("| ").partition(" (")[0] for row in ROWS]

    assert sorted(terms) == sorted(set(terms))
    assert [
        row for row in ROWS if "---" not in row and (row.count(" | ") != 1 or not row.endswith((". |", "). |")))
    ] == []


def test_readme_leads_to_it() -> None:
    """Who meets a word there finds what it means."""
    assert "docs/glossary.md" in (ROOT / "README.md").read_text()
