"""containerd of MicroK8s: where its configuration stands, and which runtimes it makes of it.

At each start MicroK8s makes `containerd.toml` of the template. What other files add by `imports` is in neither of the
two: only containerd itself says what it makes of all of them.

Source: canonical/microk8s@1.35 microk8s-resources/wrappers/run-containerd-with-args
Source: canonical/microk8s@1.35 microk8s-resources/default-args/containerd-template.toml
Source: containerd/containerd@v2.1.6 cmd/containerd/command/config.go
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.shared.microk8s.facts import DATA, parse_text
from thinkube_nornir.command import Completed, Fact

TEMPLATE = f"{DATA}/args/containerd-template.toml"
CONFIG = f"{DATA}/args/containerd.toml"
"""Made anew from the template at each start of containerd."""
SOCKET = "/var/snap/microk8s/common/run/containerd.sock"
PROGRAM = "/snap/microk8s/current/bin/containerd"
"""By its path: another containerd may be the first on PATH, and it knows nothing of MicroK8s."""
DROP_IN_FOLDER = f"{DATA}/args/containerd.d"
"""Beside the template: a foreign containerd reads /etc/containerd, and snapd takes this folder to a new revision."""

_DUMP = (PROGRAM, "--config", CONFIG, "config", "dump")


@dataclass(frozen=True)
class Runtimes:
    """What containerd may start containers with."""

    default: str = ""
    binaries: Mapping[str, str] = field(default_factory=dict)
    """Runtime to its BinaryName; empty for the one that its type implies."""
    trouble: str = ""
    """Why nothing is known of them."""


def parse_runtimes(settings: Mapping[str, Any]) -> Runtimes:
    """Of both versions of the configuration: the plugin that has runtimes is called differently."""
    for plugin in settings.get("plugins", {}).values():
        containerd = plugin.get("containerd") if isinstance(plugin, dict) else None
        if isinstance(containerd, dict):
            runtimes = containerd.get("runtimes", {})
            binaries = {name: str(r.get("options", {}).get("BinaryName", "")) for name, r in runtimes.items()}
            return Runtimes(str(containerd.get("default_runtime_name", "")), binaries)
    return Runtimes()


def parse_dump(done: Completed) -> Runtimes:
    if done.status:
        message = done.stderr.decode(errors="backslashreplace").strip().splitlines()
        return Runtimes(trouble=message[-1] if message else f"it ended with status {done.status}")
    try:
        return parse_runtimes(tomllib.loads(done.text))
    except ValueError as error:
        return Runtimes(trouble=str(error))


def will_have(template: str | None, runtime: str) -> str:
    """Why containerd will have lost the runtime after its next start; empty when it will have it."""
    try:
        found = tomllib.loads(template or "")
    except ValueError as error:
        return f"containerd-template.toml cannot be read: {error}"
    names = parse_runtimes(found).binaries
    if runtime in names or f"{DROP_IN_FOLDER}/*.toml" in (found.get("imports") or ()):
        return ""
    return (
        f"containerd-template.toml has no runtime {runtime} (it has {', '.join(names) or 'none'}) and imports none"
        f" from {DROP_IN_FOLDER}"
    )


RUNTIME_TEMPLATE = Fact("containerd's template", ("cat", TEMPLATE), parse_text, root=True, accept=(0, 1))
RUNTIMES = Fact("containerd's effective configuration", _DUMP, parse_dump, root=True, accept=None)
