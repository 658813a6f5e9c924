"""The microk8s command: its verbs, and what a joined worker says instead.

The scripts of 1.32 to 1.35 differ in two lines only: how they call sudo, and which kinds `status` looks at.

Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s.wrapper
Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-config.wrapper
Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-kubectl.wrapper
Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-helm3.wrapper
Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-start.wrapper
Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-add-node.wrapper
Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-remove-node.wrapper
Source: canonical/microk8s@1.35 scripts/wrappers/refresh_certs.py
Source: canonical/microk8s@1.35 scripts/wrappers/version.py
"""

# ruff: noqa: ARG001
# The handlers of one table share a signature.

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tasks.lab import accounts, snap_changes
from tasks.lab.helm import helm
from tasks.lab.microk8s import addons, certificates, join, services, tokens
from tasks.lab.microk8s.kubectl import kubectl
from tasks.lab.microk8s.leave import leave
from tasks.lab.microk8s.node import DATA, LOCKS, Node, node_of
from tasks.lab.microk8s.status import STOPPED, status
from tasks.lab.state import machine
from tasks.lab.tool import ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, Reply, pause

_NODE = "This MicroK8s deployment is acting as a node in a cluster."
_KUBELITE_STOPS, _REST_STOPS = 30.0, 2.0
"""Seconds; measured 32 in all."""
ON_WORKER = {
    "status": (0, f"{_NODE}\nPlease use the control plane node.\n"),
    "stop": (0, f"{_NODE}\nUse 'snap stop microk8s' to stop services on this node.\n"),
    "start": (0, f"{_NODE}\nUse 'snap start microk8s' to start services on this node.\n"),
    "enable": (1, f"{_NODE}\nPlease use the master node.\n"),
    "disable": (1, f"{_NODE}\nPlease use the master node.\n"),
    "add-node": (1, f"{_NODE} Please use the microk8s add-node on the master.\n"),
    "remove-node": (1, f"{_NODE} Please use microk8s leave.\n"),
    "refresh-certs": (
        0,
        f"{_NODE} Please use the microk8s refresh-certs command on the master\n"
        "and then return to this node to perform a microk8s leave and re-join.\n",
    ),
    **{verb: (0, f"{_NODE} Please use the microk8s {verb} on the master.\n") for verb in ("kubectl", "config", "helm")},
    "helm3": (0, f"{_NODE} Please use the microk8s helm on the master.\n"),
}
"""What a joined worker says instead, and with which exit status."""


REFUSED_WHEN_STOPPED = ("kubectl", "helm", "helm3", "add-node", "leave")


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
        return Reply(*ON_WORKER[verb])
    if verb in REFUSED_WHEN_STOPPED and call.host.files.exists(f"{LOCKS}/stopped.lock"):
        raise ToolError(1, STOPPED)
    return await VERBS[verb](node, rest, call)


def _help() -> str:
    return "Available subcommands are:\n" + "".join(f"\t{v}\n" for v in sorted(VERBS))


def _may_use(call: Call) -> None:
    """Root, or a member of group microk8s, who can read client.config."""
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
    return await status(node, argv)


async def _enable(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, *await addons.enable(node, argv))


async def _disable(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, *await addons.disable(node, argv))


async def _config(node: Node, argv: list[str], call: Call) -> Reply:
    """The stored credentials, the same each time, with another address."""
    invalid = lambda option: ToolError(1, "", f"microk8s config: invalid option -- {option}\n")  # noqa: E731
    given = parse(argv, flags=("--use-loopback", "-l"), unknown=invalid)
    address = "127.0.0.1" if given.flags else str(call.host.settings.get("lan_ip", "127.0.0.1"))
    stored = call.host.files.read(f"{DATA}/credentials/client.config").decode()
    return Reply(0, stored.replace("127.0.0.1", address, 1) + "\n")


async def _add_node(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, tokens.add_node(node, argv))


async def _join(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, await join.join(node, argv))


async def _leave(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, await leave(node, argv))


async def _remove_node(node: Node, argv: list[str], call: Call) -> Reply:
    return Reply(0, tokens.remove_node(node, argv))


async def _start(node: Node, argv: list[str], call: Call) -> Reply:
    """`snapctl start`, which says nothing, then a wait for the node."""
    _no_options("start", argv)
    services.set_running(call.host, services.CONTROL_PLANE)
    call.host.files.remove(f"{LOCKS}/stopped.lock")
    await services.started(call.host, "k8s-dqlite")
    await services.started(call.host, "kubelite")
    await pause(call.host.lab, services.STARTING["kubelite"])
    return Reply()


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
        flags=("-c", "--check", "-u", "--undo"),
        values=("--cert", "-e"),
        unknown=lambda option: ToolError(
            2, f"Usage: microk8s refresh-certs [OPTIONS] [CA_DIR]\n\nError: No such option: {option}\n"
        ),
    )
    wanted = given.value("--cert") or given.value("-e")
    if given.words or given.flags:
        raise ToolError(1, "the lab's refresh-certs knows --cert only\n")
    if not wanted:
        raise ToolError(3, "", _CHOOSE)
    if wanted not in _CERTIFICATES:
        message = f"invalid choice: {wanted}. (choose from {', '.join(_CERTIFICATES)})"
        usage = "Usage: microk8s refresh-certs [OPTIONS] [CA_DIR]\nTry 'microk8s refresh-certs -h' for help.\n\n"
        raise ToolError(2, f"{usage}Error: Invalid value for '-e' / '--cert': {message}\n")
    if wanted == "server.crt":
        certificates.refresh_server(call.host)
    if wanted == "ca.crt":
        certificates.refresh_ca(call.host, node.version)
    await services.started(call.host, "kubelite")
    backup = f"Taking a backup of the current certificates under {DATA}/certs-backup/\n"
    again = "".join(f"Restarting service {name}.\n" for name in ("kubelite", "cluster-agent"))
    return Reply(0, f"{backup}Creating new certificates\n{again}")


_CERTIFICATES = ("ca.crt", "server.crt", "front-proxy-client.crt")
_CHOOSE = (
    "Please use the '--cert' flag to select the certificate you need refreshed.\n\n"
    "Available certificate options:\n'server.crt': refreshes the server certificate\n"
    "'front-proxy-client.crt': refreshes the front proxy client certificate\n"
    "'ca.crt': refreshes the root CA and all certificates created from it.\n"
    "            Warning: refreshing the root CA requires nodes to leave and re-join the cluster\n"
)


async def _inspect(node: Node, argv: list[str], call: Call) -> Reply:
    raise ToolError(1, "microk8s inspect is not in the lab\n")


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
    "inspect": _inspect,
    "kubectl": _kubectl,
    "helm": _helm,
    "helm3": _helm,
}
