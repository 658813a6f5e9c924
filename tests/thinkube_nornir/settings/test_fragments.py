"""Settings stand beside what needs them, and the engine makes one schema of all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.small_project import write_project
from thinkube_nornir import catalog
from thinkube_nornir.errors import ConfigError
from thinkube_nornir.project import load_project
from thinkube_nornir.settings.fragments import fragments, load_schema
from thinkube_nornir.settings.schema import Schema

SHARED = '''
from typing import Annotated

from thinkube_nornir.settings.schema import Mistake, Required, Valid


def name(text: str) -> str:
    if not text.isidentifier():
        raise ValueError("must be a name")
    return text.lower()


class Settings:
    """Names."""

    domain: Annotated[str, Valid(name), Required()]
    lan_ip: str
    channel: str = "1.35/stable"
    role: Annotated[str, Required("workers")]


def roles_differ(hosts):
    yield Mistake("all alike", host="tkc")


RULES = (roles_differ,)
PREVIOUS = {"old_domain": "write domain"}
'''
OWN = '''

class Settings:
    """What the base has."""

    weight: float = 0.5
'''


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path)
    (tmp_path / "steps/shared").mkdir()
    (tmp_path / "steps/shared/__init__.py").write_text("")
    return tmp_path / "steps"


def shared(steps: Path, text: str = SHARED) -> None:
    init = steps / "__init__.py"
    init.write_text(init.read_text() + 'SETTINGS = "shared"\n')
    (steps / "shared/names.py").write_text(text)


def own(steps: Path, text: str = OWN) -> None:
    file = steps / "phase1_base/base.py"
    file.write_text(file.read_text() + text)


def loaded(steps: Path) -> Schema:
    schema = load_schema(catalog.load(steps))
    assert schema
    return schema


def problems(steps: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_schema(catalog.load(steps))
    return [str(problem) for problem in caught.value.problems]


def test_a_tasks_folder_need_not_declare_settings(steps: Path) -> None:
    """Then settings are taken as they are."""
    assert load_schema(catalog.load(steps)) is None


def test_fragments_make_one_schema(steps: Path) -> None:
    """Those of shared modules, of a component's module, and of settings.py beside a component's package."""
    shared(steps)
    own(steps)
    package = steps / "phase2_more/extra"
    package.mkdir()
    (steps / "phase2_more/extra.py").rename(package / "__init__.py")
    (package / "settings.py").write_text("class Settings:\n    height: int = 3\n")

    schema = loaded(steps)

    assert [*schema.settings.__annotations__] == ["domain", "lan_ip", "channel", "role", "weight", "height"]
    assert schema.defaults == {"channel": "1.35/stable", "weight": 0.5, "height": 3}
    assert {name: of.groups for name, of in schema.required.items()} == {"domain": (), "role": ("workers",)}
    assert [rule.__name__ for rule in schema.rules] == ["roles_differ"]
    assert schema.previous == {"old_domain": "write domain"}
    found = fragments(catalog.load(steps))
    titles = ["Names", "The base that everything needs", "What workers get"]
    assert [fragment.title for fragment in found] == titles
    assert found[1].where("weight").startswith("steps/phase1_base/base.py:")


def test_what_is_declared_is_what_the_inventory_is_held_to(steps: Path) -> None:
    """Types, what is required, earlier names and rules: each mistake has its line."""
    shared(steps)
    own(steps)
    (steps.parent / "inventory/defaults.yaml").write_text("data: {domain: a.b, weight: heavy, old_domain: x}\n")

    with pytest.raises(ConfigError) as caught:
        load_project(steps.parent / "config.yaml", ["phase1"])

    assert [str(problem) for problem in caught.value.problems] == [
        "inventory/defaults.yaml:1: data.domain: must be a name, not 'a.b'",
        "inventory/defaults.yaml:1: data.weight: should be a valid number, not 'heavy'",
        "inventory/defaults.yaml:1: data.old_domain is not a known name (write domain)",
        "inventory/hosts.yaml:1: all alike",
    ]


def test_two_that_declare_the_same_setting_are_named(steps: Path) -> None:
    """An author's error, with both places."""
    shared(steps)
    own(steps, OWN + "    domain: str\n")

    (problem,) = problems(steps)

    assert problem.startswith("steps/phase1_base/base.py:")
    assert "declares the setting 'domain', which steps/shared/names.py:16 declares (declare it once" in problem


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("    height = 3\n", "Settings has 'height' without a type (write `height: float = ...` with its type)"),
        ("    height: Tall = 3\n", "a type of its Settings cannot be read: NameError: name 'Tall' is not defined"),
        ("    height: Task\n", "height: its type cannot be checked: Unable to generate pydantic-core schema"),
        ('    height: int = "tall"\n', "height: what is built in is refused: Input should be a valid integer"),
    ],
)
def test_a_fragment_that_is_not_well_formed_is_the_authors_error(steps: Path, line: str, says: str) -> None:
    """With the file, before any inventory is judged by it."""
    own(steps, OWN + line)

    (problem,) = problems(steps)

    assert problem.startswith("steps/phase1_base/base.py:")
    assert says in problem


def test_a_class_that_is_imported_is_not_declared_again(steps: Path) -> None:
    """A component may use what a shared module has."""
    shared(steps)
    own(steps, "\nfrom steps.shared.names import Settings\n")

    assert [*loaded(steps).settings.__annotations__] == ["domain", "lan_ip", "channel", "role"]
