"""YAML with line numbers."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from thinkube_nornir.settings.yaml_source import Source, read_yaml

TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=12,
)


def read(tmp_path: Path, text: str | bytes) -> Source:
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(path, "x.yaml")


def reported(source: Source) -> list[str]:
    return [str(problem) for problem in source.problems]


@given(value=JSON)
def test_what_was_dumped_is_read_back(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every value that YAML can write is read as it was, without a problem."""
    quoted = yaml.safe_dump(value, allow_unicode=True, default_style='"')  # numbers then carry explicit tags

    source = read(tmp_path_factory.mktemp("yaml"), quoted)

    assert (source.value, source.problems) == (value, [])


def test_every_key_and_item_has_its_line(tmp_path: Path) -> None:
    """Lines count from one; a place without a line of its own has that of the nearest key above."""
    source = read(tmp_path, "# comment\na:\n  b: 1\n  c:\n    - x\n    - y\n")

    assert source.where(("a", "b")) == "x.yaml:3"
    assert source.where(("a", "c", 1)) == "x.yaml:6"
    assert source.where(("a", "c", 1, "deeper")) == "x.yaml:6"
    assert source.where(("unknown",)) == "x.yaml:2"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("01:00.0", "01:00.0"),
        ("12:30", "12:30"),
        ("no", "no"),
        ("2026-01-01", "2026-01-01"),
        ("010", 10),
        ("0x10", 16),
        ("true", True),
        ("~", None),
        ("1.5e3", 1500.0),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("8056c2e21c000001", "8056c2e21c000001"),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(tmp_path: Path, text: str, value: Any) -> None:
    """No slot becomes a number of base 60, no `no` becomes false."""
    source = read(tmp_path, f"key: {text}\n")

    assert (source.value, source.problems) == ({"key": value}, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: a stands here twice, first in line 1 (remove one of them)"),
        ("a: 1\nb: [1, 2\nc: 3\n", "x.yaml:3: not valid YAML: "),
        ("a: 1\n8443: x\n", "x.yaml:2: the key 8443 is not text (put it in quotes)"),
        ("a: 1\nb: !vault x\n", "x.yaml:2: 'x' cannot be read as !vault (remove the tag)"),
        ("a: 1\nb: !!int x\n", "x.yaml:2: 'x' cannot be read as tag:yaml.org,2002:int (remove the tag)"),
        ("a: &here\n  b: *here\n", "x.yaml:2: an alias of a part that contains it"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "x.yaml:3: merge keys (<<) are not supported"),
        ("? [a, b]\n: 1\n", "x.yaml:1: a key must be plain text"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: not valid YAML: "),
        ("a: b\x01c\n", "x.yaml: not valid YAML: "),
        (b"a: 1\nb: \xff\n", "x.yaml:2: not UTF-8 text"),
    ],
)
def test_what_is_wrong_has_its_line(tmp_path: Path, text: str | bytes, expected: str) -> None:
    """A fault in the YAML itself is a problem with a line, never an exception."""
    (problem,) = reported(read(tmp_path, text))

    assert problem.startswith(expected)


def test_what_is_nested_too_deeply_is_a_problem(tmp_path: Path) -> None:
    """Whether PyYAML's parser refuses it (6.0.4, with a line), or Python's recursion limit does (before)."""
    (problem,) = reported(read(tmp_path, "a: " + "[" * 3000 + "]" * 3000))

    assert re.fullmatch(r"x\.yaml(:1)?: not valid YAML: (nested too deeply|exceeded maximum nesting depth)", problem)


def test_aliases_that_multiply_a_part_are_a_problem(tmp_path: Path) -> None:
    """A kilobyte of them would be a hundred million values."""
    names = "abcdefghi"
    lines = ["a: &a [" + "x," * 10 + "]"]
    lines += [f"{name}: &{name} [" + f"*{above}," * 10 + "]" for above, name in itertools.pairwise(names)]

    (problem,) = reported(read(tmp_path, "\n".join(lines)))

    assert problem == "x.yaml: not valid YAML: its aliases repeat a part too often"


def test_aliases_of_people_are_read(tmp_path: Path) -> None:
    """A part that is used a few times is none of those."""
    assert read(tmp_path, "a: &a [1, 2]\nb: *a\nc: *a\n").value == {"a": [1, 2], "b": [1, 2], "c": [1, 2]}


def test_a_number_that_python_would_not_read_is_a_problem(tmp_path: Path) -> None:
    """It refuses more than 4,300 digits, with an error of its own."""
    (problem,) = reported(read(tmp_path, "a: 1\nb: " + "9" * 5000))

    assert problem == "x.yaml:2: a number of 5000 characters (put it in quotes if it is text)"


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """A file that is not there is reported as such."""
    assert reported(read_yaml(tmp_path / "none.yaml", "none.yaml")) == [
        "none.yaml: cannot be read: No such file or directory"
    ]
