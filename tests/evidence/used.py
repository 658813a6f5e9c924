"""What is used outside of this project: commands, files, API objects, charts, images, addresses.

Found by reading the code, and in the evidence of runs; test_reality.py holds it against docs/reality.md.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from thinkube_nornir.evidence.archive import Archive

ROOT = Path(__file__).parents[2]
CODE = [
    path
    for folder in ("tasks", "thinkube_nornir")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not {"lab", "full_lab"} & {*path.relative_to(ROOT).with_suffix("").parts} and "benchmarks" not in path.parts
]
TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*") if path.is_file())

_RUNNING = {"run": 1, "change": 2, "run_for_output": 2, "undo": 3, "_change": 2, "_ordered": 2}
"""Functions that run a command, with the place of the program among their arguments."""
_PATH = re.compile(r"/(?:boot|dev|etc|home|lib|opt|proc|root|run|snap|srv|sys|tmp|usr|var)(?:/[\w.*@:+-]+)+")
_HOME = re.compile(r"(?:~|\*)/(\.[\w.*/-]+)")
_API = re.compile(r"(?:v\d\w*|[\w.-]+\.[\w.-]+/v\d\w*|(?:apps|batch)/v1)")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]+")
_URL = re.compile(r"https?://[\w.*-]+(?:/[\w./{}*-]*)?|oci://[\w.*/-]+")
_IMAGE = re.compile(r"\b[\w-]+(?:\.[\w-]+)+/(?:[\w.-]+/)*[\w.-]+:[\w][\w.-]*")
_IMAGE_FIELD = re.compile(r'"image": "([^"]+)"')
_RESOURCE = re.compile(
    r"/(?:api|apis)(?P<version>/v1|/[\w.-]+/v\w+)(?:/namespaces/[^/?]+)?/(?P<plural>[a-z]+)(?:[/?]|$)"
)


@cache
def _constants() -> dict[str, str]:
    """Texts by the name that a module gives them; names that several modules use for different texts are left out."""
    found: dict[str, set[str]] = {}
    for path in CODE:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                text = _text(node.value, {})
                if text is not None:
                    found.setdefault(node.targets[0].id, set()).add(text)
    return {name: texts.pop() for name, texts in found.items() if len(texts) == 1}


def _text(node: ast.AST, constants: dict[str, str]) -> str | None:
    """A constant text; what is not constant in it becomes `*`."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value, constants) or "*" for value in values)
        case ast.FormattedValue(value=value):
            return _text(value, constants) or "*"
        case ast.Name(id=name):
            return constants.get(name)
        case ast.Attribute(attr=name):
            return constants.get(name)
    return None


def _texts_of(call: ast.Call | ast.Tuple) -> list[str | None]:
    """The arguments in their order, starred tuples laid out; None for what is no constant text."""
    nodes = call.args if isinstance(call, ast.Call) else call.elts
    found: list[str | None] = []
    for node in nodes:
        if isinstance(node, ast.Starred):
            found += _texts_of(node.value) if isinstance(node.value, ast.Tuple) else [None]
        else:
            found.append(_text(node, _constants()))
    return found


def _nodes() -> Iterator[tuple[Path, ast.AST]]:
    for path in CODE:
        tree = ast.parse(path.read_text())
        docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
        for node in ast.walk(tree):
            if id(node) not in docs:
                yield path, node


def commands() -> set[str]:
    """`snap refresh`, `ip -json`: programs with their first argument, of facts and of steps."""
    return {command for _, node in _nodes() if (command := _command(_argv(node)))}


def _argv(node: ast.AST) -> list[str | None]:
    """What a fact, a step or an assignment to `argv` runs; empty for everything else."""
    match node:
        case ast.Call(func=ast.Name(id="Fact"), args=[_, ast.Tuple() as argv, *_]):
            return _texts_of(argv)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _RUNNING:
            return _texts_of(node)[_RUNNING[name] :]
        case (
            ast.Assign(targets=[ast.Name(id="argv")], value=ast.Tuple() as argv)
            | ast.AnnAssign(target=ast.Name(id="argv"), value=ast.Tuple() as argv)
        ):
            return _texts_of(argv) if argv.elts and not _is_verb(argv.elts[0]) else []
    return []


def _is_verb(node: ast.AST) -> bool:
    """Of helm, whose own path is put before it elsewhere."""
    return _text(node, {}) in ("rollback", "uninstall", "upgrade")


