"""The table of all settings in docs/settings.md, made from the schema, the example inventory and the components.

python -m tests.settings_table    writes it
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import yaml
from annotated_types import Ge, Le
from pydantic import AfterValidator

from tasks.shared.settings import schema as settings
from tasks.shared.settings.checks import REQUIRED_OF_ALL, REQUIRED_OF_GROUP
from thinkube_nornir.component import Component

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "settings.md"
SCHEMA = settings.Settings
COLUMNS = ("setting", "what it is", "form", "example", "stands in", "when not set", "needed by")
INTRODUCTION = """\
# Settings

<!-- Written by `python -m tests.settings_table` from tasks/shared/settings/schema.py and the example inventory. -->

Every setting that the inventory may hold, in the `data` of hosts, groups or defaults. A host's own value comes before
those of its groups, in the order written there, and these before the defaults. The examples are those of the inventory
that comes with the project. `python -m thinkube_nornir inventory` checks yours and names every mistake with its line;
`python -m thinkube_nornir inventory -l HOST` shows what holds for a host, and where from.

"When not set" is what holds where the inventory says nothing. "Needed by" names the components that refuse to start
without the setting, and the groups whose hosts must have it.
Secrets are no settings: see [config.yaml](../config.yaml), `secrets`.
"""


def document() -> str:
    return INTRODUCTION + "".join(_section(comment, members) for comment, members in sections().items())


def _section(comment: str, members: list[tuple[str, str]]) -> str:
    title, _, remark = comment.replace(";", ":").partition(": ")
    header = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    below = f"{_capital(remark)}.\n\n" if remark else ""
    return f"\n## {_capital(title)}\n\n{below}{header}" + "".join(_row(name, doc) for name, doc in members)


def sections() -> dict[str, list[tuple[str, str]]]:
    """Section to (setting, what it is), from the schema's source: the comments above names, the texts below them."""
    source = Path(str(settings.__file__)).read_text()
    lines = source.splitlines()
    [schema] = [n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == SCHEMA.__name__]
    sections: dict[str, list[tuple[str, str]]] = {}
    for node, following in zip(schema.body, [*schema.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            above = lines[node.lineno - 2].strip()
            title = above.removeprefix("# ") if above.startswith("#") else list(sections)[-1]
            sections.setdefault(title, []).append((ast.unparse(node.target), _text(following)))
    return sections


def _text(node: ast.stmt | None) -> str:
    match node:
        case ast.Expr(ast.Constant(str(text))):
            return text
    return ""


def _row(name: str, doc: str) -> str:
    value, places = _example(name)
    cells = (f"`{name}`", doc, form(_hints()[name]), value, places, _when_not_set(name), _needed_by(name))
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(SCHEMA, vars(settings), include_extras=True)


def form(hint: Any) -> str:
    """What values look like, in words.

    >>> form(Annotated[list[Annotated[int, Ge(1), Le(254)]], None])
    'list; each: whole number, 1 to 254'
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(arguments[0], hint.__metadata__)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is list:
        return f"list; each: {form(arguments[0])}"
    if origin is dict:
        return f"mapping of {form(arguments[0])} to {form(arguments[1])}"
    return {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}[hint]


def _annotated(hint: Any, metadata: tuple[Any, ...]) -> str:
    told = [said for m in metadata if isinstance(m, AfterValidator) and (said := _refusal(m.func))]
    lowest, highest = [m.ge for m in metadata if isinstance(m, Ge)], [m.le for m in metadata if isinstance(m, Le)]
    if told or not lowest:
        return told[0] if told else form(hint)
    return f"{form(hint)}, {lowest[0]} to {highest[0]}" if highest else f"{form(hint)}, {lowest[0]} or more"


def _refusal(validate: Callable[..., Any]) -> str:
    """What an operator is told who leaves the value empty, which nothing that is validated may be."""
    try:
        validate("")
    except ValueError as error:
        return str(error).partition(" (")[0].removeprefix("must be ")
    raise AssertionError(f"{validate.__name__} accepts an empty text")


@cache
def _inventory() -> dict[str, Mapping[str, Any]]:
    """Where settings stand, most general first: `defaults`, groups, hosts."""

    def data(file: str) -> Any:
        return yaml.safe_load((ROOT / "inventory" / f"{file}.yaml").read_text())

    groups = {f"group `{name}`": entry.get("data") or {} for name, entry in data("groups").items()}
    hosts = {f"host `{name}`": entry.get("data") or {} for name, entry in data("hosts").items()}
    return {"defaults": data("defaults")["data"], **groups, **hosts}


def _example(name: str) -> tuple[str, str]:
    found = {place: entry[name] for place, entry in _inventory().items() if name in entry}
    if not found:
        return "", "not set"
    value = next(iter(found.values()))
    shown = value if isinstance(value, str) else json.dumps(value)
    places = list(found)
    kind = places[0].partition(" ")[0]
    return f"`{shown}`", f"{kind}s" if len(places) > 2 and kind != "defaults" else ", ".join(places)


def _when_not_set(name: str) -> str:
    if name not in settings.SCHEMA.defaults:
        return ""
    value = settings.SCHEMA.defaults[name]
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _needed_by(name: str) -> str:
    components = [f"`{full}`" for full, component in _components().items() if name in component.settings]
    groups = [f"group `{group}`" for group, names in REQUIRED_OF_GROUP.items() if name in names]
    return ", ".join([*(["all hosts"] if name in REQUIRED_OF_ALL else groups), *components])


@cache
def _components() -> dict[str, Component]:
    """Of every phase there is, by full name."""
    return dict(_found_components())


def _found_components() -> Iterator[tuple[str, Component]]:
    for path in sorted((ROOT / "tasks").glob("phase*/[!_]*.py")):
        module = import_module(f"tasks.{path.parent.name}.{path.stem}")
        yield f"{path.parent.name.partition('_')[0]}.{path.stem}", module.COMPONENT


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


if __name__ == "__main__":
    DOCUMENT.write_text(document())
