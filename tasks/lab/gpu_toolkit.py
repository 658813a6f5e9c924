"""NVIDIA's container toolkit on a host of the lab: how it puts its runtimes into containerd's configuration.

Up to 1.17 it rewrites the file that it is given, and takes what to write from the first containerd on PATH; from 1.18
on it writes a file of its own and lets the given one import it. Paths are the host's: the operator mounts folders.

Source: NVIDIA/nvidia-container-toolkit@v1.17.8 tools/container/runtime/containerd/containerd.go
Source: NVIDIA/nvidia-container-toolkit@v1.17.8 pkg/config/engine/containerd/config.go
Source: NVIDIA/nvidia-container-toolkit@v1.18.1 cmd/nvidia-ctk-installer/container/container.go
Source: NVIDIA/nvidia-container-toolkit@v1.18.1 cmd/nvidia-ctk-installer/container/runtime/runtime.go
Source: NVIDIA/nvidia-container-toolkit@v1.18.1 pkg/config/engine/containerd/config_drop_in.go
Source: NVIDIA/gpu-operator@v25.10.1 controllers/object_controls.go
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from tasks.lab import toml
from tasks.lab.microk8s.containerd import NEW_PLUGIN, PLUGIN, UNIT
from tasks.lab.microk8s.services import started
from tasks.lab.state import machine
from thinkube_nornir.lab.emulation import LabHost, pause

FOLDER = "/usr/local/nvidia/toolkit"
MODES = {"nvidia": "", "nvidia-cdi": ".cdi", "nvidia-legacy": ".legacy"}
"""Runtime to the ending of its program."""
VALIDATIONS = "/run/nvidia/validations"
_SOCKETS = {"/var/snap/microk8s/common/run/containerd.sock": UNIT}
_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_FOREIGN = """disabled_plugins = ["cri"]
imports = ["/etc/containerd/config.toml"]
root = "/var/lib/containerd"
state = "/run/containerd"
version = 2
"""
"""What Docker's containerd dumps."""

Settings = dict[str, Any]


async def install(host: LabHost, version: str, env: Mapping[str, str]) -> None:
    """What the container does when it starts.

    Args:
        version: of its image: `v1.17.8-ubuntu20.04`.
    """
    for ending in MODES.values():
        host.files.write(f"{FOLDER}/nvidia-container-runtime{ending}", "#!/bin/sh\n", 0o755)
    write = _write_drop_in if _is_new(version) else _rewrite
    write(host, env)
    host.state["toolkit"] = version, dict(env)
    await _restart(host, env)
    for name in ("driver-ready", "toolkit-ready"):
        host.files.write(f"{VALIDATIONS}/{name}", "")


async def remove(host: LabHost) -> None:
    """What it does when it ends: its runtimes go, its programs and the import of its folder stay."""
    version, env = host.state.pop("toolkit", ("", {}))
    if not version:
        return
    path = _config(env)
    found = _load(host, path)
    for plugin in found.get("plugins", {}).values():
        for name in MODES:
            plugin.get("containerd", {}).get("runtimes", {}).pop(name, None)
    host.files.write(path, toml.dumps(found), 0o660)
    if _is_new(version):
        host.files.remove(_drop_in(env))
    await _restart(host, env)


def _is_new(version: str) -> bool:
    number = re.match(r"v?(\d+)\.(\d+)", version)
    return number is None or (int(number[1]), int(number[2])) >= (1, 18)


def _config(env: Mapping[str, str]) -> str:
    return env.get("CONTAINERD_CONFIG", "/etc/containerd/config.toml")


def _drop_in(env: Mapping[str, str]) -> str:
    return env.get("RUNTIME_DROP_IN_CONFIG", "/etc/containerd/conf.d/99-nvidia.toml")


def _rewrite(host: LabHost, env: Mapping[str, str]) -> None:
    """All of it anew, from what a containerd on the host dumps, or, when there is none, from the file itself."""
    path = _config(env)
    found = _dumped(host, env.get("RUNTIME_EXECUTABLE_PATH", ""))
    found = _load(host, path) if found is None else found
    _add(found, found, env)
    host.files.write(path, toml.dumps(found), 0o660)


def _write_drop_in(host: LabHost, env: Mapping[str, str]) -> None:
    """All of the source's CRI settings, and the runtimes: what is not in it would be lost to an older containerd."""
    source: Settings = {}
    for wanted in env.get("RUNTIME_CONFIG_SOURCE", "command,file").split(","):
        kind, _, path = wanted.partition("=")
        found = _dumped(host, "") if kind == "command" else _load(host, path or _config(env))
        if found is not None:
            source = found
            break
    plugin = _plugin(source)
    added: Settings = {"version": source.get("version", 2)}
    if plugin in source.get("plugins", {}):
        added["plugins"] = {plugin: copy.deepcopy(source["plugins"][plugin])}
    _add(added, source, env)
    added["plugins"][plugin]["enable_cdi"] = True
    host.files.write(_drop_in(env), toml.dumps(added))
    top, pattern = _load(host, _config(env)), f"{_drop_in(env).rpartition('/')[0]}/*.toml"
    if pattern not in top.get("imports", []):
        top["imports"] = [*top.get("imports", []), pattern]
    top.setdefault("version", added["version"])
    host.files.write(_config(env), toml.dumps(top), 0o660)


def _plugin(settings: Settings) -> str:
    return NEW_PLUGIN if settings.get("version", 2) >= 3 else PLUGIN


def _add(to: Settings, source: Settings, env: Mapping[str, str]) -> None:
    """Three runtimes like the source's own one."""
    plugin = _plugin(source)
    have = source.get("plugins", {}).get(plugin, {}).get("containerd", {})
    likes = [name for name in (have.get("default_runtime_name", ""), "runc", "crun") if not name.startswith("nvidia")]
    like = next((have["runtimes"][name] for name in likes if name in have.get("runtimes", {})), None)
    like = like or {"runtime_type": "io.containerd.runc.v2", "privileged_without_host_devices": False}
    containerd = to.setdefault("plugins", {}).setdefault(plugin, {}).setdefault("containerd", {})
    for name, ending in MODES.items():
        options = like.get("options", {}) | {"BinaryName": f"{FOLDER}/nvidia-container-runtime{ending}"}
        containerd.setdefault("runtimes", {})[name] = {**like, "options": options}
    if env.get("CONTAINERD_SET_AS_DEFAULT", "true") == "true":
        containerd["default_runtime_name"] = "nvidia"


def _dumped(host: LabHost, program: str) -> Settings | None:
    """What `chroot /host containerd config dump` prints; None when it cannot be run, or fails."""
    there = any(host.files.exists(f"{folder}/containerd") for folder in _PATH)
    return tomllib.loads(_FOREIGN) if there and program in ("", "containerd") else None


def _load(host: LabHost, path: str) -> Settings:
    """An absent or empty file is an empty configuration."""
    if path == "/dev/null" or not host.files.exists(path):
        return {}
    return tomllib.loads(host.files.read(path).decode())


async def _restart(host: LabHost, env: Mapping[str, str]) -> None:
    """A SIGHUP to whom the socket belongs ends it, and systemd starts it again."""
    unit = machine(host).units.get(_SOCKETS.get(env.get("CONTAINERD_SOCKET", ""), ""))
    if unit is None:
        return
    unit.restarts += 1
    await pause(host.lab, 2.0)
    unit.active = True
    await started(host, "containerd")
