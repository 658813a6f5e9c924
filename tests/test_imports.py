"""Which module imports which: no cycles, and the engine, the tasks and the lab stay apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINE, TASKS, LAB = "thinkube_nornir", "tasks", "tasks.lab"


@cache
def modules() -> dict[str, Path]:
    paths = [path for package in (ENGINE, TASKS) for path in (ROOT / package).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@cache
def imports() -> dict[str, frozenset[str]]:
    """Module to those of ours that it imports, in functions, too: only what the type checker reads is left out."""
    return {name: frozenset(_imported(ast.parse(path.read_text()))) - {name} for name, path in modules().items()}


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom) and node.module:
            found = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in modules() else node.module for name in found if node.module in modules())
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from _imported(node)


def test_no_module_imports_itself_through_others() -> None:
    """An import inside of a function hides a cycle and does not break it, so it counts as well."""
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        pytest.fail(f"a cycle of imports: {' <- '.join(error.args[1])}")


def _crossing(into: str, without: tuple[str, ...]) -> list[str]:
    return [
        f"{name} imports {other}"
        for name, others in imports().items()
        for other in others
        if _within(other, into) and not any(_within(name, package) for package in without)
    ]


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize(("into", "without"), [(TASKS, (TASKS,)), (LAB, (LAB,))], ids=["engine", "product"])
def test_packages_stay_apart(into: str, without: tuple[str, ...]) -> None:
    """The engine loads the folder that it is given and imports no tasks; what hosts get knows nothing of the lab."""
    assert _crossing(into, without) == []


@pytest.mark.parametrize("phase", ["phase5_core_services"])
def test_set_up_uses_nothing_of_checks(phase: str) -> None:
    """What both use stands beside them: only a component's declaration names its checks."""
    found = [
        f"{name}: line {line}"
        for name, path in modules().items()
        if _within(name, f"{TASKS}.{phase}") and not name.endswith("checks")
        for line in _uses_of_checks(ast.parse(path.read_text()))
    ]
    assert found == []


def _uses_of_checks(tree: ast.Module) -> Iterator[int]:
    """Outside of `COMPONENT = ...`, and all imports that take a name out of a module of checks."""
    declared = {name for node in tree.body if _declares(node) for name in ast.walk(node)}
    for node in ast.walk(tree):
        if (isinstance(node, ast.ImportFrom) and (node.module or "").endswith("checks")) or (
            isinstance(node, ast.Name) and node.id.endswith("checks") and node not in declared
        ):
            yield node.lineno


def _declares(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPONENT"


OTHERWISE_SHARED = {
    f"{TASKS}.shared.settings": "the schema of all settings is made of them",
    f"{TASKS}.shared.microk8s": "one distribution of Kubernetes, which another may take the place of as a whole",
    f"{TASKS}.shared.hosts.resolver": "the phase of the name server, which is planned, sends hosts to it",
    f"{TASKS}.shared.cluster.names": "that phase checks them, too",
    f"{TASKS}.shared.cluster.access": "whatever a component declares in the cluster is reached through it",
    f"{TASKS}.shared.cloudflare": "it holds the domain's records, which the phase of the name server asks for, too",
    f"{TASKS}.shared.cluster.corefile": "what later phases add to it goes by blocks, too",
    f"{TASKS}.shared.gpus": "phases that are planned hand cards to virtual machines by them",
}


def test_each_shared_module_has_several_users() -> None:
    """What serves one component alone stands with it, also when it does so through other shared modules."""
    users: dict[str, set[str]] = {name: set() for name in modules() if name.startswith(f"{TASKS}.shared.")}
    for name, others in imports().items():
        for other in others & users.keys():
            users[other].add(name)

    alone = {name: found for name in users if len(found := _components(name, users)) == 1}
    excused = OTHERWISE_SHARED.keys()
    assert {name: found for name, found in alone.items() if not {name, name.rpartition(".")[0]} & excused} == {}


def _components(name: str, users: dict[str, set[str]]) -> set[str]:
    found, seen, left = set(), set(), [name]
    while left:
        if (module := left.pop()) not in seen:
            seen.add(module)
            found |= {".".join(user.split(".")[:3]) for user in users.get(module, ()) if ".shared." not in user}
            left += [user for user in users.get(module, ()) if ".shared." in user]
    return {component for component in found if not _within(component, LAB)}
