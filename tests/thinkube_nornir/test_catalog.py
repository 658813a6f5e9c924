"""Finding components in a folder, sorting them, selecting them."""

from __future__ import annotations

from pathlib import Path

import pytest

from thinkube_nornir import catalog
from thinkube_nornir.errors import ConfigError

COMPONENT = """
from thinkube_nornir.component import Chain, Component
NONE = Chain()
COMPONENT = Component("{title}", {number}, "all", setup=NONE, verify=NONE, rollback=NONE, needs={needs})
"""


def folder(root: Path, **components: tuple[int, tuple[str, ...]]) -> Path:
    """A tasks folder with one phase, `phase1_base`, and a module per component: name=(number, needs)."""
    tasks = root / f"tasks_{root.name}"
    (tasks / "phase1_base").mkdir(parents=True)
    (tasks / "__init__.py").write_text('PHASES = ("phase1_base",)\n')
    (tasks / "phase1_base" / "__init__.py").write_text("")
    for name, (number, needs) in components.items():
        (tasks / "phase1_base" / f"{name}.py").write_text(COMPONENT.format(title=name, number=number, needs=needs))
    return tasks


def names(found: catalog.Catalog) -> list[str]:
    return [e.name for e in found.entries]


def test_components_are_found_by_looking(tmp_path: Path) -> None:
    """A module in a phase's folder is a component; its name is the phase's first word and the module."""
    found = catalog.load(folder(tmp_path, keys=(10, ()), bash=(20, ())))

    assert names(found) == ["phase1.keys", "phase1.bash"]


def test_a_package_is_a_component(tmp_path: Path) -> None:
    """A component may be split into parts: its package declares it, and errors name the package's file."""
    tasks = folder(tmp_path, keys=(10, ()))
    (tasks / "phase1_base" / "bash").mkdir()
    (tasks / "phase1_base" / "bash" / "__init__.py").write_text(COMPONENT.format(title="bash", number=20, needs=()))
    (tasks / "phase1_base" / "bash" / "checks.py").write_text("")

    found = catalog.load(tasks)

    assert names(found) == ["phase1.keys", "phase1.bash"]
    assert found.entries[1].where == f"{tasks.name}/phase1_base/bash/__init__.py"
    assert {entry.folder for entry in found.entries} == {"phase1_base"}


def test_what_is_needed_comes_first(tmp_path: Path) -> None:
    """Needs go before numbers, numbers before names."""
    found = catalog.load(folder(tmp_path, a=(10, ("phase1.z",)), z=(30, ()), m=(20, ())))

    assert names(found) == ["phase1.m", "phase1.z", "phase1.a"]


def test_numbers_decide_where_needs_leave_it_open(tmp_path: Path) -> None:
    """Also between a component that needs another and one that needs nothing."""
    found = catalog.load(folder(tmp_path, certificate=(10, ()), gpu=(30, ()), ingress=(20, ("phase1.certificate",))))

    assert names(found) == ["phase1.certificate", "phase1.ingress", "phase1.gpu"]


def test_a_circle_is_named(tmp_path: Path) -> None:
    """Two components that need each other are an error that shows the circle."""
    with pytest.raises(ConfigError, match=r"cycle: phase1\.\w -> phase1\.\w -> phase1\.\w"):
        catalog.load(folder(tmp_path, a=(10, ("phase1.b",)), b=(20, ("phase1.a",))))


def test_an_unknown_need_names_the_nearest(tmp_path: Path) -> None:
    """A typo in `needs` is found when the folder is loaded."""
    with pytest.raises(ConfigError, match=r"phase1_base/a\.py:4: .*'phase1\.bas'.*did you mean phase1\.bash"):
        catalog.load(folder(tmp_path, a=(10, ("phase1.bas",)), bash=(20, ())))


def test_a_module_without_component_is_an_error(tmp_path: Path) -> None:
    """Nothing is passed over in silence."""
    tasks = folder(tmp_path)
    (tasks / "phase1_base" / "stray.py").write_text("")

    with pytest.raises(ConfigError, match=r"stray\.py: declares no COMPONENT"):
        catalog.load(tasks)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """config.yaml names a folder that is no package."""
    with pytest.raises(ConfigError, match="is not a tasks folder"):
        catalog.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("wanted", "selected"),
    [
        (["phase1"], ["phase1.keys", "phase1.bash"]),
        (["phase1.bash"], ["phase1.bash"]),
        (["all"], ["phase1.keys", "phase1.bash"]),
        (["phase1.bash", "phase1"], ["phase1.keys", "phase1.bash"]),
    ],
)
def test_selecting(tmp_path: Path, wanted: list[str], selected: list[str]) -> None:
    """Phases, components and `all`, several at once, each entry once and in order."""
    found = catalog.load(folder(tmp_path, keys=(10, ()), bash=(20, ())))

    assert [e.name for e in found.select(wanted)] == selected


