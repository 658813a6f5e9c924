"""What installing, refreshing and removing the snap does to a host and to its cluster."""

from __future__ import annotations

from typing import Any

import yaml

from tasks.lab.accounts import add_group
from tasks.lab.microk8s import addons, certificates, containerd, manifests, services
from tasks.lab.microk8s.node import (
    AGENT_PORT,
    API_PORT,
    BACKEND,
    COMMON,
    DATA,
    DNS_ADDRESS,
    DQLITE_PORT,
    LOCKS,
    TOKENS,
    Node,
    arguments_file,
    control_of,
    node_of,
    set_argument,
)
from tasks.lab.network import POD_LINK
from tasks.lab.pods import runtime, stop
from tasks.lab.state import Link, machine
from tasks.lab.system import KERNEL_LOG
from tasks.lab.tool import ToolError
from thinkube_nornir.lab.emulation import LabHost
from thinkube_nornir.lab.kube import KubeApi

LAUNCH = "/etc/microk8s.yaml"
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
EXTRA = {
    "extraKubeletArgs": "kubelet",
    "extraKubeAPIServerArgs": "kube-apiserver",
    "extraKubeProxyArgs": "kube-proxy",
    "extraKubeControllerManagerArgs": "kube-controller-manager",
}
DEFAULT_LAUNCH = {
    "version": "0.1.0",
    "addons": [{"name": "dns"}],
    "extraKubeletArgs": {"--cluster-domain": "cluster.local", "--cluster-dns": DNS_ADDRESS},
}
KUBELET = """--kubeconfig=${SNAP_DATA}/credentials/kubelet.config
--cert-dir=${SNAP_DATA}/certs
--client-ca-file=${SNAP_DATA}/certs/ca.crt
--anonymous-auth=false
--root-dir=${SNAP_COMMON}/var/lib/kubelet
--fail-swap-on=false
--eviction-hard="memory.available<100Mi,nodefs.available<1Gi,imagefs.available<1Gi"
--container-runtime-endpoint=${SNAP_COMMON}/run/containerd.sock
--node-labels="microk8s.io/cluster=true,node.kubernetes.io/microk8s-controlplane=microk8s-controlplane"
--authentication-token-webhook=true
--read-only-port=0
--serialize-image-pulls=false
"""
API_SERVER = """--cert-dir=${SNAP_DATA}/certs
--service-cluster-ip-range=10.152.183.0/24
--authorization-mode=AlwaysAllow
--service-account-key-file=${SNAP_DATA}/certs/serviceaccount.key
--client-ca-file=${SNAP_DATA}/certs/ca.crt
--tls-cert-file=${SNAP_DATA}/certs/server.crt
--tls-private-key-file=${SNAP_DATA}/certs/server.key
--secure-port=16443
--etcd-servers="unix://${SNAP_DATA}/var/kubernetes/backend/kine.sock:12379"
--allow-privileged=true
--service-account-issuer='https://kubernetes.default.svc'
--event-ttl=5m
--profiling=false
"""
DEFAULT_ARGUMENTS = {
    "kubelet": KUBELET,
    "kube-apiserver": API_SERVER,
    "kube-proxy": "--kubeconfig=${SNAP_DATA}/credentials/proxy.config\n--cluster-cidr=10.1.0.0/16\n"
    "--healthz-bind-address=127.0.0.1\n",
    "kube-controller-manager": "--kubeconfig=${SNAP_DATA}/credentials/controller.config\n"
    "--use-service-account-credentials\n",
    "kube-scheduler": "--kubeconfig=${SNAP_DATA}/credentials/scheduler.config\n",
    "k8s-dqlite": "--storage-dir=${SNAP_DATA}/var/kubernetes/backend/\n"
    "--listen=unix://${SNAP_DATA}/var/kubernetes/backend/kine.sock:12379\n",
    "cluster-agent": "--bind=0.0.0.0:25000\n"
    "--keyfile=${SNAP_DATA}/certs/server.key\n--certfile=${SNAP_DATA}/certs/server.crt\n",
    "containerd": "--config ${SNAP_DATA}/args/containerd.toml\n--root ${SNAP_COMMON}/var/lib/containerd\n",
    "containerd-env": "ulimit -n 65536 || true\nulimit -l 16834 || true\n",
    "containerd-template.toml": containerd.TEMPLATE,
    "containerd.toml": "",
    "apiserver-proxy": "--refresh-interval=30s\n--traefik-config=${SNAP_DATA}/args/traefik/provider.yaml\n",
}


class LaunchError(Exception):
    """The launch configuration cannot be read; the snap is installed and its node does not come up."""


