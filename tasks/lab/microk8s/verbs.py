"""The microk8s command: its verbs, and what a joined worker says instead."""

# ruff: noqa: ARG001
# The handlers of one table share a signature.

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from tasks.lab import accounts, snap_changes
from tasks.lab.helm import helm
from tasks.lab.microk8s import addons, certificates, join, services
from tasks.lab.microk8s.kubectl import kubectl
from tasks.lab.microk8s.node import DATA, LOCKS, Node, node_of, ready
from tasks.lab.state import machine
from tasks.lab.tool import Arguments, ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, Reply, pause

NOT_RUNNING = "microk8s is not running. Use microk8s inspect for a deeper inspection."
STOPPED = "microk8s is not running, try microk8s start\n"
POLL = 0.05
_KUBELITE_STOPS, _REST_STOPS = 30.0, 2.0
"""Seconds; measured 32 in all."""
ON_WORKER = {
    "status": "This MicroK8s deployment is acting as a node in a cluster.\nPlease use the control plane node.\n",
    "kubectl": "This MicroK8s deployment is acting as a node in a cluster. Please use the control plane.\n",
    "stop": "This MicroK8s deployment is acting as a node in a cluster.\n"
    "Use 'snap stop microk8s' to stop services on this node.\n",
    "start": "This MicroK8s deployment is acting as a node in a cluster.\n"
    "Use 'snap start microk8s' to start services on this node.\n",
}
for _verb in ("enable", "disable", "config", "add-node", "remove-node", "helm", "helm3", "refresh-certs"):
    ON_WORKER[_verb] = ON_WORKER["kubectl"]


@tool
async def microk8s(call: Call) -> Reply:
    """`microk8s VERB ...`, or `microk8s.VERB ...` as the snap's aliases call it."""
    name = call.argv[0].rsplit("/", 1)[-1]
    argv = list(call.argv[1:])
    if name.startswith("microk8s."):
        argv.insert(0, name.removeprefix("microk8s."))
    verb, rest = (argv[0], argv[1:]) if argv else ("", [])
    node = node_of(call.host)
    if node is None:
        raise ToolError(1, "cannot find the snap's data\n")
    if verb in ("", "help", "--help", "-h"):
        return Reply(int(not verb), _help())
    if verb not in VERBS:
        raise ToolError(1, "", f"'{verb}' is not a valid MicroK8s subcommand.\n{_help()}")
    _may_use(call)
    if node.worker and verb in ON_WORKER:
        return Reply(0, ON_WORKER[verb])
    return await VERBS[verb](node, rest, call)


def _help() -> str:
    return "Available subcommands are:\n" + "".join(f"\t{v}\n" for v in sorted(VERBS))


def _may_use(call: Call) -> None:
    """Root, or a member of group microk8s."""
    group = accounts.groups(call.host).get("microk8s")
    if call.user != "root" and (group is None or call.user not in accounts.members(group)):
        raise ToolError(
            1,
            "",
            "Insufficient permissions to access MicroK8s.\n"
            f"You can either try again with sudo or add the user {call.user} to the 'microk8s' group:\n\n"
            f"    sudo usermod -a -G microk8s {call.user}\n    sudo chown -R {call.user} ~/.kube\n\n"
            "After this, reload the user groups either via a reboot or by running 'newgrp microk8s'.\n",
        )


async def _status(node: Node, argv: list[str], call: Call) -> Reply:
    given = parse(
        argv,
        flags=("--wait-ready", "-w", "--yaml"),
        values=("--timeout", "-t", "--format", "--addon", "-a"),
        unknown=lambda option: join.usage("status", option),
    )
    form = given.value("--format", "pretty")
    if form not in ("pretty", "yaml", "short"):
        raise ToolError(
            2, f"usage: microk8s status [-h]\nmicrok8s status: error: argument --format: invalid choice: '{form}'\n"
        )
    if call.host.files.exists(f"{LOCKS}/stopped.lock"):
        raise ToolError(1, STOPPED)
    running = await _wait_ready(node, given) if given.flags & {"--wait-ready", "-w"} else ready(node)
    addon = given.value("--addon") or given.value("-a")
    if addon:
        return Reply(0, ("enabled" if running and addon in _enabled(node) else "disabled") + "\n")
    shown = {"yaml": _yaml, "short": _short, "pretty": _pretty}[form](node, running)
    return Reply(int(not running), shown)


async def _wait_ready(node: Node, given: Arguments) -> bool:
    timeout = float(given.value("--timeout") or given.value("-t") or 0)
    end = time.monotonic() + timeout
    while not ready(node):
        if timeout and time.monotonic() >= end:
            return False
        await asyncio.sleep(POLL)
    return True


def _enabled(node: Node) -> set[str]:
    return node.addons | addons.BUILT_IN


def _yaml(node: Node, running: bool) -> str:
    text = f"microk8s:\n  running: {running}\n"
    if not running:
        return f"{text}  message: {NOT_RUNNING}\n"
    text += "high-availability:\n  enabled: False\n  nodes:\n"
    text += f"    - address: {node.address()}:19001\n      role: voter\naddons:\n"
    for addon in _sorted(node):
        text += f"  - name: {addon.name}\n    description: ({addon.repository}) {addon.description}\n"
        text += (
            f"    version: {addon.version}\n    status: {'enabled' if addon.name in _enabled(node) else 'disabled'}\n"
        )
    return text


