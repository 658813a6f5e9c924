"""What installing, refreshing and removing the snap does to a host and to its cluster."""

from __future__ import annotations

from typing import Any

import yaml

from tasks.lab import background
from tasks.lab.accounts import add_group
from tasks.lab.microk8s import arguments, certificates, containerd, launcher, manifests, services
from tasks.lab.microk8s.node import (
    AGENT_PORT,
    API_PORT,
    BACKEND,
    COMMON,
    DATA,
    DQLITE_PORT,
    LOCKS,
    TOKENS,
    Node,
    arguments_file,
    control_of,
    node_of,
)
from tasks.lab.network import POD_LINK
from tasks.lab.pods import runtime, stop
from tasks.lab.state import Link, machine
from tasks.lab.system import KERNEL_LOG
from thinkube_nornir.lab.emulation import LabHost, pause
from thinkube_nornir.lab.kube import KubeApi

CNI_LOADED = f"{LOCKS}/cni-loaded"
KICKS = 5.0
"""Seconds between two rounds of the kicker."""
CONTAINERD_ENV = "PATH=$PATH:$KATA_PATH\nulimit -n 65536 || true\nulimit -l 16384 || true\n"
COMMANDS = (
    "kubectl",
    "helm",
    "helm3",
    "status",
    "enable",
    "disable",
    "config",
    "start",
    "stop",
    "add-node",
    "join",
    "leave",
    "remove-node",
    "refresh-certs",
)


async def install(host: LabHost, version: str) -> None:
    """The snap's install hook; its services, the pod network and the addons come up after it has returned.

    Raises:
        ToolError: the launch configuration cannot be parsed; nothing is installed.
    """
    _must_have_a_kernel_log(host)
    text, parts = launcher.read(host)
    add_group(host, "microk8s")
    key_usage = certificates.has_key_usage(version)
    api = KubeApi(version=version, runtime=runtime(host.lab), stop=stop(host.lab), key_usage=key_usage)
    await api.start()
    now = machine(host)
    now.node = node = Node(host, version, api, now.hostname.lower(), host, api)
    _write_files(node)
    host.files.write(launcher.PENDING, text, 0o600)
    launcher.apply_arguments(host, parts)
    certificates.create(host, launcher.names(parts), version)
    services.add_units(host)
    _open_ports(node)
    await come_up(node)
    background.begin(host, launcher.agent(node))


def _must_have_a_kernel_log(host: LabHost) -> None:
    """The install hook's own check; it is made in LXC's containers only, and elsewhere the kubelet would not start.

    Source: canonical/microk8s@1.35 snap/hooks/install
    """
    if not host.files.exists(KERNEL_LOG):
        raise launcher.hook_failed("ERROR: the lxc profile for MicroK8s might be missing.")


async def come_up(node: Node) -> None:
    """Start as a control plane of its own; the kicker applies what every cluster has once the API answers."""
    services.set_running(node.host, services.CONTROL_PLANE)
    containerd.load(node.host)
    await services.started(node.host, "k8s-dqlite")
    await services.started(node.host, "kubelite")
    background.begin(node.host, _kicker(node))


async def _kicker(node: Node) -> None:
    """Runs its hooks every five seconds, of which one applies Calico until that has worked once.

    Source: canonical/microk8s@1.35 microk8s-resources/wrappers/apiservice-kicker
    Source: canonical/microk8s@1.35 microk8s-resources/default-hooks/reconcile.d/90-calico-apply
    """
    while node_of(node.host) is node and not node.worker and not node.host.files.exists(CNI_LOADED):
        await pause(node.host.lab, KICKS)
        if node_of(node.host) is node and node.down is None and node.runs("apiserver-kicker"):
            for manifest in (manifests.kubernetes_service(), *manifests.calico(node.minor)):
                node.api.apply(manifest)
            machine(node.host).links[POD_LINK] = Link(POD_LINK, [f"10.1.{_number(node.host)}.0/32"], "vxlan")
            node.host.files.write(CNI_LOADED, "")