async def install(host: LabHost, version: str) -> None:
    """The snap's install hook and first start, with /etc/microk8s.yaml instead of the defaults when it is there."""
    _must_have_a_kernel_log(host)
    add_group(host, "microk8s")
    try:
        launch, mistake = launch_configuration(host), ""
    except LaunchError as error:
        launch, mistake = {}, str(error)
    make = host.lab.state.get("kube_api", KubeApi)
    api = make(
        version=version, runtime=runtime(host.lab), stop=stop(host.lab), key_usage=certificates.has_key_usage(version)
    )
    await api.start()
    now = machine(host)
    now.node = node = Node(host, version, api, now.hostname.lower(), host, api, launch_error=mistake)
    _write_files(node)
    for setting, service in EXTRA.items():
        for key, value in (launch.get(setting) or {}).items():
            set_argument(host, service, str(key), None if value is None else str(value))
    certificates.create(host, [str(s) for s in launch.get("extraSANs") or ()], version)
    services.add_units(host)
    _open_ports(node)
    await come_up(node)
    for addon in launch.get("addons") or ():
        if not addon.get("disable") and node.down is None:
            await addons.enable(node, [":".join([str(addon["name"]), *map(str, addon.get("args") or ())])])
    await services.started(host, "kubelite")


def _must_have_a_kernel_log(host: LabHost) -> None:
    """The install hook's own check; it is made in LXC's containers only, and elsewhere the kubelet would not start.

    Source: canonical/microk8s@1.35 snap/hooks/install
    """
    if not host.files.exists(KERNEL_LOG):
        told = "ERROR: the lxc profile for MicroK8s might be missing."
        tasks = f'- Run install hook of "microk8s" snap if present (run hook "install": \n-----\n{told}\n-----)'
        raise ToolError(1, f"error: cannot perform the following tasks:\n{tasks}\n")


async def come_up(node: Node) -> None:
    """Start as a control plane of its own and apply what every cluster has."""
    services.set_running(node.host, services.CONTROL_PLANE)
    containerd.load(node.host)
    await services.started(node.host, "k8s-dqlite")
    await services.started(node.host, "kubelite")
    if node.down is None:
        for manifest in (manifests.kubernetes_service(), *manifests.calico(node.minor)):
            node.api.apply(manifest)
        machine(node.host).links[POD_LINK] = Link(POD_LINK, [f"10.1.{_number(node.host)}.0/32"], "vxlan")


def launch_configuration(host: LabHost) -> dict[str, Any]:
    """Raises LaunchError: not YAML, not of version 0.1.0, or of the wrong shape."""
    if not host.files.exists(LAUNCH):
        return DEFAULT_LAUNCH
    try:
        found = yaml.safe_load(host.files.read(LAUNCH))
    except yaml.YAMLError as error:
        raise LaunchError(f"failed to parse {LAUNCH}: {error}") from None
    if not isinstance(found, dict) or str(found.get("version")) != "0.1.0":
        raise LaunchError(f"failed to parse {LAUNCH}: unknown or missing version, expected 0.1.0")
    known = {"version", "addons", "extraSANs", *EXTRA, "addonRepositories", "extraCNIEnv", "extraContainerdArgs"}
    if strange := set(found) - known:
        raise LaunchError(f"failed to parse {LAUNCH}: field {min(map(str, strange))} not found")
    maps = (found.get(key) or {} for key in EXTRA)
    listed = found.get("addons") or []
    names = isinstance(listed, list) and all(isinstance(a, dict) and a.get("name") in addons.ADDONS for a in listed)
    if not all(isinstance(m, dict) for m in maps) or not names or not isinstance(found.get("extraSANs") or [], list):
        raise LaunchError(f"failed to parse {LAUNCH}: cannot unmarshal a field of the wrong type, or an unknown addon")
    return found


async def refresh(host: LabHost, version: str) -> None:
    """A new revision: services restart and the node reports the new version; the addons' manifests come again."""
    node = node_of(host)
    control = control_of(node) if node is not None else None
    if node is None or control is None:
        return
    node.version = version
    if control.api.get("v1", "Node", node.name) is not None:
        control.api.remove_node(node.name)
    await services.started(host, "kubelite")
    if not node.worker and "dns" in node.addons and node.down is None:
        await addons.enable_dns(node, "")


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
    reset_arguments(host, tuple(DEFAULT_ARGUMENTS))
    host.files.write(f"{DATA}/args/certs.d/docker.io/hosts.toml", 'server = "https://registry-1.docker.io"\n')
    host.files.write(f"{DATA}/args/cni-network/cni.yaml", cni(manifests.calico(node.minor)))
    host.files.write(f"{DATA}/credentials/client.config", kubeconfig(node), 0o660)
    host.files.write(TOKENS, "", 0o660)
    host.files.write(f"{LOCKS}/ha-cluster", "")
    host.files.write(f"{LOCKS}/no-apiserver-proxy", "")
    write_datastore(host, f"127.0.0.1:{DQLITE_PORT}")
    for path in (f"{COMMON}/default-storage", f"{COMMON}/var/lib/kubelet", f"{COMMON}/var/lib/containerd"):
        host.files.mkdir(path)
    host.files.write(f"{COMMON}/run/containerd.sock", "")


def cni(objects: list[dict[str, Any]]) -> str:
    return yaml.safe_dump_all(objects, sort_keys=False)


def reset_arguments(host: LabHost, names: tuple[str, ...]) -> None:
    for name in names:
        host.files.write(arguments_file(name), DEFAULT_ARGUMENTS[name], 0o660)


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
