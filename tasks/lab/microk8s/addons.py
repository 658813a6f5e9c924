"""microk8s enable and disable, for the addons the platform uses."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.lab.microk8s import ingress, manifests, metallb, services
from tasks.lab.microk8s.node import DNS_ADDRESS, Node, alive, read_arguments, set_argument
from tasks.lab.network import route_to
from tasks.lab.tool import ToolError


@dataclass(frozen=True)
class Addon:
    name: str
    description: str
    version: str
    repository: str = "core"


ADDONS = {
    a.name: a
    for a in (
        Addon("cert-manager", "Cloud native certificate management", "1.14.5"),
        Addon("dashboard", "The Kubernetes dashboard", "2.7.0"),
        Addon("dns", "CoreDNS", "1.10.1"),
        Addon("ha-cluster", "Configure high availability on the current node", "1.0.0"),
        Addon("helm", "Helm - the package manager for Kubernetes", "3.9.1"),
        Addon("helm3", "Helm 3 - the package manager for Kubernetes", "3.9.1"),
        Addon("hostpath-storage", "Storage class; allocates storage from host directory", "1.0.0"),
        Addon("ingress", "Ingress controller for external access", "1.11.2"),
        Addon("metallb", "Loadbalancer for your Kubernetes cluster", "0.13.10"),
        Addon("metrics-server", "K8s Metrics Server for API access to service metrics", "0.6.3"),
        Addon("rbac", "Role-Based Access Control for authorisation", "1.0.0"),
        Addon("storage", "Alias to hostpath-storage add-on, deprecated", "1.0.0"),
    )
}
BUILT_IN = {"ha-cluster", "helm", "helm3"}
RESOLV_CONFS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")


async def enable(node: Node, words: list[str]) -> str:
    """What it prints. Raises ToolError: an unknown addon, or one the lab does not have, or bad arguments."""
    return "".join([await _enable(node, word) for word in _known(node, words, "enable")])


async def disable(node: Node, words: list[str]) -> str:
    return "".join([_disable(node, word) for word in _known(node, words, "disable")])


def _known(node: Node, words: list[str], verb: str) -> list[str]:
    if not words:
        raise ToolError(
            1,
            f"Usage: microk8s {verb} [OPTIONS] ADDONS...\nTry 'microk8s {verb} --help' for help.\n\n"
            "Error: Missing argument 'ADDONS...'.\n",
        )
    for word in words:
        name = word.partition(":")[0].removeprefix("core/")
        if name not in ADDONS:
            raise ToolError(1, f"Addon {name} was not found in any repository\n")
        if word.startswith("-"):
            raise ToolError(1, f"Error: No such option: {word}\n")
    if not alive(node):
        raise ToolError(1, "", "microk8s is not running, try microk8s start\n")
    return words


async def _enable(node: Node, word: str) -> str:
    name, _, argument = word.removeprefix("core/").partition(":")
    head = "" if "/" in word else f"Infer repository core for addon {name}\n"
    if name == "dns":
        return head + await enable_dns(node, argument)
    if name in ("hostpath-storage", "storage"):
        return head + _enable_storage(node, alias=name == "storage")
    if name == "metallb":
        return head + metallb.enable(node, argument)
    if name == "ingress":
        return head + await ingress.enable(node)
    if name in BUILT_IN:
        return head + f"Addon core/{name} is already enabled\n"
    raise ToolError(1, f"addon {name} is not in the lab\n", head)


def _enable_storage(node: Node, *, alias: bool) -> str:
    warning = (
        "DEPRECATION WARNING: 'storage' is deprecated and will soon be removed. "
        "Please use 'hostpath-storage' instead.\n\n"
    )
    for manifest in manifests.hostpath(node.minor):
        node.api.apply(manifest)
    node.addons.add("hostpath-storage")
    return (warning if alias else "") + (
        "Enabling default storage class.\nWARNING: Hostpath storage is not suitable for production environments.\n"
        "         A hostpath volume can grow beyond the size limit set in the volume claim manifest.\n\n"
        "deployment.apps/hostpath-provisioner created\nstorageclass.storage.k8s.io/microk8s-hostpath created\n"
        "Storage will be available soon.\n"
    )


async def enable_dns(node: Node, argument: str) -> str:
    """Applies the addon's manifest again each time: a customised Corefile is gone."""
    shown, forward = _forward(node, argument)
    for manifest in manifests.dns(forward, node.minor):
        node.api.apply(manifest)
    node.addons.add("dns")
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
                raise ToolError(
                    1, "", f"Enabling DNS\nYour input value ({server}) is not a valid and reachable IP address\n"
                ) from None
        return f"Enabling DNS\nWill use  {' '.join(servers)} as upstream nameservers\n", " ".join(servers)
    set_before = read_arguments(node.host, "kubelet").get("--resolv-conf")
    path = set_before or next((p for p in RESOLV_CONFS if _usable(node, p)), None)
    if path is None:
        told = "No valid resolv.conf file could be found\nFalling back to 8.8.8.8 8.8.4.4 as upstream nameservers\n"
        return f"Enabling DNS\n{told}", "8.8.8.8 8.8.4.4"
    if not set_before:
        set_argument(node.host, "kubelet", "--resolv-conf", path)
    return f"Enabling DNS\nUsing host configuration from {path}\n", "/etc/resolv.conf"


def name_servers(node: Node, path: str) -> tuple[str, ...]:
    if not node.host.files.exists(path):
        return ()
    lines = (line.split() for line in node.host.files.read(path).decode(errors="replace").splitlines())
    return tuple(w[1] for w in lines if len(w) > 1 and w[0] == "nameserver")


def _usable(node: Node, path: str) -> bool:
    servers = name_servers(node, path)
    return bool(servers) and not any(s.startswith("127.") or s == "::1" for s in servers)


_OWN_WAY = {"metallb": metallb.disable, "ingress": ingress.disable}


def _disable(node: Node, word: str) -> str:
    name = word.removeprefix("core/").partition(":")[0]
    head = "" if "/" in word else f"Infer repository core for addon {name}\n"
    name = "hostpath-storage" if name == "storage" else name
    if name in node.addons and name in _OWN_WAY:
        return head + _OWN_WAY[name](node)
    removable = {
        "dns": lambda: manifests.dns("", node.minor),
        "hostpath-storage": lambda: manifests.hostpath(node.minor),
    }
    if name in node.addons and name in removable:
        for manifest in removable[name]():
            at = manifest["metadata"]
            node.api.delete(manifest["apiVersion"], manifest["kind"], at["name"], at.get("namespace", ""))
        node.addons.discard(name)
        return f"{head}Disabling {name}\n{name} is disabled\n"
    if name in BUILT_IN:
        raise ToolError(1, f"addon {name} cannot be disabled in the lab\n", head)
    return f"{head}Addon core/{name} is already disabled\n"