async def refresh(host: LabHost, version: str) -> None:
    """A new revision: services restart, and the node reports the new version; addons are as they were.

    Source: canonical/microk8s@1.35 snap/hooks/configure
    """
    node = node_of(host)
    if node is not None:
        node.version = version
        await services.started(host, "kubelite")


async def remove(host: LabHost) -> None:
    """Files, services and its own API go; a cluster it had joined and did not leave keeps its node as NotReady.

    The group microk8s and Calico's link stay, as they do on a real host.
    """
    node = node_of(host)
    if node is None:
        return
    control = control_of(node)
    if node.worker and control is not None and control.api.get("v1", "Node", node.name) is not None:
        control.api.set_node_ready(node.name, False, "NodeStatusUnknown")
    background.end(host)
    _close_ports(node)
    services.remove_units(host)
    machine(host).node = None
    for path in ("/var/snap/microk8s", "/snap/microk8s", "/snap/bin/microk8s", *_command_paths()):
        host.files.remove(path)
    await node.api.stop()


def _command_paths() -> list[str]:
    return [f"/snap/bin/microk8s.{name}" for name in COMMANDS]


def _write_files(node: Node) -> None:
    host = node.host
    for path in ("/snap/bin/microk8s", *_command_paths()):
        host.install(path, "microk8s", stdin=path.endswith(("kubectl", "helm", "helm3")))
    arguments.reset(host, node.minor, tuple(arguments.defaults(node.minor)))
    host.files.write(arguments_file("containerd-template.toml"), containerd.TEMPLATE, 0o660)
    host.files.write(arguments_file("containerd-env"), CONTAINERD_ENV, 0o660)
    host.files.write(f"{DATA}/args/certs.d/docker.io/hosts.toml", 'server = "https://registry-1.docker.io"\n')
    host.files.write(f"{DATA}/args/cni-network/cni.yaml", cni(manifests.calico(node.minor)))
    host.files.write(f"{DATA}/credentials/client.config", kubeconfig(node), 0o660)
    host.files.write(TOKENS, "", 0o660)
    for lock in ("ha-cluster", "lite.lock", "installed.lock", "no-etcd", "no-flanneld", "no-apiserver-proxy"):
        host.files.write(f"{LOCKS}/{lock}", "")
    write_datastore(host, f"127.0.0.1:{DQLITE_PORT}")
    for path in (f"{COMMON}/var/lib/kubelet", f"{COMMON}/var/lib/containerd"):
        host.files.mkdir(path)
    host.files.write(f"{COMMON}/run/containerd.sock", "")


def cni(objects: list[dict[str, Any]]) -> str:
    return yaml.safe_dump_all(objects, sort_keys=False)


def write_datastore(host: LabHost, address: str) -> None:
    host.files.write(f"{BACKEND}/info.yaml", f"Address: {address}\nID: 3297041220608546238\nRole: 0\n")
    host.files.write(f"{BACKEND}/cluster.yaml", f"- Address: {address}\n  ID: 3297041220608546238\n  Role: 0\n")


def kubeconfig(node: Node, address: str = "127.0.0.1") -> str:
    return node.api.kubeconfig(f"https://{address}:{API_PORT}")


def _open_ports(node: Node) -> None:
    lab, here = node.host.lab, ("127.0.0.1", node.api.port)
    lab.ports[(node.host.name, "127.0.0.1", API_PORT)] = here
    for name in lab.hosts:
        for port in (API_PORT, AGENT_PORT):
            lab.ports[(name, str(node.host.settings.get("lan_ip")), port)] = here


def _close_ports(node: Node) -> None:
    own, address = node.host.name, str(node.host.settings.get("lan_ip"))
    for key in list(node.host.lab.ports):
        if key[2] in (API_PORT, AGENT_PORT) and (key[1] == address or key[:2] == (own, "127.0.0.1")):
            del node.host.lab.ports[key]


def use_control_plane(node: Node, control: Node | None) -> None:
    """The API proxy on 127.0.0.1:16443 of a worker leads to its control plane; None leads back to its own API."""
    node.host.lab.ports[(node.host.name, "127.0.0.1", API_PORT)] = ("127.0.0.1", (control or node).api.port)


def _number(host: LabHost) -> int:
    return 10 + sorted(host.lab.hosts).index(host.name)
