"""Users and groups in the host's own /etc files, for the tools that make them: snaps, the initial state.

Source: shadow-maint/shadow@4.13 src/groupadd.c (new_grent)
Source: shadow-maint/shadow@4.13 lib/sgetgrent.c
"""

from __future__ import annotations

from collections.abc import Callable

from thinkube_nornir.lab.emulation import LabHost

ONLY_GROUP = "0"  # the number that every file of a lab host has, so that `chgrp` works


def groups(host: LabHost) -> dict[str, list[str]]:
    """Name to the four fields of its line."""
    lines = host.files.read("/etc/group").decode().splitlines() if host.files.exists("/etc/group") else []
    return {line.split(":")[0]: line.split(":") for line in lines if line.count(":") == 3}


def add_group(host: LabHost, name: str) -> None:
    known = groups(host)
    if name not in known:
        _write(host, {**known, name: [name, "x", ONLY_GROUP, ""]})


def add_member(host: LabHost, group: str, user: str) -> None:
    _set_members(host, group, lambda now: now if user in now else [*now, user])


def members(fields: list[str]) -> list[str]:
    return [m for m in fields[3].split(",") if m]


def user_exists(host: LabHost, user: str) -> bool:
    return _user(host, user) is not None


def _user(host: LabHost, user: str) -> list[str] | None:
    lines = host.files.read("/etc/passwd").decode().splitlines() if host.files.exists("/etc/passwd") else []
    return next((line.split(":") for line in lines if line.split(":")[0] == user), None)


def _write(host: LabHost, known: dict[str, list[str]]) -> None:
    host.files.write("/etc/group", "".join(":".join(fields) + "\n" for fields in known.values()))


def _set_members(host: LabHost, group: str, change: Callable[[list[str]], list[str]]) -> None:
    known = groups(host)
    known[group][3] = ",".join(change(members(known[group])))
    _write(host, known)
