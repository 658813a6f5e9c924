"""Each value of the example inventory with something else in its place: `inventory` refuses whatever `plan` refuses."""

from __future__ import annotations

import copy
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.small_cli import ended
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.project import load_project

ROOT = Path(__file__).parents[4]
FILES = ("hosts", "groups", "defaults")
VALUES: list[Any] = [
    *("", " ", "x y", "a\nb", "ä", "a" * 300, "-x", "$(id)", "'", "a;b", "../../../etc/passwd", "10.91.0.300", "tkc"),
    *(0, -1, 3.5, 10**20, True, [], {}, [""], [["x"]], {"a": {"b": 1}}),
]
SEED = 10
EACH = 2


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every value, and every list as a whole."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*at, key))
        return
    yield at
    if isinstance(value, list):
        for position in range(len(value)):
            yield (*at, position)


def with_value(document: Any, at: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    part = changed
    for key in at[:-1]:
        part = part[key]
    part[at[-1]] = value
    return changed


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "inventory", tmp_path / "inventory")
    (tmp_path / "config.yaml").write_text("target: ssh\n")
    for folder in ("tasks", "templates"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_inventory_refuses_what_plan_refuses(project: Path, file: str) -> None:
    """With file and line, with exit code 2, and never as a fault of the program."""
    chosen = random.Random(SEED)  # noqa: S311  not for secrets
    path = project / f"inventory/{file}.yaml"
    sound = yaml.safe_load(path.read_text())
    refused = 0
    for at in places(sound):
        for value in (None, *chosen.sample(VALUES, EACH)):
            path.write_text(yaml.safe_dump(with_value(sound, at, value)))
            try:
                load_project(project / "config.yaml", ["all"], secrets=False)
                expected = 0
            except ConfigError:
                expected = 2
            refused += expected == 2
            code, reported = ended("inventory")
            assert code == expected, (at, value, reported)
            for line in reported if code else ():
                assert re.match(r"error: inventory/(hosts|groups|defaults)\.yaml:\d+: ", line), (at, value, line)

    assert refused > 20
