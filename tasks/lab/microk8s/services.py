"""What MicroK8s' services do when they start and stop: load arguments, register the node, take the API down."""

# ruff: noqa: ARG001
# The handlers of one table share a signature.

from __future__ import annotations

from ipaddress import ip_address

from tasks.lab import ufw
from tasks.lab.microk8s import containerd
from tasks.lab.microk8s.node import BACKEND, DATA, Node, control_of, labels, node_of, read_arguments
from tasks.lab.state import Unit, machine
from thinkube_nornir.lab.emulation import LabHost
from thinkube_nornir.lab.kube import Fault

PREFIX = "snap.microk8s.daemon-"
ALWAYS = ("kubelite", "containerd", "cluster-agent")
CONTROL_PLANE = (*ALWAYS, "k8s-dqlite", "apiserver-kicker")
WORKER = (*ALWAYS, "apiserver-proxy")
OFF = ("etcd", "flanneld")
ALL = (*CONTROL_PLANE, "apiserver-proxy", *OFF)
ARGUMENT_FILES = {
    "kubelite": ("kubelet", "kube-apiserver", "kube-proxy", "kube-controller-manager"),
    "k8s-dqlite": ("k8s-dqlite",),
}
SOCKET = f"{BACKEND}/kine.sock:12379"


def add_units(host: LabHost) -> None:
    for name in ALL:
        on = name in CONTROL_PLANE
        machine(host).units[PREFIX + name] = Unit(
            PREFIX + name, on, on, description=f"Service for snap application {name}"
        )


def set_running(host: LabHost, services: tuple[str, ...]) -> None:
    """A control plane's services are not a worker's."""
    for name in ALL:
        unit = machine(host).units[PREFIX + name]
        unit.active = unit.enabled = name in services


def remove_units(host: LabHost) -> None:
    for name in ALL:
        machine(host).units.pop(PREFIX + name, None)


async def started(host: LabHost, service: str) -> None:
    """Arguments take effect only now."""
    node = node_of(host)
    if node is None:
        return
    for name in ARGUMENT_FILES.get(service, ()):
        node.loaded[name] = read_arguments(host, name)
    if service == "containerd":
        containerd.load(host)
    if service == "kubelite" and (node.launch_error or not _acceptable(node)):
        machine(host).units[PREFIX + service].active = False
    if service == "kubelite":
        ufw.microk8s_starts(host)
    reconcile(node)


async def stopped(host: LabHost, service: str) -> None:
    node = node_of(host)
    if node is not None:
        reconcile(node)


def _acceptable(node: Node) -> bool:
    """Whether kubelite starts with these arguments; it ends on an address that is none."""
    wanted = (node.loaded["kube-apiserver"].get("--advertise-address"), node.loaded["kubelet"].get("--node-ip"))
    try:
        return all(ip_address(w) is not None for w in wanted if w is not None)
    except ValueError:
        return False


def datastore_reachable(node: Node) -> bool:
    """The API server finds its datastore where k8s-dqlite listens: the whole path after unix://, port and all.

    Source: canonical/microk8s@1.35 microk8s-resources/default-args/k8s-dqlite
    Source: canonical/microk8s@1.35 microk8s-resources/default-args/kube-apiserver
    """
    listen = _path(node.loaded.get("k8s-dqlite", {}).get("--listen", ""))
    wanted = _path(node.loaded.get("kube-apiserver", {}).get("--etcd-servers", ""))
    return node.runs("k8s-dqlite") and listen == wanted == f"unix://{SOCKET}"


def _path(argument: str) -> str:
    return argument.replace("${SNAP_DATA}", DATA)


def reconcile(node: Node) -> None:
    """Bring API and node registration to what the services now are."""
    if not node.worker:
        _api(node)
    control = control_of(node)
    if control is None or control.down is not None:
        return
    up = node.runs("kubelite") and node.runs("containerd")
    reason = node.unregistered_reason()
    if up and not reason:
        register(node)
    elif control.api.get("v1", "Node", node.name) is not None:
        control.api.set_node_ready(node.name, False, reason or "NodeStatusUnknown")


def _api(node: Node) -> None:
    serves = node.runs("kubelite") and datastore_reachable(node)
    if serves and node.down is not None:
        node.api.faults.remove(node.down)
        node.down = None
    elif not serves and node.down is None:
        node.down = Fault(status=-1, times=None)
        node.api.faults.append(node.down)
    if datastore_reachable(node):
        node.host.files.write(SOCKET, "")
    else:
        node.host.files.remove(SOCKET)


def register(node: Node) -> None:
    """The kubelet's registration: name, address and labels from its arguments; a known node keeps its objects."""
    control = control_of(node)
    if control is None:
        return
    address = node.address()
    known = control.api.get("v1", "Node", node.name)
    if known is not None and any(a["address"] == address for a in known["status"]["addresses"]):
        control.api.set_node_ready(node.name, True)
        return
    control.api.add_node(node.name, address=address, labels=labels(node), version=node.version)
