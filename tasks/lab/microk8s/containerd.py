"""containerd of the lab's MicroK8s: its template, what it made of that at its last start, and which runtimes it has."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from tasks.lab.state import machine
from thinkube_nornir.lab.emulation import LabHost

DATA = "/var/snap/microk8s/current"
TEMPLATE_FILE = f"{DATA}/args/containerd-template.toml"
CONFIG_FILE = f"{DATA}/args/containerd.toml"
PLUGIN = "io.containerd.grpc.v1.cri"
UNIT = "snap.microk8s.daemon-containerd"
TEMPLATE = f"""# Use config version 2 to enable new configuration fields.
version = 2
oom_score = 0

[grpc]
  uid = 0
  gid = 0

[plugins."{PLUGIN}"]
  sandbox_image = "registry.k8s.io/pause:3.10"

  # 'containerd' is the container runtime's own configuration.
  [plugins."{PLUGIN}".containerd]
    snapshotter = "${{SNAPSHOTTER}}"
    default_runtime_name = "${{RUNTIME}}"

    [plugins."{PLUGIN}".containerd.runtimes.runc]
      runtime_type = "${{RUNTIME_TYPE}}"

    [plugins."{PLUGIN}".containerd.runtimes.kata]
      runtime_type = "io.containerd.kata.v2"

  [plugins."{PLUGIN}".registry]
    config_path = "${{SNAP_DATA}}/args/certs.d"
"""
_NAMES = {
    "${SNAPSHOTTER}": "overlayfs",
    "${RUNTIME}": "runc",
    "${RUNTIME_TYPE}": "io.containerd.runc.v2",
    "${SNAP_DATA}": DATA,
}


def load(host: LabHost) -> None:
    """What its start script does: containerd.toml anew from the template."""
    if not host.files.exists(TEMPLATE_FILE):
        return
    text = host.files.read(TEMPLATE_FILE).decode()
    for name, value in _NAMES.items():
        text = text.replace(name, value)
    host.files.write(CONFIG_FILE, text, 0o660)


def restart(host: LabHost) -> None:
    """As a signal through its socket would."""
    unit = machine(host).units[UNIT]
    unit.restarts += 1
    load(host)


def settings(host: LabHost, path: str = CONFIG_FILE) -> Mapping[str, Any]:
    """Its part of a configuration; empty when that cannot be read."""
    try:
        found = tomllib.loads(host.files.read(path).decode())
    except (FileNotFoundError, tomllib.TOMLDecodeError):
        return {}
    containerd: Mapping[str, Any] = found.get("plugins", {}).get(PLUGIN, {}).get("containerd", {})
    return containerd


def refusal(host: LabHost, handler: str) -> str:
    """Why no container starts with this handler (empty: the default one); empty when it does."""
    containerd = settings(host)
    name = handler or str(containerd.get("default_runtime_name", "runc"))
    runtimes = containerd.get("runtimes", {})
    if name not in runtimes and (containerd or handler):
        return f'failed to get sandbox runtime: no runtime for "{name}" is configured'
    binary = str(runtimes.get(name, {}).get("options", {}).get("BinaryName", ""))
    if binary and not host.files.exists(binary):
        return f"failed to create shim task: OCI runtime create failed: exec: {binary}: no such file or directory"
    return ""


def add_runtime(host: LabHost, path: str, name: str, binary: str, *, default: bool) -> None:
    """As NVIDIA's toolkit writes it: at the end, and the default's name replaced."""
    text = host.files.read(path).decode() if host.files.exists(path) else "version = 2\n"
    table = f'[plugins."{PLUGIN}".containerd.runtimes.{name}]'
    if table not in text:
        text += f'\n{table}\n  runtime_type = "io.containerd.runc.v2"\n'
        text += f'{table[:-1]}.options]\n  BinaryName = "{binary}"\n'
    if default:
        text = text.replace('default_runtime_name = "${RUNTIME}"', f'default_runtime_name = "{name}"')
    host.files.write(path, text, 0o660)
