"""What every verb of the snap command has in common: its options, who may use it, how it prints tables and ends.

Source: canonical/snapd@2.66.1 cmd/snap/main.go
Source: canonical/snapd@2.66.1 cmd/snap/error.go
Source: canonical/snapd@2.66.1 daemon/access.go
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.lab.tool import Arguments, ToolError, parse
from thinkube_nornir.lab.emulation import Call, LabHost

FAILED, RETRY, USAGE = 1, 10, 64
"""Exit statuses: of an error, of an order that can be repeated later, of options that snap does not know."""
NARROWEST = 5
SNAPD = "2.66.1"


def snapd_version(host: LabHost) -> str:
    return str(host.settings.get("lab_snapd", SNAPD))


def failed(message: str, status: int = FAILED) -> ToolError:
    return ToolError(status, f"error: {message}\n")


def arguments(rest: Sequence[str], flags: Sequence[str] = (), values: Sequence[str] = ()) -> Arguments:
    """The client takes options apart before it speaks to snapd, so a mistake there is one for everybody."""

    def unknown(option: str) -> ToolError:
        return failed(f"unknown flag `{option.lstrip('-').partition('=')[0]}'", USAGE)

    def missing(option: str) -> ToolError:
        return failed(f"expected argument for flag `{option}'", USAGE)

    return parse(rest, flags=flags, values=values, unknown=unknown, missing=missing)


def names_in(given: Arguments, at_least: int = 1) -> list[str]:
    if len(given.words) < at_least:
        raise failed(f"the required argument `<snap> (at least {at_least} argument)` was not provided", USAGE)
    return given.words


def must_be_root(call: Call) -> None:
    """snapd's `authenticatedAccess`: root, or by polkit, which asks nobody who has no terminal."""
    if call.user != "root":
        raise failed("access denied (try with sudo)")


def table(*rows: Sequence[str]) -> str:
    """The table as Go's tabwriter with a padding of two prints it."""
    widths = [max(max(len(row[i]) for row in rows) + 2, NARROWEST) for i in range(len(rows[0]) - 1)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + f"{row[-1]}\n" for row in rows
    )
