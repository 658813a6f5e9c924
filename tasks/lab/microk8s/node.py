"""One host's MicroK8s: where its files are, the arguments its services run with, what it belongs to."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from tasks.lab.state import addresses, machine
from thinkube_nornir.lab.emulation import Lab, LabHost
from thinkube_nornir.lab.kube import Fault, KubeApi, Object

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME = 63  # of the label kubernetes.io/hostname
DATA = "/var/snap/microk8s/current"
COMMON = "/var/snap/microk8s/common"
LOCKS = f"{DATA}/var/lock"
BACKEND = f"{DATA}/var/kubernetes/backend"
CLUSTERED = f"{LOCKS}/clustered.lock"
TOKENS = f"{DATA}/credentials/cluster-tokens.txt"
API_PORT, AGENT_PORT, DQLITE_PORT = 16443, 25000, 19001
DNS_ADDRESS = "10.152.183.10"


@dataclass
class Node:
    host: LabHost
    version: str
    """The version of Kubernetes, `v1.32.9`."""
    api: KubeApi
    """This host's own; a joined worker uses its control plane's instead."""
    name: str
    control: LabHost
    """The host whose API it is registered at: itself until it joins."""
    cluster: KubeApi
    """That API; a control plane that was installed anew has another one."""
    loaded: dict[str, dict[str, str]] = field(default_factory=dict)
    """Arguments by service as read at that service's last start."""
    down: Fault | None = None
    """Set while the API server does not answer."""
    starting: dict[str, int] = field(default_factory=dict)
    """Services that were started and do not serve yet, with the number of that start."""
    starts: dict[str, int] = field(default_factory=dict)
    """How often each service was started."""
    network: bool = False
    """Whether the pod network is set up on this node: before that it is not Ready."""
    has_led: bool = False
    """Whether its controllers held the lease: after a restart they wait for the old one to end."""

    @property
    def worker(self) -> bool:
        return self.control is not self.host

    @property
    def minor(self) -> tuple[int, int]:
        major, minor = self.version.removeprefix("v").split(".")[:2]
        return int(major), int(minor)

    def runs(self, service: str) -> bool:
        unit = machine(self.host).units.get(f"snap.microk8s.daemon-{service}")
        return unit is not None and unit.active

    def listening(self) -> list[tuple[str, int]]:
        found = []
        if self.runs("kubelite"):
            found += [("127.0.0.1", 10248), ("*", 10250), ("127.0.0.1", 10249)]
            found += [("127.0.0.1", API_PORT)] if self.worker else [("*", API_PORT), ("*", 10257), ("*", 10259)]
        found += [("*", AGENT_PORT)] if self.runs("cluster-agent") else []
        return found + ([("127.0.0.1", DQLITE_PORT)] if self.runs("k8s-dqlite") and not self.worker else [])

    def unregistered_reason(self) -> str:
        """Why the kubelet cannot be a Ready node with its loaded arguments; empty when it can."""
        arguments = self.loaded.get("kubelet", {})
        wanted = arguments.get("--node-ip", "")
        if wanted and wanted not in addresses(self.host):
            return f'node IP: "{wanted}" not found in the host\'s network interfaces'
        if not _NAME.fullmatch(self.name) or len(self.name) > _LONGEST_NAME:
            return f'Node "{self.name}" is invalid: metadata.name: Invalid value, or labels: must be no more than 63'
        return ""

    def address(self) -> str:
        return self.loaded.get("kubelet", {}).get("--node-ip") or str(self.host.settings.get("lan_ip", "127.0.0.1"))


def node_of(host: LabHost) -> Node | None:
    found = machine(host).node
    return found if isinstance(found, Node) else None


def control_of(node: Node) -> Node | None:
    """The control plane's node; None when MicroK8s was removed there since."""
    found = node_of(node.control)
    return found if found is not None and found.api is node.cluster else None


def nodes(lab: Lab) -> list[Node]:
    return [n for n in map(node_of, lab.hosts.values()) if n is not None]


def arguments_file(service: str) -> str:
    return f"{DATA}/args/{service}"


def read_arguments(host: LabHost, service: str) -> dict[str, str]:
    """`--key=value` or `--key value`, one a line; the last one of a key counts, as for the program itself."""
    path = arguments_file(service)
    text = host.files.read(path).decode(errors="replace") if host.files.exists(path) else ""
    pairs = (line.strip().replace("=", " ", 1).partition(" ") for line in text.splitlines() if line.startswith("-"))
    return {key: _unquoted(value.strip()) for key, _, value in pairs}


def _unquoted(value: str) -> str:
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return value


def set_argument(host: LabHost, service: str, key: str, value: str | None) -> None:
    """Replace every line of this key, or remove them for None."""
    path = arguments_file(service)
    text = host.files.read(path).decode() if host.files.exists(path) else ""
    kept = [x for x in text.splitlines() if x.replace("=", " ", 1).split(" ")[0] != key]
    kept += [] if value is None else [f"{key}={value}"]
    host.files.write(path, "\n".join(kept) + "\n", 0o660)


def labels(node: Node) -> dict[str, str]:
    text = node.loaded.get("kubelet", {}).get("--node-labels", "")
    return dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)


def alive(node: Node) -> bool:
    """Whether the API this node uses answers."""
    control = control_of(node)
    return control is not None and control.down is None and control.runs("kubelite")


def ready(node: Node) -> bool:
    """What `microk8s status` calls running: the API answers, and any node is Ready.

    Source: canonical/microk8s@1.35 scripts/wrappers/common/utils.py
    """
    return alive(node) and any(_is_ready(found) for found in node.api.list("v1", "Node"))


def _is_ready(found: Object) -> bool:
    conditions = found.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
