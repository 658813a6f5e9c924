"""microk8s enable and disable, for the addons the platform uses."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from tasks.lab.microk8s import addon_list, ingress, manifests, metallb, resolv_conf, services
from tasks.lab.microk8s.addon_list import REPOSITORY
from tasks.lab.microk8s.node import COMMON, DATA, DNS_ADDRESS, Node, alive, read_arguments, set_argument
from tasks.lab.network import route_to
from tasks.lab.tool import ToolError
from thinkube_nornir.lab.emulation import pause
from thinkube_nornir.lab.kube import Object

STORAGE = f"{COMMON}/default-storage"
_DNS_ENABLED, _DNS_DISABLED, _STORAGE_DISABLED = 5.0, 30.0, 5.0
"""Seconds that the addons' scripts sleep."""


_WAIT = 30.0
"""Seconds that enable and disable wait for the API before they go on, and fail."""
_STOPPED = "microk8s is not running, try microk8s start\n"
_TRACEBACK = "Traceback (most recent call last):\n"


async def enable(node: Node, words: list[str]) -> tuple[str, str]:
    """What goes to stdout and stderr.

    Source: canonical/microk8s@1.35 scripts/wrappers/enable.py
    Source: canonical/microk8s@1.35 scripts/wrappers/common/utils.py

    Raises:
        ToolError: an unknown addon, or one the lab does not have; bad arguments; no API.
    """
    return await _each(node, words, "enable", _enable)


async def disable(node: Node, words: list[str]) -> tuple[str, str]:
    return await _each(node, words, "disable", _disable)


async def _each(
    node: Node, words: list[str], verb: str, act: Callable[[Node, str, str], Awaitable[str]]
) -> tuple[str, str]:
    out = err = ""
    _must_be_possible(node, words, verb)
    await _api_answers(node)
    for word in words:
        name, _, argument = word.partition(":")
        repository, slash, name = name.rpartition("/")
        out, err = out, err + ("" if slash else f"Infer repository {REPOSITORY} for addon {name}\n")
        if (repository or REPOSITORY, name) not in {(REPOSITORY, a.name) for a in addon_list.addons(node.minor)}:
            out += f"Addon {repository}/{name} not found\n"
        elif (name in addon_list.enabled(node)) is (verb == "enable"):
            out += f"Addon {REPOSITORY}/{name} is already {verb}d\n"
        else:
            try:
                out += await act(node, name, argument)
            except ToolError as error:
                reply = error.reply
                raise ToolError(reply.status, f"{err}{_text(reply.stderr)}", f"{out}{_text(reply.stdout)}") from None
    return out, err


def _text(text: bytes | str) -> str:
    return text if isinstance(text, str) else text.decode()


def _must_be_possible(node: Node, words: list[str], verb: str) -> None:
    if not words:
        usage = f"Usage: microk8s {verb} [OPTIONS] ADDONS...\nTry 'microk8s {verb} -h' for help.\n\n"
        raise ToolError(2, f"{usage}Error: Missing argument 'ADDONS...'.\n")
    if node.host.files.exists(f"{DATA}/var/lock/stopped.lock"):
        raise ToolError(1, _STOPPED)
    known = {addon.name for addon in addon_list.addons(node.minor)}
    for word in words:
        if word.startswith("-"):
            raise ToolError(1, f"the lab passes no options to addons: {word}\n")
        name = word.partition(":")[0]
        if "/" not in name and name not in known:
            raise ToolError(1, f"Addon {name} was not found in any repository\n")


async def _api_answers(node: Node) -> None:
    """It waits half a minute and then asks all the same."""
    end = time.monotonic() + _WAIT / node.host.lab.speed
    while not alive(node) and time.monotonic() < end:
        await pause(node.host.lab, 2.0)
    if not alive(node):
        raise ToolError(1, f"{_TRACEBACK}subprocess.CalledProcessError: kubectl get all,ingress --all-namespaces\n")


async def _enable(node: Node, name: str, argument: str) -> str:
    if name == "dns":
        return await enable_dns(node, argument)
    if name in ("hostpath-storage", "storage"):
        return _enable_storage(node, alias=name == "storage")
    if name == "metallb":
        return metallb.enable(node, argument)
    if name == "ingress":
        return await ingress.enable(node)
    raise ToolError(1, f"addon {name} is not in the lab\n")


def _enable_storage(node: Node, *, alias: bool) -> str:
    """Source: canonical/microk8s-core-addons@1.35 addons/hostpath-storage/enable."""
    warning = (
        "DEPRECATION WARNING: 'storage' is deprecated and will soon be removed. "
        "Please use 'hostpath-storage' instead.\n\n"
    )
    node.host.files.mkdir(STORAGE)
    for manifest in manifests.hostpath(node.minor):
        node.api.apply(manifest)
    return (warning if alias else "") + (
        "Enabling default storage class.\nWARNING: Hostpath storage is not suitable for production environments.\n"
        "         A hostpath volume can grow beyond the size limit set in the volume claim manifest.\n\n"
        "deployment.apps/hostpath-provisioner created\nstorageclass.storage.k8s.io/microk8s-hostpath created\n"
        "Storage will be available soon.\n"
    )


