"""Where the lab answers a command in another form than a real host did."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from thinkube_nornir.evidence.archive import Archive

Question = tuple[str, ...]


def unlike_reality(real: Archive, lab: Archive) -> list[str]:
    """One line for each difference in form, of commands that both were given and that ended with the same status.

    What differs from machine to machine is no matter: numbers, addresses, names of hosts, which lines there are. What
    the lab says and no real host ever said is: a key of a JSON document, a line of another form.
    """
    seen, ours = _forms(real), _forms(lab)
    return sorted(
        f"{' '.join(argv)} (status {status}): the lab says {form!r}, and no real host does"
        for (argv, status), forms in ours.items()
        if (argv, status) in seen
        for form in forms - seen[argv, status]
    )


def _forms(archive: Archive) -> Mapping[tuple[Question, int], set[str]]:
    names = _names(archive)
    found: dict[tuple[Question, int], set[str]] = defaultdict(set)
    for line in archive.commands:
        if "error" in line or line["argv"][:2] == ["sh", "-c"]:
            continue  # a script of our own says the same everywhere
        argv = tuple(_form(word, names) for word in line["argv"])
        found[argv, line["status"]].update(*(forms_of(line[text], names) for text in ("stdout", "stderr")))
    return found


def forms_of(text: str, names: Iterable[str] = ()) -> set[str]:
    """
    >>> sorted(forms_of('{"addresses": [{"local": "10.1.2.3"}]}'))
    ['/addresses', '/addresses/[]', '/addresses/[]/local']
    >>> sorted(forms_of("tkc.home.example  Ready  2d3h", ["tkc"]))
    ['NAME  Ready  0d0h']
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, (dict, list)):
        return set(_paths(value, ""))
    return {_form(line, names) for line in text.splitlines() if line.strip()}


def _paths(value: Any, above: str) -> Iterator[str]:
    parts = value.items() if isinstance(value, dict) else (("[]", item) for item in value)
    for name, part in parts:
        path = f"{above}/{name}"
        yield path
        if isinstance(part, (dict, list)):
            yield from _paths(part, path)


def _form(text: str, names: Iterable[str]) -> str:
    for name in names:
        text = re.sub(rf"\b{re.escape(name)}(\.[\w-]+)*\b", "NAME", text)
    return re.sub(r"\d+", "0", text).rstrip()


def _names(archive: Archive) -> list[str]:
    return sorted(archive.meta["hosts"], key=len, reverse=True)
