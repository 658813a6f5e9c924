"""Reads a YAML file and remembers the line of every key, so that a mistake found later can be pointed at.

Plain scalars mean what YAML 1.2 says, as they do for Nornir's own loader: `01:00.0` is text and not the number 60,
`no` is text and not false.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from thinkube_nornir import operator_file
from thinkube_nornir.errors import Problem

try:
    from yaml import CSafeLoader as _Base
except ImportError:  # PyYAML without libyaml: the same, slower
    from yaml import SafeLoader as _Base  # type: ignore[assignment]

Location = tuple[str | int, ...]
"""Keys and indexes from the top of the file: ("bcn1", "groups", 0)."""

_TAG = "tag:yaml.org,2002:"
_PLAIN = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}


_MOST_BY_ALIASES = 10_000
_MOST_DIGITS = 100  # no number that is meant has more, and Python refuses to read 5,000


class _Loader(_Base):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own interface)


for _name, _pattern in _PLAIN.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), None)


@dataclass
class Source:
    """One YAML file: its value, the lines of its keys, and what is wrong with it as YAML."""

    shown: str
    """The file's name for messages."""
    value: Any = None
    lines: dict[Location, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    left: int = 0
    """How many more values it may have: each takes a character, but aliases multiply them."""

    def where(self, location: Location = ()) -> str:
        """`file:line` of the key, or of the nearest key above it."""
        while location and location not in self.lines:
            location = location[:-1]
        return f"{self.shown}:{self.lines.get(location, 1)}"

    def problem(self, location: Location, what: str, fix: str = "") -> Problem:
        return Problem(self.where(location), what, fix)


def shown(path: Path) -> str:
    """The path as an operator would type it: relative below the current folder, else absolute."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def read_yaml(path: Path, name: str = "", fix: str = "") -> Source:
    """Read a YAML file; what is wrong with it stands in `problems`, and nothing is raised.

    Args:
        name: what messages call it; empty for `shown(path)`.
        fix: what to do when it cannot be read.
    """
    source = Source(name or shown(path))
    try:
        text = operator_file.read(path).decode()
    except OSError as error:
        source.problems.append(Problem(source.shown, f"cannot be read: {error.strerror}", fix))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        source.problems.append(Problem(f"{source.shown}:{line}", "not UTF-8 text"))
    else:
        _parse(source, text)
    return source


def read_config_yaml(path: Path) -> Source:
    """Read config.yaml, which messages call as the operator did."""
    return read_yaml(path, str(path), "run this in the folder of your config.yaml, or name the file with -c")


def _parse(source: Source, text: str) -> None:
    loader = _Loader(text)
    source.left = len(text) + _MOST_BY_ALIASES
    try:
        node = loader.get_single_node()
        source.value = None if node is None else _value(source, node, (), ())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        line = f":{mark.line + 1}" if mark else ""
        source.problems.append(Problem(source.shown + line, f"not valid YAML: {reason}"))
    except (RecursionError, _TooManyValues) as error:  # of itself PyYAML limits the depth since 6.0.4
        what = "nested too deeply" if isinstance(error, RecursionError) else "its aliases repeat a part too often"
        source.value = None
        source.problems.append(Problem(source.shown, f"not valid YAML: {what}"))
    finally:
        loader.dispose()


class _TooManyValues(Exception):
    """Ten lists of ten aliases each, ten times over, are more than any machine holds."""


def _value(source: Source, node: Any, at: Location, above: tuple[Any, ...]) -> Any:
    source.left -= 1
    if source.left < 0:
        raise _TooManyValues
    source.lines.setdefault(at, node.start_mark.line + 1)
    if any(node is parent for parent in above):
        source.problems.append(source.problem(at, "an alias of a part that contains it"))
        return None
    if isinstance(node, yaml.MappingNode):
        return {key: _value(source, child, (*at, key), (*above, node)) for key, child in _entries(source, node, at)}
    if isinstance(node, yaml.SequenceNode):
        return [_value(source, child, (*at, i), (*above, node)) for i, child in enumerate(node.value)]
    return _scalar(source, node, at)


def _entries(source: Source, node: Any, at: Location) -> Iterator[tuple[str, Any]]:
    for key, child in node.value:
        line = key.start_mark.line + 1
        wrong = _wrong_key(source, key, at)
        if wrong:
            source.problems.append(Problem(f"{source.shown}:{line}", *wrong))
        else:
            source.lines[(*at, key.value)] = line
            yield key.value, child


def _wrong_key(source: Source, key: Any, at: Location) -> tuple[str, str] | None:
    if not isinstance(key, yaml.ScalarNode):
        return "a key must be plain text", ""
    if key.value == "<<":
        return "merge keys (<<) are not supported", "put what is common into a group"
    if key.tag != _TAG + "str":
        return f"the key {key.value} is not text", "put it in quotes"
    if (*at, key.value) in source.lines:
        return f"{key.value} stands here twice, first in line {source.lines[(*at, key.value)]}", "remove one of them"
    return None


def _scalar(source: Source, node: Any, at: Location) -> Any:
    text, kind = node.value, node.tag.removeprefix(_TAG)
    if kind == "str":
        return text
    if kind in ("int", "float") and len(text) > _MOST_DIGITS:
        source.problems.append(
            source.problem(at, f"a number of {len(text)} characters", "put it in quotes if it is text")
        )
        return None
    if kind not in _PLAIN or not re.fullmatch(_PLAIN[kind], text):
        source.problems.append(source.problem(at, f"{text!r} cannot be read as {node.tag}", "remove the tag"))
        return None
    return _CONVERT[kind](text)


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


def _float(text: str) -> float:
    word = text.lower()
    if word.endswith((".inf", ".nan")):
        return math.nan if word == ".nan" else float(word.replace(".", ""))
    return float(text)


_CONVERT = {"null": lambda _: None, "bool": lambda text: text.lower() == "true", "int": _integer, "float": _float}
