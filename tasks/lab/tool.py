"""How an emulated tool reads its arguments and ends: unknown options become the tool's own usage error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps

from thinkube_nornir.lab.emulation import Call, Reply, Tool


class ToolError(Exception):
    """Ends a handler at once with this status; what it had printed before is `stdout`."""

    def __init__(self, status: int, stderr: str = "", stdout: str = "") -> None:
        super().__init__(stderr or stdout)
        self.reply = Reply(status, stdout, stderr)


def tool(handler: Callable[[Call], Awaitable[Reply]]) -> Tool:
    """Turn a ToolError into the tool's reply."""

    @wraps(handler)
    async def answer(call: Call) -> Reply:
        try:
            return await handler(call)
        except ToolError as error:
            return error.reply

    return answer


@dataclass
class Arguments:
    words: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)
    """The values of each option, in the order given."""

    def value(self, option: str, default: str = "") -> str:
        return self.values.get(option, [default])[-1]


def parse(
    argv: Sequence[str],
    *,
    flags: Sequence[str] = (),
    values: Sequence[str] = (),
    unknown: Callable[[str], ToolError],
    missing: Callable[[str], ToolError] | None = None,
) -> Arguments:
    """Split arguments into words, flags and options with a value (`--x=v` or `--x v`).

    Raises:
        ToolError: `unknown(option)` or `missing(option)`, as the tool itself says it.
    """
    found = Arguments()
    left = list(argv)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            found.words += left
            break
        if not word.startswith("-") or word == "-":
            found.words.append(word)
        elif word in flags:
            found.flags.add(word)
        elif name in values:
            if not equals and not left:
                raise (missing or unknown)(name)
            found.values.setdefault(name, []).append(value if equals else left.pop(0))
        else:
            raise unknown(word)
    return found
