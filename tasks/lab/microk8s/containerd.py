"""containerd of the lab's MicroK8s: what its start script makes of the template, and what it makes of its files.

Source: canonical/microk8s@1.35 microk8s-resources/wrappers/run-containerd-with-args
Source: canonical/microk8s@1.35 microk8s-resources/default-args/containerd-template.toml
Source: canonical/microk8s@1.32 build-scripts/components/containerd/version.sh
Source: canonical/microk8s@1.35 build-scripts/components/containerd/version.sh
Source: containerd/containerd@v1.7.29 services/server/config/config.go
Source: containerd/containerd@v2.1.6 cmd/containerd/server/config/config.go
Source: containerd/containerd@v2.1.6 cmd/containerd/command/config.go
Source: containerd/containerd@v2.1.6 plugins/cri/runtime/plugin.go
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, cast

from tasks.lab import toml
from tasks.lab.channels import release
from tasks.lab.state import machine
from tasks.lab.tool import ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, LabHost, Reply

DATA = "/var/snap/microk8s/current"
TEMPLATE_FILE = f"{DATA}/args/containerd-template.toml"
CONFIG_FILE = f"{DATA}/args/containerd.toml"
PROGRAM = "/snap/microk8s/current/bin/containerd"
PLUGIN, NEW_PLUGIN = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"
"""Before and from version 3 of the configuration."""
UNIT = "snap.microk8s.daemon-containerd"
TEMPLATE = """# Use config version 2 to enable new configuration fields.
version = 2
oom_score = 0

[grpc]
  uid = 0
  gid = 0
  max_recv_message_size = 16777216
  max_send_message_size = 16777216

[debug]
  address = ""
  uid = 0
  gid = 0

[metrics]
  address = "127.0.0.1:1338"
  grpc_histogram = false

[cgroup]
  path = ""

[plugins."io.containerd.grpc.v1.cri"]

  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  enable_selinux = false
  sandbox_image = "registry.k8s.io/pause:3.10"
  stats_collect_period = 10
  enable_tls_streaming = false
  max_container_log_line_size = 16384

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${SNAPSHOTTER}"
    no_pivot = false
    default_runtime_name = "${RUNTIME}"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "${RUNTIME_TYPE}"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia-container-runtime]
      runtime_type = "${RUNTIME_TYPE}"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia-container-runtime.options]
        BinaryName = "nvidia-container-runtime"

   [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]
      runtime_type = "io.containerd.kata.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata.options]
        BinaryName = "kata-runtime"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${SNAP_DATA}/opt/cni/bin"
    conf_dir = "${SNAP_DATA}/args/cni-network"

  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "${SNAP_DATA}/args/certs.d"