def _short(node: Node, running: bool) -> str:
    if not running:
        return NOT_RUNNING + "\n"
    lines = (f"core/{a.name}: {'enabled' if a.name in _enabled(node) else 'disabled'}\n" for a in _sorted(node))
    return "microk8s is running\naddons:\n" + "".join(lines)


def _pretty(node: Node, running: bool) -> str:
    if not running:
        return NOT_RUNNING + "\n"
    text = "microk8s is running\nhigh-availability: no\n"
    text += f"  datastore master nodes: {node.address()}:19001\n  datastore standby nodes: none\naddons:\n"
    for title, on in (("enabled", True), ("disabled", False)):
        text += f"  {title}:\n"
        chosen = (a for a in _sorted(node) if (a.name in _enabled(node)) is on)
        text += "".join(f"    {a.name:<20} # ({a.repository}) {a.description}\n" for a in chosen)
    return text


def _sorted(node: Node) -> list[addons.Addon]:
    return sorted(addons.ADDONS.values(), key=lambda a: (a.name not in _enabled(node), a.name))


async def _enable(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, await addons.enable(node, argv))


async def _disable(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, await addons.disable(node, argv))


async def _config(node: Node, argv: list[str], call: Call) -> Reply:
    """The stored credentials, the same each time, with another address."""
    given = parse(argv, flags=("--use-loopback",), values=("-l",), unknown=lambda option: join.usage("config", option))
    address = "127.0.0.1" if given.flags else str(call.host.settings.get("lan_ip", "127.0.0.1"))
    stored = call.host.files.read(f"{DATA}/credentials/client.config").decode()
    return Reply(0, stored.replace("127.0.0.1", address))


async def _add_node(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, join.add_node(node, argv))


async def _join(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, await join.join(node, argv))


async def _leave(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, await join.leave(node, argv))


async def _remove_node(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, join.remove_node(node, argv))


async def _start(node: Node, argv: list[str], call: Call) -> Reply:
    _no_options("start", argv)
    services.set_running(call.host, services.CONTROL_PLANE)
    call.host.files.remove(f"{LOCKS}/stopped.lock")
    await services.started(call.host, "k8s-dqlite")
    await services.started(call.host, "kubelite")
    return Reply(0, "Started.\n" if node.runs("kubelite") else "")


async def _stop(node: Node, argv: list[str], call: Call) -> Reply:
    """`snap stop` of kubelite, then of everything; what snapd refuses ends it where it is.

    Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-stop.wrapper
    """
    _no_options("stop", argv)
    left = tuple(s for s in services.ALL if s != "kubelite" and node.runs(s))
    await _snap_stop(node, left, _KUBELITE_STOPS)
    await _snap_stop(node, (), _REST_STOPS)
    call.host.files.write(f"{LOCKS}/stopped.lock", "")
    return Reply(0, "Stopped.\nStopped.\n")


async def _snap_stop(node: Node, left: tuple[str, ...], seconds: float) -> None:
    async def work() -> None:
        await pause(node.host.lab, seconds)
        services.set_running(node.host, left)
        services.reconcile(node)

    await snap_changes.run(node.host, snap_changes.SERVICES, "Running service command", "microk8s", work())


def _no_options(verb: str, argv: list[str]) -> None:
    if argv:
        raise ToolError(1, "", f"microk8s {verb}: invalid option -- {argv[0]}\n")


async def _version(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, f"MicroK8s {node.version} revision {machine(call.host).snaps['microk8s'].revision}\n")


async def _refresh_certs(node: Node, argv: list[str], call: Call) -> Reply:
    given = parse(
        argv,
        flags=("-c", "--check"),
        values=("--cert", "-e"),
        unknown=lambda option: ToolError(
            2, f"Usage: microk8s refresh-certs [OPTIONS]\n\nError: No such option: {option}\n"
        ),
    )
    wanted = given.value("--cert") or given.value("-e")
    if wanted not in ("ca.crt", "server.crt"):
        choices = "Error: Missing option '-e' / '--cert'. Choose from:\n\tserver.crt,\n\tca.crt\n"
        raise ToolError(2, f"Usage: microk8s refresh-certs [OPTIONS]\n\n{choices}")
    if wanted == "server.crt":
        certificates.refresh_server(call.host)
    else:
        certificates.refresh_ca(call.host, node.version)
    await services.started(call.host, "kubelite")
    return Reply(0, "Creating new certificates\nRestarting service kubelite.\n")


async def _kubectl(node: Node, argv: list[str], call: Call) -> Reply:
    return await kubectl(node, argv, call)


async def _helm(node: Node, argv: list[str], call: Call) -> Reply:
    return await helm(node, argv, call)


VERBS: dict[str, Callable[[Node, list[str], Call], Awaitable[Reply]]] = {
    "status": _status,
    "enable": _enable,
    "disable": _disable,
    "config": _config,
    "add-node": _add_node,
    "join": _join,
    "leave": _leave,
    "remove-node": _remove_node,
    "start": _start,
    "stop": _stop,
    "version": _version,
    "refresh-certs": _refresh_certs,
    "kubectl": _kubectl,
    "helm": _helm,
    "helm3": _helm,
}
