"""What can be read about MicroK8s on a host: one fact per thing, each a command and a pure parser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from thinkube_nornir.command import Completed, Fact

DATA = "/var/snap/microk8s/current"
COMMAND = "/snap/bin/microk8s"
"""By its full path: /snap/bin is not on every sudo's secure_path."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Status:
    """What `microk8s status` says on a control plane; a worker's exits 0 and says nothing of the kind."""

    running: bool = False
    addons: Mapping[str, bool] = field(default_factory=dict)
    """Name to whether it is enabled."""


def parse_status(done: Completed) -> Status:
    """Read `microk8s status --format yaml`; prose or nothing comes from a MicroK8s that does not run."""
    import yaml  # components are listed without it

    try:
        reported: Any = yaml.safe_load(done.text)
    except yaml.YAMLError:
        return Status()
    if not isinstance(reported, dict) or not isinstance(reported.get("microk8s"), dict):
        return Status()
    addons = {str(a["name"]): a.get("status") == "enabled" for a in reported.get("addons") or ()}
    return Status(running=reported["microk8s"].get("running") is True, addons=addons)


def parse_text(done: Completed) -> str | None:
    """A file as it is; None when it is absent."""
    return done.stdout.decode(errors="surrogateescape") if done.status == 0 else None


def parse_present(done: Completed) -> bool:
    return done.status == 0


def parse_certificate(done: Completed) -> frozenset[Address]:
    """The addresses a PEM certificate is valid for; none when there is no certificate."""
    from cryptography import x509  # components are listed without it

    try:
        names = x509.load_pem_x509_certificate(done.stdout).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (ValueError, x509.ExtensionNotFound):
        return frozenset()
    return frozenset(a for a in names.value.get_values_for_type(x509.IPAddress) if isinstance(a, Address))


def arguments_file(service: str) -> str:
    """`kubelet` -> the file with its arguments, one a line."""
    return f"{DATA}/args/{service}"


STATUS_TIMEOUT = 120.0
"""Seconds: beside the API it asks the datastore ten times for its members, four seconds and a pause each.

Source: canonical/microk8s@1.35 scripts/wrappers/common/utils.py
"""
STATUS = Fact(
    *("microk8s status", (COMMAND, "status", "--format", "yaml"), parse_status),
    root=True,
    accept=None,
    timeout=STATUS_TIMEOUT,
)
CLUSTERED = Fact(
    "worker mark", ("test", "-e", f"{DATA}/var/lock/clustered.lock"), parse_present, root=True, accept=(0, 1)
)
STOPPED_LOCK = f"{DATA}/var/lock/stopped.lock"
STOPPED = Fact("stopped mark", ("test", "-e", STOPPED_LOCK), parse_present, root=True, accept=(0, 1))
"""Left by `microk8s stop`: `enable`, `kubectl` and `leave` refuse, and `status --wait-ready` does not wait and exits 0.

Source: canonical/microk8s@1.35 microk8s-resources/wrappers/microk8s-stop.wrapper
Source: canonical/microk8s@1.35 microk8s-resources/actions/common/utils.sh (exit_if_stopped)
Source: canonical/microk8s@1.35 scripts/wrappers/common/utils.py (exit_if_stopped, ensure_started)
"""
SOCKET_FILE = f"{DATA}/var/kubernetes/backend/kine.sock:12379"
"""The port is part of the name: k8s-dqlite listens on the whole path.

Source: canonical/microk8s@1.35 microk8s-resources/default-args/k8s-dqlite
Source: canonical/microk8s@1.35 scripts/wrappers/dbctl.py
"""
DATASTORE_SOCKET = Fact("dqlite socket", ("test", "-e", SOCKET_FILE), parse_present, root=True, accept=(0, 1))
CERTIFICATE = Fact("API certificate", ("cat", f"{DATA}/certs/server.crt"), parse_certificate, root=True, accept=(0, 1))
CONTROL_PLANES = Fact(
    "API proxy's servers", ("cat", f"{DATA}/args/traefik/provider.yaml"), parse_text, root=True, accept=(0, 1)
)
"""On a worker: where its API proxy finds the control planes."""
KUBELET_TARGET = Fact(
    "target of /var/lib/kubelet", ("readlink", "/var/lib/kubelet"), lambda done: done.text, accept=(0, 1)
)
"""Empty when it is no link."""
ROOT_FOLDER = Fact("folder of MicroK8s", ("test", "-e", "/var/snap/microk8s"), parse_present, accept=(0, 1))


def values_of(text: str, key: str) -> tuple[str, ...]:
    """Every value that an arguments file gives to `key`, in order.

    >>> values_of("--v=1\\n--node-ip=10.0.0.1\\n--node-ip 10.0.0.2\\n", "--node-ip")
    ('10.0.0.1', '10.0.0.2')
    """
    pairs = (_pair(line) for line in text.splitlines())
    return tuple(value for name, value in pairs if name == key)


def _pair(line: str) -> tuple[str, str]:
    words = line.strip().replace("=", " ", 1).split(maxsplit=1)
    return (words[0] if words else "", words[1].strip("\"'") if len(words) > 1 else "")
