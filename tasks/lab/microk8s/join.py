"""microk8s join: what the joiner asks, what the control plane's agent answers, and what becomes of a worker.

Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-join.wrapper
Source: canonical/microk8s@1.35 scripts/wrappers/join.py
Source: canonical/microk8s@1.35 scripts/wrappers/common/cluster/utils.py
Unproven: what a kubelet does that is newer than the API server; here it registers.
"""

from __future__ import annotations

import ipaddress

import yaml

from tasks.lab import snap_changes, ufw
from tasks.lab.microk8s import certificates, install, manifests, services, tokens
from tasks.lab.microk8s.node import (
    AGENT_PORT,
    BACKEND,
    COMMON,
    DATA,
    DQLITE_PORT,
    LOCKS,
    Node,
    arguments_file,
    node_of,
    set_argument,
)
from tasks.lab.microk8s.tokens import SHORTEST_TOKEN
from tasks.lab.network import route_to
from tasks.lab.state import addresses, host_at
from tasks.lab.system import sudo_ignores_environment
from tasks.lab.tool import ToolError, parse
from thinkube_nornir.lab.emulation import LabHost, pause

SHORTEST_FINGERPRINT = 12
PROVIDER = f"{DATA}/args/traefik/provider.yaml"
STILL_STARTING = 60.0
"""Seconds that snapd still starts services after a join or a leave has returned."""
FIRST_WITH_SUDO_RS = (1, 35)
"""The first MicroK8s that names the variables which its scripts keep through sudo; others say `sudo -E`."""
JOINS, AGENT_ANSWERS = 65.0, 5.0
"""Seconds; measured 69 to 77 for both."""
WORKER_LABELS = "microk8s.io/cluster=true,node.kubernetes.io/microk8s-worker=microk8s-worker"


async def join(node: Node, argv: list[str]) -> str:
    shown = HOSTPATH if node.host.files.exists(f"{COMMON}/default-storage") else ""
    sudo_keeps_the_environment(node, "None/var/lock/join-in-progress", shown)
    given = parse(
        argv,
        flags=("--worker", "--skip-verify", "--controlplane", "--disable-low-memory-guard"),
        unknown=lambda option: ToolError(2, f"{_USAGE}Error: No such option: {option}\n"),
    )
    if len(given.words) != 1:
        raise ToolError(2, f"{_USAGE}Error: Missing argument 'CONNECTION'.\n")
    address, port, token, check = _parts(given.words[0], shown)
    if "--worker" not in given.flags:
        raise ToolError(1, "the lab joins workers only: use --worker\n")
    node.host.files.write(f"{LOCKS}/join-in-progress", "")
    shown += f"Contacting cluster at {address}\n"
    control = _contact(node, address, port, shown)
    if check and "--skip-verify" not in given.flags and not certificates.fingerprint(control.host).startswith(check):
        message = f"Joining cluster failed. Could not verify the identity of {address}."
        raise ToolError(4, "", f"{shown}{message} Use '--skip-verify' to skip server certificate check.\n")
    await _admitted(node, control, address, token, shown)
    await _become_worker(node, control, address)
    node.host.files.remove(f"{LOCKS}/join-in-progress")
    return shown + _JOINED


HOSTPATH = "WARNING: Hostpath storage is enabled and is not suitable for multi node clusters.\n\n"
_USAGE = "Usage: microk8s join [OPTIONS] CONNECTION\nTry 'microk8s join -h' for help.\n\n"
_JOINED = (
    "\nThe node has joined the cluster and will appear in the nodes list in a few seconds.\n\n"
    "This worker node gets automatically configured with the API server endpoints.\n"
    "If the API servers are behind a loadbalancer please set the '--refresh-interval' to '0s' in:\n"
    f"    {DATA}/args/apiserver-proxy\n"
    f"and replace the API server endpoints with the one provided by the loadbalancer in:\n    {PROVIDER}\n\n"
    "Successfully joined the cluster.\n"
)


def sudo_keeps_the_environment(node: Node, path: str, shown: str) -> None:
    """Until 1.34 the scripts call `sudo -E`, which sudo-rs ignores: their folders are called None then.

    Source: canonical/microk8s@1.34 microk8s-resources/actions/common/utils.sh
    Source: canonical/microk8s@1.35 microk8s-resources/actions/common/utils.sh

    Raises:
        ToolError: the script's traceback.
    """
    if node.minor < FIRST_WITH_SUDO_RS and sudo_ignores_environment(node.host):
        message = f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'\n"
        raise ToolError(1, f"Traceback (most recent call last):\n{message}", shown)