def test_selecting_a_typo(tmp_path: Path) -> None:
    """Every unknown name is reported, each with the nearest."""
    found = catalog.load(folder(tmp_path, keys=(10, ())))

    with pytest.raises(ConfigError) as caught:
        found.select(["phase2", "phase1.kesy"])

    assert len(caught.value.problems) == 2
    assert "did you mean phase1.keys?" in str(caught.value)


def test_dependents_are_found_however_indirect(tmp_path: Path) -> None:
    """Rolling back must know everything that stands on a component."""
    found = catalog.load(folder(tmp_path, a=(10, ()), b=(20, ("phase1.a",)), c=(30, ("phase1.b",)), d=(40, ())))

    assert [e.name for e in found.dependents(found.select(["phase1.a"]))] == ["phase1.b", "phase1.c"]


HEAD = "from thinkube_nornir.component import Chain, Component, chain, step\nNONE = Chain()\ndef f(task): ...\n"
REST = "verify=NONE, rollback=NONE"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ndef broken(:\n", r"phase1_base/a\.py:2: is no Python: invalid syntax"),
        ("x = 1\nimport nothing_of_that_name\n", r"a\.py:2: needs the Python package nothing_of_that_name, which"),
        ("x = 1\nfrom pathlib import Nothing\n", r"a\.py:2: cannot be imported: ImportError: .*Nothing"),
        (
            f'{HEAD}COMPONENT = Component("a", 1, "all", setup=[f], {REST})',
            r"a\.py:4: .*setup is a chain\(...\), not \[",
        ),
        (f'{HEAD}COMPONENT = Component("a", 1, "all", setup=f, {REST})', r"a\.py:4: .*setup is a chain\(...\), not <f"),
        (f"{HEAD}chain(f, step(f))", r"a\.py:4: .*each step once, and f more often"),
        (f'{HEAD}chain("f")', r"a\.py:4: .*a step is a function, not 'f'"),
        (f'{HEAD}step(f, needs="p.a.f")', r"a\.py:4: .*needs of a step is a tuple of names, not 'p\.a\.f'"),
        (
            f'{HEAD}COMPONENT = Component("a", 1, "all", setup=NONE, {REST}, needs="phase1.b")',
            r"a\.py:4: .*a: needs is a tuple of names, not 'phase1\.b'",
        ),
        (
            f'{HEAD}COMPONENT = Component("a", 1, "all", setup=chain(step(f, needs=("phase1.a.g",))), {REST})',
            r"a\.py:4: no step is called 'phase1\.a\.g' \(did you mean phase1\.a\.f\?\)",
        ),
    ],
)
def test_a_mistake_in_a_component_has_its_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    """Found when the folder is loaded, before anything else."""
    tasks = folder(tmp_path)
    (tasks / "phase1_base" / "a.py").write_text(text)

    with pytest.raises(ConfigError, match=message):
        catalog.load(tasks)


def test_a_mistake_in_a_module_that_a_component_imports_has_the_line_there(tmp_path: Path) -> None:
    """Not that of the import."""
    tasks = folder(tmp_path)
    (tasks / "phase1_base" / "a.py").write_text(f"from {tasks.name} import shared\n")
    (tasks / "shared.py").write_text("\n\nnothing.at_all\n")

    with pytest.raises(ConfigError, match=r"/shared\.py:3: cannot be imported: NameError"):
        catalog.load(tasks)


def test_a_phase_that_is_not_listed_is_named(tmp_path: Path) -> None:
    """A folder that PHASES lacks would be passed over in silence."""
    tasks = folder(tmp_path, a=(10, ()))
    (tasks / "phase2_net").mkdir()
    (tasks / "phase2_net" / "bridge.py").write_text("")

    with pytest.raises(ConfigError, match=r"/phase2_net: is a phase's folder, and PHASES does not name it"):
        catalog.load(tasks)


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ('"phase1_base"', "PHASES is missing: a tuple"),
        ('("phase1_base", "phase3_gone")', "PHASES names phase3_gone, which is no folder here"),
        ('("phase1_base", "phase1_more")', "PHASES has more than one folder for phase1"),
    ],
)
def test_phases_that_are_no_list_of_folders(tmp_path: Path, phases: str, message: str) -> None:
    """A string alone, a folder that is not there, two folders with one short name."""
    tasks = folder(tmp_path, a=(10, ()))
    (tasks / "phase1_more").mkdir()
    (tasks / "__init__.py").write_text(f"PHASES = {phases}\n")

    with pytest.raises(ConfigError, match=message):
        catalog.load(tasks)


@pytest.mark.parametrize("wanted", ["phase2", "phase2.keys"])
def test_a_phase_that_is_only_planned_is_no_typo(tmp_path: Path, wanted: str) -> None:
    """The operator's list names it; nobody else's name is proposed for it."""
    tasks = folder(tmp_path, keys=(10, ()))
    with (tasks / "__init__.py").open("a") as package:
        package.write('PLANNED = ("phase2",)\n')

    with pytest.raises(ConfigError, match="phase2 is not built in this version"):
        catalog.load(tasks).select([wanted])
