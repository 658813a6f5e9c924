"""microk8s status, in its three forms.

Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-status.wrapper
Source: canonical/microk8s@1.35 scripts/wrappers/status.py
Source: canonical/microk8s@1.35 scripts/wrappers/common/utils.py
"""

from __future__ import annotations

import time

from tasks.lab.microk8s import addon_list, services
from tasks.lab.microk8s.addon_list import REPOSITORY, Addon
from tasks.lab.microk8s.node import BACKEND, LOCKS, Node, ready
from tasks.lab.tool import Arguments, ToolError, parse
from thinkube_nornir.lab.emulation import Reply, pause

NOT_RUNNING = "microk8s is not running. Use microk8s inspect for a deeper inspection."
STOPPED = "microk8s is not running, try microk8s start\n"
EVERY = 2.0
"""Seconds between two looks while it waits."""
DATASTORE = 60.0
"""Seconds until it gives up on a datastore that does not answer: ten attempts of four seconds and a pause."""


async def status(node: Node, argv: list[str]) -> Reply:
    given = parse(
        argv,
        flags=("--wait-ready", "-w", "--yaml"),
        values=("--timeout", "-t", "--format", "--addon", "-a"),
        unknown=lambda option: usage("status", option),
    )
    if node.host.files.exists(f"{LOCKS}/stopped.lock"):
        return Reply(0, STOPPED)
    form = given.value("--format", "pretty")
    if form not in ("pretty", "yaml", "short"):
        message = f"microk8s status: error: argument --format: invalid choice: '{form}'"
        raise ToolError(2, f"usage: microk8s status [-h]\n{message} (choose from 'pretty', 'yaml', 'short')\n")
    running = await _wait_ready(node, given) if given.flags & {"--wait-ready", "-w"} else ready(node)
    addon = (given.value("--addon") or given.value("-a")).rpartition("/")[2]
    enabled = addon_list.enabled(node) if running else set()
    listed = sorted(addon_list.addons(node.minor), key=lambda a: (a.name not in enabled, a.name))
    if addon:
        return Reply(int(not running), "enabled\n" if addon in enabled else "disabled\n")
    if form == "short":
        return Reply(int(not running), _short(running, listed, enabled))
    members = await _members(node)
    shown = {"yaml": _yaml, "pretty": _pretty}[form](running, members, listed, enabled)
    return Reply(int(not running), shown)


def usage(name: str, option: str) -> ToolError:
    return ToolError(2, f"usage: microk8s {name} [-h]\nmicrok8s {name}: error: unrecognized arguments: {option}\n")


async def _wait_ready(node: Node, given: Arguments) -> bool:
    timeout = float(given.value("--timeout") or given.value("-t") or 0)
    end = time.monotonic() + timeout / node.host.lab.speed
    while not ready(node):
        if timeout and time.monotonic() > end:
            return False
        await pause(node.host.lab, EVERY)
    return True


async def _members(node: Node) -> list[str]:
    """The members of the datastore; none when it does not answer, which takes it a while."""
    if services.serves(node, "k8s-dqlite"):
        text = node.host.files.read(f"{BACKEND}/info.yaml").decode()
        return [line.split()[1] for line in text.splitlines() if line.startswith("Address:")]
    await pause(node.host.lab, DATASTORE)
    return []


def _yaml(running: bool, members: list[str], listed: list[Addon], enabled: set[str]) -> str:
    text = f"microk8s:\n  running: {running}\nhigh-availability:\n  enabled: True\n  nodes:\n"
    text += "".join(f"    - address: {member}\n      role: voter\n" for member in members)
    if not running:
        return f"{text}  message: {NOT_RUNNING}\n"
    text += "addons:\n"
    for addon in listed:
        text += f"  - name: {addon.name}\n    repository: {REPOSITORY}\n    description: {addon.description}\n"
        text += f"    version: {addon.version}\n    status: {'enabled' if addon.name in enabled else 'disabled'}\n"
    return text


def _short(running: bool, listed: list[Addon], enabled: set[str]) -> str:
    if not running:
        return NOT_RUNNING + "\n"
    lines = (f"{REPOSITORY}/{a.name}: {'enabled' if a.name in enabled else 'disabled'}\n" for a in listed)
    return "microk8s is running\naddons:\n" + "".join(lines)


def _pretty(running: bool, members: list[str], listed: list[Addon], enabled: set[str]) -> str:
    if not running:
        return NOT_RUNNING + "\n"
    text = "microk8s is running\nhigh-availability: no\n"
    text += f"  datastore master nodes: {' '.join(members) or 'none'}\n  datastore standby nodes: none\naddons:\n"
    for title, on in (("enabled", True), ("disabled", False)):
        chosen = [a for a in listed if (a.name in enabled) is on]
        text += f"  {title}:\n" if chosen else ""
        text += "".join(f"    {a.name:<20} # ({REPOSITORY}) {a.description}\n" for a in chosen)
    return text