def _parts(connection: str, shown: str) -> tuple[str, str, str, str]:
    """Address, port, token and fingerprint; a name is no address."""
    parts = connection.split("/")
    if len(parts) not in (2, 3):
        raise _invalid(shown, "Expected format: <master_IP>:<master_PORT>/<token>[/<fingerprint>]")
    address, _, port = parts[0].partition(":")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise _invalid(shown, "Invalid master IP") from None
    if not port.isdigit():
        raise _invalid(shown, "Master PORT not a number")
    if len(parts[1]) < SHORTEST_TOKEN:
        raise _invalid(shown, f"Cluster token size should be at least {SHORTEST_TOKEN} bytes")
    if len(parts) == 3 and len(parts[2]) < SHORTEST_FINGERPRINT:
        raise _invalid(shown, f"Fingerprint should be at least {SHORTEST_FINGERPRINT} bytes")
    return address, port, parts[1], parts[2] if len(parts) == 3 else ""


def _invalid(shown: str, why: str) -> ToolError:
    return ToolError(1, "", f"{shown}Invalid connection: {why}\n")


def _contact(node: Node, address: str, port: str, shown: str) -> Node:
    """The control plane whose agent answers at this address and port."""
    host = host_at(node.host.lab, address)
    source = str(route_to(node.host, address)["prefsrc"])
    if host is not None and ufw.keeps_out(host, source, int(port), "tcp"):
        late = "Traceback (most recent call last):\nTimeoutError: [Errno 110] Connection timed out\n"
        raise ToolError(1, late, shown)
    control = node_of(host) if host is not None else None
    if control is None or control.worker or not control.runs("cluster-agent") or port != str(AGENT_PORT):
        refused = "Traceback (most recent call last):\nConnectionRefusedError: [Errno 111] Connection refused\n"
        raise ToolError(1, refused, shown)
    return control


async def _admitted(node: Node, control: Node, address: str, token: str, shown: str) -> None:
    """The agent's answer, in its order.

    Source: canonical/microk8s-cluster-agent@1.34 pkg/api/v2/join.go
    Source: canonical/microk8s-cluster-agent@1.34 pkg/snap/util/dqlite.go
    Source: canonical/microk8s-cluster-agent@1.34 pkg/snap/util/calico.go
    Unproven: that the API is away when the agent of the first join lists the control planes; here it always is.
    """
    if not tokens.consume(control.host, token):
        raise _refused(shown, "invalid token", 500)
    if address in addresses(node.host):
        raise _refused(shown, f"the joining node has the same IP ({address}) as the node we contact", 503)
    if await _binds_datastore(control):
        await services.started(control.host, "k8s-dqlite")
    _point_calico_at(control, str(route_to(node.host, address)["prefsrc"]))
    control.host.files.write(f"{LOCKS}/no-cert-reissue", "")
    if control.down is not None:
        listing = 'failed to list nodes: Get "https://127.0.0.1:16443/api/v1/nodes": connect: connection refused'
        raise _refused(shown, f"failed to retrieve list of control plane nodes: {listing}", 500)


def _refused(shown: str, error: str, status: int) -> ToolError:
    return ToolError(6, "", f"{shown}Connection failed. {error} ({status}).\n")


async def _binds_datastore(control: Node) -> bool:
    """The first join binds dqlite to the LAN; whether it has to restart for that."""
    if "127.0.0.1" not in control.host.files.read(f"{BACKEND}/cluster.yaml").decode():
        return False
    await pause(control.host.lab, AGENT_ANSWERS)
    install.write_datastore(control.host, f"{control.address()}:{DQLITE_PORT}")
    return True


async def _become_worker(node: Node, control: Node, address: str) -> None:
    host = node.host
    snapctl_accepted(host)
    source = str(route_to(host, address)["prefsrc"])
    given = control.host.files.read(arguments_file("kubelet"))
    await pause(host.lab, JOINS)
    host.files.write(arguments_file("kubelet"), given, 0o660)
    if b"--node-ip" in given:
        set_argument(host, "kubelet", "--node-ip", source)
    set_argument(host, "kubelet", "--hostname-override", None)
    set_argument(host, "kubelet", "--client-ca-file", "${SNAP_DATA}/certs/ca.remote.crt")
    set_argument(host, "kubelet", "--node-labels", WORKER_LABELS)
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
    stay = tuple(name for name in services.KEPT_BY_JOIN if not node.runs(name))
    services.set_running(host, tuple(name for name in services.WORKER if name not in stay))
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
        message = str(error.reply.stderr).replace("error: ", "error: error running snapctl: ")
        raise ToolError(1, f"{message}Traceback (most recent call last):\nsubprocess.CalledProcessError\n") from None


def _point_calico_at(control: Node, joiner: str) -> None:
    """The first join lets Calico find its addresses by the way to the joiner."""
    objects = manifests.calico(control.minor)
    objects[0]["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = f"can-reach={joiner}"
    path = f"{DATA}/args/cni-network/cni.yaml"
    if b"can-reach" in control.host.files.read(path):
        return
    control.api.apply(objects[0])
    control.host.files.write(path, install.cni(objects))