async def enable_dns(node: Node, argument: str) -> str:
    """Applies the addon's manifest: a Corefile that was written into it is gone.

    Source: canonical/microk8s-core-addons@1.35 addons/dns/enable
    """
    shown, forward = _forward(node, argument)
    for manifest in manifests.dns(forward, node.minor):
        node.api.apply(manifest)
    await pause(node.host.lab, _DNS_ENABLED)
    shown += "Applying manifest\nserviceaccount/coredns created\nconfigmap/coredns created\n"
    shown += "deployment.apps/coredns created\nservice/kube-dns created\n"
    shown += f"CoreDNS service deployed with IP address {DNS_ADDRESS}\n"
    now = read_arguments(node.host, "kubelet")
    wanted = {"--cluster-domain": "cluster.local", "--cluster-dns": DNS_ADDRESS}
    if any(now.get(k) != v for k, v in wanted.items()):
        for key, value in wanted.items():
            set_argument(node.host, "kubelet", key, value)
        await services.started(node.host, "kubelite")
        shown += "Restarting kubelet\n"
    return shown + "DNS is enabled\n"


def _forward(node: Node, argument: str) -> tuple[str, str]:
    """What it prints, and the upstreams: the given ones, else the first resolv.conf without a loopback server."""
    servers = [s for s in argument.split(",") if s]
    if servers and argument != "/etc/resolv.conf":
        for server in servers:
            try:
                route_to(node.host, server)
            except ToolError:
                message = f"Enabling DNS\nYour input value ({server}) is not a valid and reachable IP address\n"
                raise ToolError(1, "", message) from None
        return f"Enabling DNS\nWill use  {' '.join(servers)} as upstream nameservers\n", " ".join(servers)
    set_before = read_arguments(node.host, "kubelet").get("--resolv-conf")
    path = set_before or resolv_conf.find(node.host)
    if not path:
        message = "No valid resolv.conf file could be found\nFalling back to 8.8.8.8 8.8.4.4 as upstream nameservers\n"
        return f"Enabling DNS\n{message}", "8.8.8.8 8.8.4.4"
    if not set_before:
        set_argument(node.host, "kubelet", "--resolv-conf", path)
    return f"Enabling DNS\nUsing host configuration from {path}\n", "/etc/resolv.conf"


async def _disable(node: Node, name: str, argument: str) -> str:
    if name in ("hostpath-storage", "storage"):
        return await _disable_storage(node, argument)
    if name == "dns":
        return await _disable_dns(node)
    if name in _OWN_WAY:
        shown = _OWN_WAY[name](node)
        await _gone(node, name)
        return shown
    raise ToolError(1, f"addon {name} is not in the lab\n")


async def _gone(node: Node, name: str) -> None:
    """`kubectl delete` waits until what it deletes has gone."""
    for _ in range(_LONGEST_DELETE):
        if name not in addon_list.enabled(node):
            return
        await pause(node.host.lab, 1.0)


_LONGEST_DELETE = 120
_OWN_WAY = {"metallb": metallb.disable, "ingress": ingress.disable}


async def _disable_storage(node: Node, argument: str) -> str:
    """Asks whether to delete the volumes unless it is told to; who has no terminal, or says no, gets status 1.

    Source: canonical/microk8s-core-addons@1.35 addons/hostpath-storage/disable
    """
    for manifest in manifests.hostpath(node.minor):
        _delete(node, manifest)
    await pause(node.host.lab, _STORAGE_DISABLED)
    shown = "Disabling hostpath storage.\nStorage removed.\n"
    if argument != "destroy-storage":
        raise ToolError(1, f"Remove PVC storage at {STORAGE} ? (Y/N): ", shown)
    node.host.files.remove(STORAGE)
    return f"{shown}Storage space reclaimed.\n"


async def _disable_dns(node: Node) -> str:
    """Source: canonical/microk8s-core-addons@1.35 addons/dns/disable."""
    for manifest in manifests.dns("", node.minor):
        _delete(node, manifest)
    await pause(node.host.lab, _DNS_DISABLED)
    for key in ("--cluster-domain", "--cluster-dns"):
        set_argument(node.host, "kubelet", key, None)
    await services.started(node.host, "kubelite")
    return "Disabling DNS\nReconfiguring kubelet\nRemoving DNS manifest\nDNS is disabled\n"


def _delete(node: Node, manifest: Object) -> None:
    at = manifest["metadata"]
    node.api.delete(manifest["apiVersion"], manifest["kind"], at["name"], at.get("namespace", ""))
