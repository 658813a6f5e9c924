"""The table of all settings in docs/settings.md, made from the schema, the example inventory and the components.

python -m tests.settings_table    writes it
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import yaml
from annotated_types import Ge, Le

from tests import product_settings
from thinkube_nornir import catalog
from thinkube_nornir.settings.fragments import Fragment
from thinkube_nornir.settings.schema import Valid

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "settings.md"
COLUMNS = ("setting", "what it is", "form", "example", "stands in", "when not set", "needed by")
INTRODUCTION = """\
# Settings

<!-- Written by `python -m tests.settings_table` from the settings that are declared below tasks/, and the example. -->

Every setting that the inventory may hold, in the `data` of hosts, groups or defaults. A host's own value comes before
those of its groups, in the order written there, and these before the defaults. The examples are those of the inventory
that comes with the project. What several components use comes first, then each component's own.

`python -m thinkube_nornir inventory` checks yours and names every mistake with its line;
`python -m thinkube_nornir inventory -l HOST` shows what holds for a host, and where from.

"When not set" is what holds where the inventory says nothing. "Needed by" names the components that refuse to start
without the setting, and the groups whose hosts must have it.
Secrets are no settings: see [config.yaml](../config.yaml), `secrets`.
"""


def document() -> str:
    return INTRODUCTION + "".join(_section(fragment) for fragment in product_settings.declared())


def _section(fragment: Fragment) -> str:
    header = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    remark = (fragment.settings.__doc__ or "").removeprefix(f"{fragment.title}.").strip()
    below = f"{remark}\n\n" if remark else ""
    rows = (_row(name, text) for name, text in explained(fragment).items())
    return f"\n## {fragment.title}\n\n{below}{header}" + "".join(rows)


def explained(fragment: Fragment) -> dict[str, str]:
    """What each setting is: the text below it in the source."""
    body = ast.parse(fragment.file.read_text()).body
    [own] = [node for node in body if isinstance(node, ast.ClassDef) and node.name == "Settings"]
    return {
        ast.unparse(node.target): _text(following)
        for node, following in zip(own.body, [*own.body[1:], None], strict=True)
        if isinstance(node, ast.AnnAssign)
    }


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
    return get_type_hints(product_settings.schema().settings, include_extras=True)


def form(hint: Any) -> str:
    """Describe the form of values.

    >>> form(Annotated[list[Annotated[int, Ge(1), Le(254)]], None])
    'list; each: whole number, 1 to 254'
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(arguments[0], hint.__metadata__)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (list, Sequence):
        return f"list; each: {form(arguments[0])}"
    if origin is dict:
        return f"mapping of {form(arguments[0])} to {form(arguments[1])}"
    return {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}[hint]


def _annotated(hint: Any, metadata: tuple[Any, ...]) -> str:
    reported = [said for m in metadata if isinstance(m, Valid) and (said := _refusal(m.form))]
    lowest, highest = [m.ge for m in metadata if isinstance(m, Ge)], [m.le for m in metadata if isinstance(m, Le)]
    if reported or not lowest:
        return reported[0] if reported else form(hint)
    return f"{form(hint)}, {lowest[0]} to {highest[0]}" if highest else f"{form(hint)}, {lowest[0]} or more"


def _refusal(validate: Callable[..., Any]) -> str:
    """The error for an empty value, which nothing that is validated may be."""
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
    if name not in product_settings.defaults():
        return ""
    value = product_settings.defaults()[name]
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _needed_by(name: str) -> str:
    required = product_settings.schema().required.get(name)
    groups = ([f"group `{group}`" for group in required.groups] or ["all hosts"]) if required else []
    entries = catalog.load(ROOT / "tasks").entries
    return ", ".join([*groups, *(f"`{entry.name}`" for entry in entries if name in entry.component.settings)])


if __name__ == "__main__":
    DOCUMENT.write_text(document())
