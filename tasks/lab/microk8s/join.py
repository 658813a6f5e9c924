"""add-node, join, leave, remove-node: tokens and their life, and what a join does to a worker."""

from __future__ import annotations

import json
import secrets
import time

import yaml

from tasks.lab import snap_changes, ufw
from tasks.lab.microk8s import certificates, install, manifests, services
from tasks.lab.microk8s.node import (
    AGENT_PORT,
    DATA,
    LOCKS,
    TOKENS,
    Node,
    arguments_file,
    control_of,
    node_of,
    set_argument,
)
from tasks.lab.network import route_to
from tasks.lab.state import addresses, host_at
from tasks.lab.system import sudo_ignores_environment
from tasks.lab.tool import ToolError, parse
from thinkube_nornir.lab.emulation import LabHost

SHORTEST_TOKEN = 32
SHORTEST_FINGERPRINT = 12
PROVIDER = f"{DATA}/args/traefik/provider.yaml"
STILL_STARTING = 60.0
"""Seconds that snapd still starts services after a join or a leave has returned."""
FIRST_WITH_SUDO_RS = (1, 35)
"""The first MicroK8s that names the variables which its scripts keep through sudo; others say `sudo -E`.

Source: canonical/microk8s@1.34 microk8s-resources/actions/common/utils.sh
Source: canonical/microk8s@1.35 microk8s-resources/actions/common/utils.sh
Source: canonical/microk8s@1.34 scripts/wrappers/join.py
"""
WORKER_LABELS = "microk8s.io/cluster=true,node.kubernetes.io/microk8s-worker=microk8s-worker"


def usage(name: str, option: str) -> ToolError:
    return ToolError(2, f"usage: microk8s {name} [-h]\nmicrok8s {name}: error: unrecognized arguments: {option}\n")


def add_node(node: Node, argv: list[str]) -> str:
    given = parse(
        argv,
        values=("--token-ttl", "-l", "--token", "-t", "--format"),
        unknown=lambda option: usage("add-node", option),
    )
    if given.words:
        raise usage("add-node", " ".join(given.words))
    token = given.value("--token") or given.value("-t") or secrets.token_hex(16)
    form = given.value("--format", "pretty")
    if form not in ("pretty", "short", "token", "token-check", "json", "yaml"):
        raise ToolError(
            2, f"usage: microk8s add-node [-h]\nmicrok8s add-node: error: argument --format: invalid choice: '{form}'\n"
        )
    if len(token) < SHORTEST_TOKEN:
        raise ToolError(1, "", "Invalid token size.  It must be 32 characters long.\n")
    _remember(node.host, token, _seconds(given.value("--token-ttl") or given.value("-l") or "-1"))
    check = certificates.fingerprint(node.host)
    urls = [f"{address}:{AGENT_PORT}/{token}/{check}" for address in addresses(node.host)]
    return _shown(form, token, check, urls)


