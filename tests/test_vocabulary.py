"""The project says things in the field's words: a reader who knows Ansible, Kubernetes and Python learns no dialect.

A private word is refused in names (`door_of`), or in prose too: docstrings, comments, messages, templates and docs.
Ordinary English is free: "as it was told" may stand in a sentence, a variable `told` may not.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (".md", ".j2", ".html", ".yaml")


@dataclass(frozen=True)
class Word:
    pattern: str
    instead: str
    names_only: bool = False

    def in_name(self, name: str) -> bool:
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("_", " ").lower()
        return re.search(rf"\b(?:{self.pattern})\b", words) is not None

    def in_prose(self, text: str) -> Iterator[re.Match[str]]:
        return iter(()) if self.names_only else re.finditer(rf"\b(?:{self.pattern})\b", text, re.IGNORECASE)


WORDS = (
    Word(r"doors?", "API, client, remote.change"),
    Word(r"ledgers?", "change log"),
    Word(r"patience", "deadline"),
    Word(r"obstacles?", "blocked reason"),
    Word(r"wardens?", "supervisor"),
    Word(r"(?<![<.])(?<!topology )circles?", "cycle"),
    Word(r"cookies?", "process tag"),
    Word(r"invitations?", "join token"),
    Word(r"followers?", "dependents"),
    Word(r"strangers?", "unknown host key; somebody else"),
    Word(r"former|formerly", "previous"),
    Word(r"lent|lend|lends", "checked out"),
    Word(r"mend|mends|mended|mending", "repair"),
    Word(r"complain|complains|complained|complaints?", "error; log"),
    Word(r"enrol|enrols|enrolled|enrolling|enrolment", "accept, add to known_hosts"),
    Word(r"expel|expels|expelled", "remove (a member)"),
    Word(r"rehears\w+", "skipped in a dry run"),
    Word(r"terminalless", "ExecConnection"),
    Word(r"host parts?", "on-host state"),
    Word(r"(?:take|takes|taken|took|taking)(?: it| them| that)? back", "roll back"),
    Word(r"(?:carry|carries|carried|carrying)(?: it| them| that)? out", "run, execute"),
    Word(r"ours", "managed; made, changed or recorded by thinkube-nornir"),
    Word(r"likewise(?=\.?\s*$)", "a sentence with a subject, or the reason once more"),
    Word(r"told|tells?", "message, reason, reported", names_only=True),
    Word(r"obtains?", "run_for_output", names_only=True),
    Word(r"admit (?:user|member)", "add_group_member", names_only=True),
    Word(r"ground|barren|bell", "base layer, SKIP, Wakeup", names_only=True),
)

ALLOWED: dict[str, str] = {
    "thinkube_nornir/database.py: CREATE UNIQUE INDEX ours ON changes (scope, ": "a name in files that exist",
}
"""Places where a word has its ordinary meaning, `file: word in its context`, each with the reason."""


@dataclass(frozen=True)
class Found:
    file: str
    line: int
    text: str
    word: Word

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text!r}; write: {self.word.instead}"


def _prose(file: str, line: int, text: str) -> Iterator[Found]:
    for word in WORDS:
        for match in word.in_prose(text):
            start = text.rfind("\n", 0, match.start()) + 1
            context = text[max(start, match.start() - 30) : match.end() + 20].partition("\n")[0]
            yield Found(file, line + text.count("\n", 0, match.start()), context, word)


def _names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.alias):
            names: tuple[str | None, ...] = (node.asname,)
        else:
            names = tuple(getattr(node, field, None) for field in ("id", "attr", "arg", "name"))
        yield from ((name, getattr(node, "lineno", 0)) for name in names if isinstance(name, str))


def found_in(file: str, source: str) -> Iterator[Found]:
    """Every private word in the names and in the prose of a file."""
    if not file.endswith(".py"):
        yield from _prose(file, 1, source)
        return
    tree = ast.parse(source)
    yield from _names_found(file, file.removesuffix(".py").replace("/", "_"), 1)
    for name, line in _names(tree):
        yield from _names_found(file, name, line)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _prose(file, node.lineno, node.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from _prose(file, token.start[0], token.string)


def _names_found(file: str, name: str, line: int) -> Iterator[Found]:
    yield from (Found(file, line, name, word) for word in WORDS if word.in_name(name))


FRAGMENT = re.compile(r"(Of|For|As|At|By|Under|And|But|Or|Nor|Also|Likewise|None|Those|Empty|False) ")
"""How a docstring begins that leaves out what it speaks of."""

FOLDERS = ("checklist", "cli", "evidence", "history", "lessons", "phase", "reporting")
SENTENCES = tuple(f"thinkube_nornir/{name}/" for name in FOLDERS)
"""Where no docstring does, beside the engine's own modules."""


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""


def test_docstrings_say_what_they_speak_of() -> None:
    """A first line such as "Of the last one." is half a sentence, whose other half the reader has to find."""
    files = [file for file in _files() if re.fullmatch(r"thinkube_nornir/\w+\.py", file) or file.startswith(SENTENCES)]

    found = [
        f"{file}:{line}: {text.partition(chr(10))[0]}"
        for file in files
        if file.endswith(".py")
        for line, text in _docstrings(ast.parse((ROOT / file).read_text()))
        if FRAGMENT.match(text)
    ]

    assert len(files) > 100
    assert not found, "\n".join(found)


def _files() -> list[str]:
    folders = [path for name in ("thinkube_nornir", "tasks", "docs", "templates") for path in (ROOT / name).rglob("*")]
    files = [path for path in (*folders, *ROOT.glob("*.md"), *ROOT.glob("*.yaml")) if path.is_file()]
    return sorted(str(path.relative_to(ROOT)) for path in files if path.suffix in (".py", *TEXT))


def test_every_word_is_one_of_the_field() -> None:
    """Names and prose of engine, components, templates and docs have none of the private words."""
    found = [
        str(one)
        for file in _files()
        for one in dict.fromkeys(found_in(file, (ROOT / file).read_text()))
        if f"{one.file}: {one.text}" not in ALLOWED
    ]

    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("door_of = 1", ["door_of"]),
        ("def f(told: str) -> None: ...", ["told"]),
        ("class ShutDoor: ...", ["ShutDoor"]),
        ("from a import b as door", ["door"]),
        ("x.ours", ["ours"]),
        ("token = 1  # the door to it", ["# the door to it"]),
        ('def f():\n    """As it was told.\n\n    And mended."""', ["    And mended."]),
        ('f"{x} is taken back"', [" is taken back"]),
        ('"""Likewise."""', ["Likewise."]),
        ("outdoors = formerly_known = 'what was told, transformers'", ["formerly_known"]),
    ],
)
def test_private_words_are_found(source: str, expected: list[str]) -> None:
    """In names by their parts, in docstrings, comments and messages as whole words."""
    assert [one.text for one in dict.fromkeys(found_in("a.py", source))] == expected
