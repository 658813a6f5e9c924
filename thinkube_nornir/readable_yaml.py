"""YAML for people to compare: text of several lines stands line by line, and no secret is in it."""

from __future__ import annotations

from typing import Any

import yaml

from thinkube_nornir.secret import redact

_STR = "tag:yaml.org,2002:str"


class _Dumper(yaml.SafeDumper):
    """A Corefile in one line of escapes would be compared by nobody."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Here, where it is whole: of a secret of several lines nothing is found once they are indented.
    shown = redact(text)
    return dumper.represent_scalar(_STR, shown, style="|" if "\n" in shown else None)


_Dumper.add_representer(str, _text)


def lines(value: Any) -> list[str]:
    """The document's lines, each with its newline; keys in alphabetical order.

    >>> lines({"b": "one\\n  two\\n", "a": 1})
    ['a: 1\\n', 'b: |\\n', '  one\\n', '    two\\n']
    """
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=1000)
    return text.splitlines(keepends=True)
