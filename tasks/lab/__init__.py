"""The machines of the lab: what snap, MicroK8s, systemctl and the name servers do there."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.lab import (
    curl,
    gpu_programs,
    gpus,
    network,
    packet_filter,
    ping,
    pods,
    python_image,
    resolver,
    snapd,
    sysctl,
    system,
    systemd,
    ufw,
)
from tasks.lab.initial import prepare
from tasks.lab.microk8s.containerd import containerd
from tasks.lab.microk8s.verbs import microk8s
from tasks.lab.pod_tools import POD_TOOLS
from tasks.lab.snapshots import snapshot
from thinkube_nornir.lab.emulation import Tool

__all__ = ["EMULATED", "INSTALLED", "TOOLS", "prepare", "snapshot"]

_IN_PODS = {**POD_TOOLS, **gpu_programs.POD_TOOLS}

TOOLS: Mapping[str, Tool] = {
    "snap": snapd.snap,
    "microk8s": microk8s,
    "containerd": containerd,
    "systemctl": systemd.systemctl,
    "resolvectl": resolver.resolvectl,
    "getent": resolver.getent,
    "ip": network.ip,
    "ss": network.ss,
    "timedatectl": network.timedatectl,
    "hostname": network.hostname,
    "ping": ping.ping,
    "sysctl": sysctl.sysctl,
    **packet_filter.TOOLS,
    "curl": curl.curl,
    "df": system.df,
    "free": system.free,
    "hostnamectl": system.hostnamectl,
    "ufw": ufw.ufw,
    **gpus.TOOLS,
    **{f"pod-{name}": handler for name, handler in _IN_PODS.items()},
}
INSTALLED: Mapping[str, str] = {
    "/usr/bin/snap": "snap",
    "/usr/bin/systemctl": "systemctl",
    "/usr/bin/resolvectl": "resolvectl",
    "/usr/bin/getent": "getent",
    "/usr/sbin/ip": "ip",
    "/usr/bin/ip": "ip",
    "/usr/bin/ss": "ss",
    "/usr/bin/timedatectl": "timedatectl",
    "/usr/bin/hostname": "hostname",
    "/usr/bin/ping": "ping",
    "/usr/bin/df": "df",
    "/usr/bin/free": "free",
    "/usr/bin/hostnamectl": "hostnamectl",
    "/usr/sbin/ufw": "ufw",
    "/usr/sbin/sysctl": "sysctl",
    **packet_filter.PATHS,
    **gpus.INSTALLED,
    **{f"{pods.BIN}/{name}": f"pod-{name}" for name in _IN_PODS},
}
pods.PROGRAMS.update(python_image.PROGRAMS)
EMULATED: tuple[str, ...] = (
    "snapd",
    "MicroK8s",
    "Kubernetes",
    "CoreDNS",
    "Helm's charts",
    "cert-manager",
    "Let's Encrypt",
    "Cloudflare",
    "MetalLB",
    "Traefik",
    "NVIDIA's GPUs, driver and operator",
    "BIND",
    "systemd",
    "network links",
    "UFW",
    "iptables",
    "sysctl",
    "user accounts",
)