def _command(words: list[str | None]) -> str:
    """The program, and its first argument where that is a word or an option."""
    if not words or not words[0]:
        return ""
    program = words[0].rpartition("/")[2] if words[0].startswith("/") else words[0]
    argument = words[1] if len(words) > 1 and words[1] and re.fullmatch(r"-{0,2}[a-z][\w-]*", words[1]) else ""
    return f"{program} {argument}".strip()


def files() -> set[str]:
    """Absolute paths on hosts."""
    found = set()
    for _, node in _nodes():
        if isinstance(node, (ast.Constant, ast.JoinedStr)):
            found |= set(_PATH.findall(_text(node, _constants()) or ""))
    for template in TEMPLATES:
        found |= set(_PATH.findall(template.read_text()))
    return {path.rstrip(".:") for path in found if ":/" not in path}


def objects() -> set[str]:
    """`apps/v1 Deployment`: kinds of the API."""
    found = set()
    for _, node in _nodes():
        if isinstance(node, (ast.Call, ast.Tuple)):
            texts = _texts_of(node)
            found |= {
                f"{version} {kind}"
                for version, kind in pairwise(texts)
                if version and kind and _API.fullmatch(version) and _KIND.fullmatch(kind)
            }
        elif isinstance(node, ast.Dict):
            pairs = {_text(k, {}): _text(v, _constants()) for k, v in zip(node.keys, node.values, strict=True) if k}
            if pairs.get("apiVersion") and pairs.get("kind"):
                found.add(f"{pairs['apiVersion']} {pairs['kind']}")
    for template in TEMPLATES:
        found |= {f"{v} {k}" for v, k in re.findall(r"apiVersion: (\S+)\n\s*kind: (\w+)", template.read_text())}
    return found


def services() -> set[str]:
    """Images, and addresses of services in the network."""
    found = set()
    for text in _all_texts():
        found |= set(_URL.findall(text)) | set(_IMAGE.findall(text))
    return found


def _all_texts() -> Iterator[str]:
    for _, node in _nodes():
        if isinstance(node, (ast.Constant, ast.JoinedStr)):
            yield _text(node, _constants()) or ""
    yield from (template.read_text() for template in TEMPLATES)


def commands_in(*archives: Archive) -> set[str]:
    """As `commands`; scripts of ours, `sh -c SCRIPT NAME ...`, are one command each."""
    return {_command(argv) for line in _lines(archives, "commands") for argv in _unwrapped(line["argv"])} - {""}


def _unwrapped(argv: list[str]) -> Iterator[list[str | None]]:
    """The program, and those that it is given to run: by our own scripts, xargs, timeout and chroot."""
    match argv:
        case ["sh", "-c", _, "thinkube:change", _, *inner] | ["sh", "-c", _, "thinkube:undo", _, _, *inner]:
            yield from _unwrapped(inner)
        case ["xargs", *inner] | ["timeout", _, _, *inner] | ["chroot", _, *inner]:
            yield [argv[0]]
            yield from _unwrapped(inner)
        case [program, *_] if program in ("sh", "true"):
            yield [program]
        case _:
            yield [*argv]


def objects_in(*archives: Archive) -> set[str]:
    """Kinds of the API by the addresses that were asked for; what is no kind, `/readyz`, is left out."""
    kinds = {
        (listed["groupVersion"], resource["name"]): resource["kind"]
        for line in _lines(archives, "calls")
        if "APIResourceList" in line.get("body", "")
        for listed in [json.loads(line["body"])]
        for resource in listed["resources"]
    }
    places = (_RESOURCE.match(line["url"]) for line in _lines(archives, "calls"))
    asked = {(place["version"].removeprefix("/"), place["plural"]) for place in places if place}
    return {f"{version} {kinds[version, plural]}" for version, plural in asked if (version, plural) in kinds}


def services_in(*archives: Archive) -> set[str]:
    """Images of pods that we make, and where charts come from."""
    found = set()
    for line in _lines(archives, "calls"):
        if line["method"] in ("POST", "PATCH"):
            found |= set(_IMAGE_FIELD.findall(line.get("body", "")))
    for line in _lines(archives, "commands"):
        found |= {word for word in line["argv"] if _URL.fullmatch(word)}
    return found


def _lines(archives: Iterable[Archive], what: str) -> Iterator[dict[str, Any]]:
    for archive in archives:
        yield from (line for line in getattr(archive, what) if "error" not in line)
