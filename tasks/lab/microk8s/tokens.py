"""add-node and remove-node: tokens and their life, and what a node leaves behind in the cluster.

Source: canonical/microk8s@1.35 scripts/wrappers/add_token.py
Source: canonical/microk8s@1.35 scripts/wrappers/remove_node.py
Source: canonical/microk8s-cluster-agent@1.34 pkg/snap/snap.go
Source: canonical/microk8s-cluster-agent@1.34 pkg/util/token.go
"""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import yaml

from tasks.lab.microk8s import certificates
from tasks.lab.microk8s.node import AGENT_PORT, TOKENS, Node, alive
from tasks.lab.microk8s.status import usage
from tasks.lab.state import addresses
from tasks.lab.tool import ToolError, parse
from thinkube_nornir.lab.emulation import LabHost
from thinkube_nornir.lab.kube import Object

SHORTEST_TOKEN = 32
_FORMS = ("pretty", "short", "token", "token-check", "json", "yaml")


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
    if form not in _FORMS:
        message = f"microk8s add-node: error: argument --format: invalid choice: '{form}'"
        raise ToolError(2, f"usage: microk8s add-node [-h]\n{message}\n")
    ttl = _seconds(given.value("--token-ttl") or given.value("-l") or "-1")
    if len(token) < SHORTEST_TOKEN:
        raise ToolError(1, "", "Invalid token size.  It must be 32 characters long.\n")
    line = token if ttl == -1 else f"{token}|{int(time.time()) + ttl}"
    node.host.files.write(TOKENS, f"{_lines(node.host)}{line}\n", 0o660)
    check = certificates.fingerprint(node.host)
    urls = [f"{address}:{AGENT_PORT}/{token}/{check}" for address in addresses(node.host)]
    return _shown(form, token, check, urls)


def _seconds(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        message = f"microk8s add-node: error: argument --token-ttl/-l: invalid int value: '{text}'"
        raise ToolError(2, f"usage: microk8s add-node [-h]\n{message}\n") from None


def _lines(host: LabHost) -> str:
    return host.files.read(TOKENS).decode() if host.files.exists(TOKENS) else ""


def consume(host: LabHost, token: str) -> bool:
    """Whether it is valid. One without an expiry is gone after this, whatever becomes of the join."""
    lines = [line.split("|") for line in _lines(host).splitlines()]
    fitting = next((x for x in lines if x[0] == token), None)
    kept = [x for x in lines if x is not fitting or len(x) > 1]
    host.files.write(TOKENS, "".join("|".join(x) + "\n" for x in kept), 0o660)
    return fitting is not None and (len(fitting) == 1 or int(fitting[1]) >= time.time())


def _shown(form: str, token: str, check: str, urls: list[str]) -> str:
    answer: dict[str, Any] = {"token": f"{token}/{check}", "urls": urls}
    if form == "json":
        return json.dumps(answer, indent=2) + "\n"
    if form == "yaml":
        return yaml.safe_dump(answer, indent=2) + "\n"
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


def remove_node(node: Node, argv: list[str]) -> str:
    """Takes a name for unknown when the API does not answer, too."""
    if not argv:
        raise ToolError(1, "", "Please provide the node you want to remove.\n")
    if len(argv) == 2 and argv[1] != "--force":
        raise ToolError(1, "", "Please provide the node and the optional --force flag.\n")
    unknown = "Usage: microk8s remove-node [OPTIONS] NODE\nTry 'microk8s remove-node --help' for help.\n\n"
    given = parse(argv, flags=("--force",), unknown=lambda o: ToolError(2, f"{unknown}Error: No such option: {o}\n"))
    wanted = given.words[0] if given.words else ""
    listed = node.api.list("v1", "Node") if alive(node) else []
    found = next((n for n in listed if wanted in (n["metadata"]["name"], _address(n))), None)
    if found is None:
        message = f'Error from server (NotFound): nodes "{wanted}" not found\n' if alive(node) else _REFUSED
        raise ToolError(1, message, f"Node {wanted} does not exist in Kubernetes.\n")
    node.api.remove_node(found["metadata"]["name"])
    return ""


_REFUSED = "The connection to the server 127.0.0.1:16443 was refused - did you specify the right host or port?\n"


def _address(found: Object) -> str:
    listed = found.get("status", {}).get("addresses", [])
    return next((str(a["address"]) for a in listed if a["type"] == "InternalIP"), "")
