"""Launch configurations: the install hook takes the arguments, the cluster agent does the rest, later.

Source: canonical/microk8s@1.35 snap/hooks/install
Source: canonical/microk8s@1.35 microk8s-resources/microk8s.default.yaml
Source: canonical/microk8s-cluster-agent@1.34 pkg/k8sinit/schema.go
Source: canonical/microk8s-cluster-agent@1.34 pkg/k8sinit/apply.go
Source: canonical/microk8s-cluster-agent@1.34 cmd/cluster-agent.go
Unproven: the words with which snapd reports a failed install hook.
"""

from __future__ import annotations

import logging
from typing import Any

import yaml

from tasks.lab.microk8s import addons
from tasks.lab.microk8s.node import COMMON, DNS_ADDRESS, Node, node_of, set_argument
from tasks.lab.tool import ToolError
from thinkube_nornir.lab.emulation import LabHost, pause

FILE = "/etc/microk8s.yaml"
PENDING = f"{COMMON}/etc/launcher/install.yaml"
APPLIED = f"{PENDING}.applied"
EVERY = 5.0
"""Seconds between two looks of the cluster agent."""
DEFAULT: dict[str, Any] = {
    "version": "0.1.0",
    "extraKubeletArgs": {"--cluster-domain": "cluster.local", "--cluster-dns": DNS_ADDRESS},
    "addons": [{"name": "dns"}],
}
_ARGUMENTS = {
    "extraKubeAPIServerArgs": "kube-apiserver",
    "extraKubeletArgs": "kubelet",
    "extraKubeProxyArgs": "kube-proxy",
    "extraKubeControllerManagerArgs": "kube-controller-manager",
    "extraKubeSchedulerArgs": "kube-scheduler",
    "extraContainerdArgs": "containerd",
    "extraContainerdEnv": "containerd-env",
    "extraDqliteArgs": "k8s-dqlite",
    "extraMicroK8sClusterAgentArgs": "cluster-agent",
    "extraMicroK8sAPIServerProxyArgs": "apiserver-proxy",
    "extraCNIEnv": "cni-env",
}
_LISTS = ("addons", "addonRepositories", "extraSANs")
_MAPS = (*_ARGUMENTS, "containerdRegistryConfigs", "extraConfigFiles")
_OLDEST, _NEWEST = (0, 1, 0), (0, 2, 0)

_log = logging.getLogger(__name__)


def read(host: LabHost) -> tuple[str, list[dict[str, Any]]]:
    """The text and its parts.

    Raises:
        ToolError: it cannot be parsed, so the install hook fails, and snapd takes the installation back.
    """
    text = host.files.read(FILE).decode(errors="replace") if host.files.exists(FILE) else yaml.safe_dump(DEFAULT)
    try:
        return text, _parse(text)
    except ValueError as error:
        raise hook_failed(f"Error: failed to parse config file: {error}") from None


def hook_failed(message: str) -> ToolError:
    hook = 'Run install hook of "microk8s" snap if present (run hook "install": '
    return ToolError(1, f"error: cannot perform the following tasks:\n- {hook}\n-----\n{message}\n-----)\n")


def _parse(text: str) -> list[dict[str, Any]]:
    """Unknown fields are only warned of; an empty document is none."""
    try:
        parts = [part for part in yaml.safe_load_all(text) if part]
    except yaml.YAMLError as error:
        raise ValueError(f"could not parse configuration: yaml: {error}") from None
    for part in parts:
        if not isinstance(part, dict) or not all(_fits(part.get(name), dict) for name in _MAPS):
            raise ValueError("could not parse configuration: yaml: unmarshal errors")
        if not all(_fits(part.get(name), list) for name in _LISTS):
            raise ValueError("could not parse configuration: yaml: unmarshal errors")
        _must_be_supported(str(part.get("version", "")))
    return parts


def _fits(value: object, kind: type) -> bool:
    return value is None or isinstance(value, kind)


def _must_be_supported(version: str) -> None:
    numbers = version.split(".")
    if len(numbers) != 3 or not all(number.isdigit() for number in numbers):
        raise ValueError(f'could not parse config file version "{version}"')
    found = tuple(map(int, numbers))
    if found > _NEWEST:
        raise ValueError(f"config file version is {version} but the maximum version supported is 0.2.0")
    if found < _OLDEST:
        raise ValueError(f"config file version is {version} but the minimum version required is 0.1.0")


def apply_arguments(host: LabHost, parts: list[dict[str, Any]]) -> None:
    """Null takes an argument out."""
    for part in parts:
        for name, file in _ARGUMENTS.items():
            for key, value in (part.get(name) or {}).items():
                set_argument(host, file, str(key), None if value is None else str(value))


def names(parts: list[dict[str, Any]]) -> list[str]:
    """extraSANs of all parts."""
    return [str(name) for part in parts for name in part.get("extraSANs") or ()]


async def agent(node: Node) -> None:
    """Looks every five seconds, repeats what failed, and renames the file once all of it is applied."""
    files = node.host.files
    while node_of(node.host) is node and files.exists(PENDING):
        await pause(node.host.lab, EVERY)
        if node_of(node.host) is not node or not node.runs("cluster-agent"):
            continue
        text = files.read(PENDING)
        try:
            await _apply(node, _parse(text.decode()))
        except (ToolError, ValueError) as error:
            _log.info("%s: failed to apply configuration file %s: %s", node.host.name, PENDING, error)
            continue
        if node_of(node.host) is node:
            files.write(APPLIED, text)
            files.remove(PENDING)


async def _apply(node: Node, parts: list[dict[str, Any]]) -> None:
    for part in parts:
        for addon in part.get("addons") or ():
            words = [":".join((str(addon["name"]), *map(str, addon.get("args") or ())))]
            await (addons.disable if addon.get("disable") else addons.enable)(node, words)
    apply_arguments(node.host, parts)