def _seconds(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ToolError(
            2, f"microk8s add-node: error: argument --token-ttl/-l: invalid int value: '{text}'\n"
        ) from None


def _remember(host: LabHost, token: str, ttl: int) -> None:
    line = token if ttl == -1 else f"{token}|{int(time.time()) + ttl}"
    host.files.write(TOKENS, _tokens(host) + line + "\n", 0o660)


def _tokens(host: LabHost) -> str:
    return host.files.read(TOKENS).decode() if host.files.exists(TOKENS) else ""


def _shown(form: str, token: str, check: str, urls: list[str]) -> str:
    told = {"token": f"{token}/{check}", "urls": urls}
    if form == "json":
        return json.dumps(told, indent=2) + "\n"
    if form == "yaml":
        return yaml.safe_dump(told, indent=2) + "\n"
    if form in ("token", "token-check"):
        return (token if form == "token" else f"{token}/{check}") + "\n"
    commands = "".join(f"microk8s join {url}\n" for url in urls)
    if form == "short":
        return commands
    return (
        f"From the node you wish to join to this cluster, run the following:\nmicrok8s join {urls[0]}\n\n"
        "Use the '--worker' flag to join a node as a worker not running the control plane, eg:\n"
        f"microk8s join {urls[0]} --worker\n\n"
        "If the node you are adding is not reachable through the default interface you can use one of the following:\n"
    ) + commands


async def join(node: Node, argv: list[str]) -> str:
    given = parse(
        argv,
        flags=("--worker", "--skip-verify", "--controlplane", "--disable-low-memory-guard"),
        unknown=lambda option: ToolError(
            2, f"Usage: microk8s join [OPTIONS] CONNECTION\n\nError: No such option: {option}\n"
        ),
    )
    if len(given.words) != 1:
        raise ToolError(2, "Usage: microk8s join [OPTIONS] CONNECTION\n\nError: Missing argument 'CONNECTION'.\n")
    if "--worker" not in given.flags:
        raise ToolError(1, "the lab joins workers only: use --worker\n")
    if node.minor < FIRST_WITH_SUDO_RS and sudo_ignores_environment(node.host):
        told = "FileNotFoundError: [Errno 2] No such file or directory: 'None/var/lock/join-in-progress'"
        raise ToolError(1, f"Traceback (most recent call last):\n{told}\n")
    endpoint, _, rest = given.words[0].partition("/")
    token, _, check = rest.partition("/")
    address, _, port = endpoint.partition(":")
    shown = f"Contacting cluster at {address}\n"
    control = _contact(node, address, port, shown)
    _verify(control, address, check, "--skip-verify" in given.flags, shown)
    _admit(node, control, token, shown)
    await _become_worker(node, control, address)
    return shown + (
        "\nThe node has joined the cluster and will appear in the nodes list in a few seconds.\n\n"
        "This worker node gets automatically configured with the API server endpoints.\n"
        "If the API servers are behind a loadbalancer please set the '--refresh-interval' to '0s' in:\n"
        f"    {DATA}/args/apiserver-proxy\n"
        f"and replace the API server endpoints with the one provided by the loadbalancer in:\n    {PROVIDER}\n\n"
    )


def _contact(node: Node, address: str, port: str, shown: str) -> Node:
    """The control plane whose agent answers at this address; names are resolved by nobody here."""
    if node.worker:
        raise ToolError(
            1, "", "This MicroK8s deployment is acting as a node in a cluster. Please use 'microk8s leave' first.\n"
        )
    host = host_at(node.host.lab, address)
    source = str(route_to(node.host, address)["prefsrc"])
    if host is not None and port.isdigit() and ufw.keeps_out(host, source, int(port), "tcp"):
        raise ToolError(
            1, "Traceback (most recent call last):\nTimeoutError: [Errno 110] Connection timed out\n", shown
        )
    control = node_of(host) if host is not None else None
    if control is None or control.worker or not control.runs("cluster-agent") or not port:
        raise ToolError(
            1, "Traceback (most recent call last):\nConnectionRefusedError: [Errno 111] Connection refused\n", shown
        )
    if port != str(AGENT_PORT):
        raise ToolError(5, "", shown + "Connection failed. Bad gateway (502).\n")
    if address in addresses(node.host):
        raise ToolError(
            6, "", shown + "Connection failed. The joining node has the same IP as the node it contacts. (503).\n"
        )
    return control


def _verify(control: Node, address: str, check: str, skip: bool, shown: str) -> None:
    if skip or not check:
        return
    advice = "Use '--skip-verify' to skip server certificate check.\n"
    if len(check) < SHORTEST_FINGERPRINT:
        raise ToolError(4, "", f"{shown}Joining cluster failed. Fingerprint too short. {advice}")
    if check != certificates.fingerprint(control.host):
        raise ToolError(4, "", f"{shown}Joining cluster failed. Could not verify the identity of {address}. {advice}")


def _admit(node: Node, control: Node, token: str, shown: str) -> None:
    """The agent's answer. A token without TTL is gone after this, whatever becomes of the join."""
    lines = [line.split("|") for line in _tokens(control.host).splitlines()]
    fitting = next((x for x in lines if x[0] == token), None)
    kept = [x for x in lines if x is not fitting or len(x) > 1]
    control.host.files.write(TOKENS, "".join("|".join(x) + "\n" for x in kept), 0o660)
    if fitting is None or (len(fitting) > 1 and int(fitting[1]) < time.time()):
        raise ToolError(6, "", shown + "Connection failed. Invalid token (500).\n")
    if node.minor > control.minor:
        raise ToolError(
            6, "", f"{shown}Connection failed. The node runs {node.version}, the cluster {control.version} (500).\n"
        )


async def _become_worker(node: Node, control: Node, address: str) -> None:
    host = node.host
    source = str(route_to(host, address)["prefsrc"])
    host.files.write(arguments_file("kubelet"), control.host.files.read(arguments_file("kubelet")), 0o660)
    set_argument(host, "kubelet", "--hostname-override", None)
    set_argument(host, "kubelet", "--node-ip", source)
    set_argument(host, "kubelet", "--node-labels", f'"{WORKER_LABELS}"')
    for lock in ("clustered.lock", "no-k8s-dqlite", "no-cert-reissue"):
        host.files.write(f"{LOCKS}/{lock}", "")
    host.files.remove(f"{LOCKS}/no-apiserver-proxy")
    host.files.write(f"{DATA}/certs/ca.remote.crt", control.host.files.read(f"{DATA}/certs/ca.crt"), 0o660)
    server = {"servers": [{"address": f"{address}:16443"}]}
    host.files.write(
        PROVIDER, yaml.safe_dump({"tcp": {"services": {"kube-apiserver": {"loadBalancer": server}}}}), 0o660
    )
    node.control, node.cluster = control.host, control.api
    install.use_control_plane(node, control)
    _first_join(control, source)
    services.set_running(host, services.WORKER)
    await services.started(host, "kubelite")
    snap_changes.goes_on(host, "microk8s", STILL_STARTING)


def snapctl_accepted(host: LabHost) -> None:
    """Raises ToolError: a change of the snap is in progress, and the script ends with Python's traceback.

    Source: canonical/snapd@2.66.1 daemon/api_snapctl.go
    Source: canonical/microk8s@1.35 scripts/wrappers/common/cluster/utils.py
    """
    try:
        snap_changes.must_be_free(host, "microk8s")
    except ToolError as error:
        told = str(error.reply.stderr).replace("error: ", "error: error running snapctl: ")
        raise ToolError(1, f"{told}Traceback (most recent call last):\nsubprocess.CalledProcessError\n") from None


def _first_join(control: Node, joiner: str) -> None:
    """The first join binds dqlite to the LAN and points Calico's address detection at the joiner."""
    objects = manifests.calico(control.minor)
    objects[0]["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = f"can-reach={joiner}"
    now = control.api.get("apps/v1", "DaemonSet", "calico-node", manifests.SYSTEM)
    if now is None or "can-reach" in json.dumps(now):
        return
    control.api.apply(objects[0])
    control.host.files.write(f"{DATA}/args/cni-network/cni.yaml", install.cni(objects))
    install.write_datastore(control.host, f"{control.address()}:19001")


async def leave(node: Node, argv: list[str]) -> str:
    if argv:
        raise ToolError(2, f"Usage: microk8s leave [OPTIONS]\n\nError: No such option: {argv[0]}\n")
    if not node.worker:
        if any(n["metadata"]["name"] != node.name for n in node.api.list("v1", "Node")):
            raise ToolError(
                3,
                "",
                "This node currently holds the only copy of the Kubernetes database so it cannot leave the cluster.\n",
            )
        raise ToolError(2, "", "Not in clustering mode.\n")
    snapctl_accepted(node.host)
    control = control_of(node)
    if control is not None and control.api.get("v1", "Node", node.name) is not None:
        control.api.set_node_ready(node.name, False, "NodeStatusUnknown")
    for name in ("clustered.lock", "no-k8s-dqlite", "no-cert-reissue"):
        node.host.files.remove(f"{LOCKS}/{name}")
    node.host.files.write(f"{LOCKS}/no-apiserver-proxy", "")
    node.host.files.remove(f"{DATA}/certs/ca.remote.crt")
    node.host.files.remove(PROVIDER)
    install.reset_arguments(node.host, ("kubelet", "kube-proxy"))
    node.control, node.cluster = node.host, node.api
    install.use_control_plane(node, None)
    await install.come_up(node)
    snap_changes.goes_on(node.host, "microk8s", STILL_STARTING)
    return "Configuring services.\nGenerating new cluster certificates.\nWaiting for node to start.  \n"


def remove_node(node: Node, argv: list[str]) -> str:
    given = parse(
        argv,
        flags=("--force",),
        unknown=lambda option: ToolError(
            2, f"Usage: microk8s remove-node [OPTIONS] NODE\n\nError: No such option: {option}\n"
        ),
    )
    if len(given.words) != 1:
        raise ToolError(2, "Usage: microk8s remove-node [OPTIONS] NODE\n\nError: Missing argument 'NODE'.\n")
    wanted = given.words[0]
    found = next((n for n in node.api.list("v1", "Node") if wanted in (n["metadata"]["name"], _address(n))), None)
    if found is None:
        raise ToolError(1, "", f"Node {wanted} does not exist in Kubernetes.\n")
    if found["metadata"]["name"] == node.name and "--force" not in given.flags:
        told = f"Removal failed. Node {wanted} is registered with dqlite. "
        raise ToolError(1, "", told + "Please, run first 'microk8s leave' on the departing node. \n")
    node.api.remove_node(found["metadata"]["name"])
    return ""


def _address(found: dict[str, object]) -> str:
    status = found.get("status")
    listed = status.get("addresses", []) if isinstance(status, dict) else []
    return next((str(a["address"]) for a in listed if a["type"] == "InternalIP"), "")
