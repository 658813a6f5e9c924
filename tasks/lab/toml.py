"""TOML as the toolkit's library writes it: keys in the order of the alphabet, comments lost.

Source: NVIDIA/nvidia-container-toolkit@v1.18.1 vendor/github.com/pelletier/go-toml/marshal.go (OrderAlphabetical)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def dumps(settings: Mapping[str, Any]) -> str:
    """
    >>> print(dumps({"version": 2, "imports": ["/a"], "plugins": {"io.x": {"on": True}}}), end="")
    imports = ["/a"]
    version = 2
    <BLANKLINE>
    [plugins]
    <BLANKLINE>
    [plugins."io.x"]
    on = true
    """
    return "\n".join(_lines(settings, ()))[1 if not _plain(settings) else 0 :] + "\n"


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in sorted(settings.items()) if not isinstance(value, Mapping)}


def _lines(settings: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    yield from (f"{_key(name)} = {json.dumps(value)}" for name, value in _plain(settings).items())
    for name, value in sorted(settings.items()):
        if isinstance(value, Mapping):
            yield ""
            yield f"[{'.'.join(map(_key, (*path, name)))}]"
            yield from _lines(value, (*path, name))


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() else json.dumps(name)