"""
_OLD, _NEW = "1.7.29", "2.1.6"

Settings = dict[str, Any]


class ConfigError(Exception):
    """containerd does not start with these files."""


def version(host: LabHost) -> str:
    """The version of containerd that comes with this MicroK8s."""
    node = machine(host).node
    return _NEW if node is None or node.minor >= (1, 35) else _OLD


def load(host: LabHost) -> None:
    """Its start: containerd.toml is made anew from the template, and read with what it imports."""
    if not host.files.exists(TEMPLATE_FILE):
        return
    host.install(PROGRAM, "containerd")
    text = host.files.read(TEMPLATE_FILE).decode()
    for name, value in _variables(host).items():
        text = text.replace(name, value)
    host.files.write(CONFIG_FILE, text, 0o660)
    try:
        host.state["containerd"] = effective(host)
    except ConfigError:
        host.state["containerd"] = None
        if UNIT in machine(host).units:
            machine(host).units[UNIT].active = False


def _variables(host: LabHost) -> dict[str, str]:
    """Longer names first, as no sed expression there is a part of another one."""
    node = machine(host).node
    revision = release("microk8s", f"1.{node.minor[1]}/stable")[1] if node else "current"
    return {
        "${SNAPSHOTTER}": "overlayfs",
        "${RUNTIME_TYPE}": "io.containerd.runc.v2",
        "${RUNTIME}": "runc",
        "${SNAP_DATA}": f"/var/snap/microk8s/{revision}",
        "${SNAP}": f"/snap/microk8s/{revision}",
    }


def effective(host: LabHost, path: str = CONFIG_FILE) -> Settings:
    """All files in one, in the form of this containerd's own version of the configuration.

    1.7 takes a plugin's settings from the last file that has any; from 2.1 on they are merged.

    Raises:
        ConfigError: a file cannot be read, or says what this containerd refuses.
    """
    merged: Settings = {"plugins": {}, "disabled_plugins": []}
    pending, seen = [path], set()
    while pending:
        file = pending.pop(0)
        if file in seen:
            continue
        seen.add(file)
        found = _read(host, file)
        plugins = found.pop("plugins", {})
        disabled = merged["disabled_plugins"] + found.pop("disabled_plugins", [])
        pending += _imports(host, file, found.pop("imports", []))
        merged |= {name: value for name, value in found.items() if value} | {"disabled_plugins": disabled}
        merged["plugins"] = _together(merged["plugins"], plugins, deep=version(host) == _NEW)
    return _accepted(host, merged)


def _read(host: LabHost, path: str) -> Settings:
    try:
        return tomllib.loads(host.files.read(path).decode())
    except FileNotFoundError:
        raise ConfigError(f"open {path}: no such file or directory") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"failed to load TOML: {path}: {error}") from None


def _imports(host: LabHost, parent: str, patterns: list[str]) -> list[str]:
    """A pattern that fits no file is none; a file that is named must be there."""
    found = []
    for pattern in patterns:
        folder, _, name = str(PurePosixPath(parent).parent / pattern).rpartition("/")
        names = fnmatch.filter(host.files.list(folder), name) if "*" in name else [name]
        found += [f"{folder}/{each}" for each in names]
    return found


def _together(to: Settings, added: Settings, *, deep: bool) -> Settings:
    result = dict(to)
    for name, value in added.items():
        both = deep and isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = _together(result[name], value, deep=True) if both else value
    return result


def _accepted(host: LabHost, merged: Settings) -> Settings:
    number, newest = int(merged.get("version", 1)), 3 if version(host) == _NEW else 2
    if number > newest:
        raise ConfigError(f"expected containerd config version equal to or less than `{newest}`, got `{number}`")
    if wrong := [name for name in merged["disabled_plugins"] if "." not in name]:
        raise ConfigError(f'invalid disabled plugin URI "{wrong[0]}" expect io.containerd.x.vx')
    if newest == 3 and number < 3 and PLUGIN in merged["plugins"]:
        plugins = dict(merged["plugins"])
        old = plugins.pop(PLUGIN)
        merged["plugins"] = plugins | {NEW_PLUGIN: _together(old, plugins.get(NEW_PLUGIN, {}), deep=True)}
    return merged | {"version": newest}


def settings(host: LabHost) -> Mapping[str, Any]:
    """Its part about runtimes, as read at its last start; empty when it did not start."""
    running = cast("Settings | None", host.state.get("containerd")) or {}
    plugin = running.get("plugins", {}).get(NEW_PLUGIN if version(host) == _NEW else PLUGIN, {})
    return cast("Mapping[str, Any]", plugin.get("containerd", {}))


def refusal(host: LabHost, handler: str) -> str:
    """Why no container starts with this handler (empty: the default one); empty when it does."""
    if "containerd" not in host.state:
        load(host)
    if host.state.get("containerd") is None:
        return "containerd is not running" if host.files.exists(TEMPLATE_FILE) else ""
    containerd = settings(host)
    name = handler or str(containerd.get("default_runtime_name", "runc"))
    runtimes = containerd.get("runtimes", {})
    if name not in runtimes:
        return f'failed to get sandbox runtime: no runtime for "{name}" is configured'
    binary = str(runtimes[name].get("options", {}).get("BinaryName", ""))
    if binary and not host.files.exists(binary):
        return f"failed to create shim task: OCI runtime create failed: exec: {binary}: no such file or directory"
    return ""


@tool
async def containerd(call: Call) -> Reply:
    """`containerd --config FILE config dump`."""
    given = parse(
        call.argv[1:],
        values=("--config", "-c"),
        unknown=lambda option: ToolError(1, f"flag provided but not defined: {option}\n"),
    )
    if given.words != ["config", "dump"]:
        raise ToolError(1, "containerd: only `config dump` is in the lab\n")
    path = given.value("--config") or given.value("-c") or "/etc/containerd/config.toml"
    try:
        return Reply(0, toml.dumps(effective(call.host, path)))
    except ConfigError as error:
        raise ToolError(1, f"containerd: {error}\n") from None
