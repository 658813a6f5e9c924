"""helm's options and error messages.

Source: helm/helm@v3.19.2 cmd/helm/require/args.go
Unproven: the usage text that follows an error about arguments.
"""

from __future__ import annotations

from tasks.lab.tool import Arguments, ToolError

FLAGS = ("-A", "--all-namespaces", "-a", "--all", "--install", "-i", "--atomic", "--wait", "--reset-values", "--short")
VALUES = (
    "-n",
    "--namespace",
    "-o",
    "--output",
    "--max",
    "-m",
    "--repo",
    "--version",
    "-f",
    "--values",
    "--timeout",
    "--history-max",
)


def error(message: str) -> ToolError:
    return ToolError(1, f"Error: {message}\n")


def namespace(given: Arguments) -> str:
    return given.value("-n") or given.value("--namespace") or "default"


def output(given: Arguments) -> str:
    """
    Raises:
        ToolError: no such format.
    """
    form = given.value("-o") or given.value("--output") or "table"
    if form not in ("table", "json", "yaml"):
        raise error('invalid argument "' + form + '" for "-o, --output" flag: invalid format type')
    return form


def number(words: list[str], count: int, verb: str) -> None:
    if len(words) != count:
        raise error(f'"{verb}" requires {count} argument{"s" * (count > 1)}\n\nUsage:  {verb} [flags]')


def seconds(given: Arguments) -> float:
    """The seconds of --timeout: `600s`, `10m`; five minutes without it."""
    text = given.value("--timeout", "5m0s")
    total, digits = 0.0, ""
    for letter in text:
        if letter.isdigit() or letter == ".":
            digits += letter
        elif letter in "hms" and digits:
            total, digits = total + float(digits) * {"h": 3600, "m": 60, "s": 1}[letter], ""
        else:
            raise error(f'invalid argument "{text}" for "--timeout" flag: time: invalid duration "{text}"')
    if digits:
        raise error(f'invalid argument "{text}" for "--timeout" flag: time: missing unit in duration "{text}"')
    return total
