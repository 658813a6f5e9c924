"""What MicroK8s' services do when they start and stop: load arguments, register the node, take the API down.

A restarted service does not serve at once, and the controllers of a restarted kubelite wait for their own old lease.

Source: canonical/microk8s@1.35 snap/hooks/install
Source: canonical/microk8s@1.35 microk8s-resources/wrappers/run-kubelite-with-args
Source: canonical/microk8s@1.35 microk8s-resources/default-args/kube-controller-manager
Source: canonical/microk8s@1.35 microk8s-resources/default-args/k8s-dqlite
Source: canonical/microk8s@1.35 microk8s-resources/default-args/kube-apiserver
Unproven: how long kubelite and k8s-dqlite take until they serve, and the pod network until a node is Ready.
"""

# The handlers of one table share a signature.

from __future__ import annotations

from ipaddress import ip_address

from tasks.lab import background, ufw
from tasks.lab.microk8s import containerd, resolv_conf
from tasks.lab.microk8s.node import (
    BACKEND,
    DATA,
    LOCKS,
    Node,
    control_of,
    labels,
    node_of,
    read_arguments,
    set_argument,
)
from tasks.lab.state import Unit, machine
from thinkube_nornir.lab.emulation import LabHost, pause
from thinkube_nornir.lab.kube import Fault

PREFIX = "snap.microk8s.daemon-"
ALWAYS = ("kubelite", "containerd", "cluster-agent")
CONTROL_PLANE = (*ALWAYS, "k8s-dqlite", "apiserver-kicker")
WORKER = (*ALWAYS, "apiserver-proxy")
KEPT_BY_JOIN = ("containerd", "cluster-agent")
"""A join restarts the other services, and does not start these.

Source: canonical/microk8s@1.35 scripts/wrappers/join.py (mark_worker_node)
"""
OFF = ("etcd", "flanneld")
ALL = (*CONTROL_PLANE, "apiserver-proxy", *OFF)
ARGUMENT_FILES = {
    "kubelite": ("kubelet", "kube-apiserver", "kube-proxy", "kube-controller-manager"),
    "k8s-dqlite": ("k8s-dqlite",),
}
SOCKET = f"{BACKEND}/kine.sock:12379"
STARTING = {"kubelite": 10.0, "k8s-dqlite": 5.0}
"""Seconds until it serves."""
LEASE = 60.0
"""Seconds of --leader-elect-lease-duration, for which nobody else leads."""
IMAGES = 30.0
"""Seconds until Calico's images are there and a new node is Ready."""


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
    """Arguments take effect only now, and the service serves some time later."""
    node = node_of(host)
    if node is None:
        return
    if service not in (WORKER if node.worker else CONTROL_PLANE):
        machine(host).units[PREFIX + service].active = False  # its script sees the locks and ends
    if service == "kubelite":
        host.files.remove(f"{LOCKS}/stopped.lock")
        _find_resolv_conf(host)
        ufw.microk8s_starts(host)
    for name in ARGUMENT_FILES.get(service, ()):
        node.loaded[name] = read_arguments(host, name)
    if service == "containerd":
        containerd.load(host)
    if service == "kubelite" and not _acceptable(node):
        machine(host).units[PREFIX + service].active = False
    if service in STARTING:
        number = node.starts[service] = node.starting[service] = node.starts.get(service, 0) + 1
        background.begin(host, _serve(node, service, number))
    reconcile(node)


def _find_resolv_conf(host: LabHost) -> None:
    """Its start script gives kubelet one when it has none."""
    if "--resolv-conf" not in read_arguments(host, "kubelet") and (path := resolv_conf.find(host)):
        set_argument(host, "kubelet", "--resolv-conf", path)


async def _serve(node: Node, service: str, number: int) -> None:
    leads = service == "kubelite" and not node.worker
    if leads and node.has_led:
        node.api.pause_controllers()
    await pause(node.host.lab, STARTING[service])
    if node.starting.get(service) != number:
        return  # it was started again meanwhile
    del node.starting[service]
    reconcile(node)
    if leads:
        await _lead(node, number)


async def _lead(node: Node, number: int) -> None:
    if node.has_led:
        await pause(node.host.lab, LEASE)
    if node.starts["kubelite"] == number and node.runs("kubelite"):
        node.has_led = True
        node.api.resume_controllers()


async def stopped(host: LabHost, service: str) -> None:
    node = node_of(host)
    if node is not None:
        node.starting.pop(service, None)
        reconcile(node)


def _acceptable(node: Node) -> bool:
    """Whether kubelite starts with these arguments; it ends on an address that is none."""
    wanted = (node.loaded["kube-apiserver"].get("--advertise-address"), node.loaded["kubelet"].get("--node-ip"))
    try:
        return all(ip_address(w) is not None for w in wanted if w is not None)
    except ValueError:
        return False


def datastore_reachable(node: Node) -> bool:
    """The API server finds its datastore where k8s-dqlite listens: the whole path after unix://, port and all."""
    listen = _path(node.loaded.get("k8s-dqlite", {}).get("--listen", ""))
    wanted = _path(node.loaded.get("kube-apiserver", {}).get("--etcd-servers", ""))
    return serves(node, "k8s-dqlite") and listen == wanted == f"unix://{SOCKET}"


def _path(argument: str) -> str:
    return argument.replace("${SNAP_DATA}", DATA)


def serves(node: Node, service: str) -> bool:
    return node.runs(service) and service not in node.starting


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
        if serves(node, "kubelite"):
            register(node)
    elif control.api.get("v1", "Node", node.name) is not None:
        control.api.set_node_ready(node.name, False, reason or "NodeStatusUnknown")


def _api(node: Node) -> None:
    answers = serves(node, "kubelite") and datastore_reachable(node)
    if answers and node.down is not None:
        node.api.faults.remove(node.down)
        node.down = None
    elif not answers and node.down is None:
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
    known = control.api.get("v1", "Node", node.name) is not None
    node.network = node.network and known
    control.api.add_node(node.name, address=node.address(), labels=labels(node), version=node.version)
    if not node.network:
        control.api.set_node_ready(node.name, False, "KubeletNotReady")
    if not known:
        background.begin(node.host, _become_ready(node, control))


async def _become_ready(node: Node, control: Node) -> None:
    """Once Calico is in the cluster, and its images are on the node."""
    while control.api.get("apps/v1", "DaemonSet", "calico-node", "kube-system") is None:
        await pause(node.host.lab, IMAGES / 10)
        if control_of(node) is not control:
            return
    await pause(node.host.lab, IMAGES)
    if control_of(node) is control and control.api.get("v1", "Node", node.name) is not None:
        node.network = True
        reconcile(node)
