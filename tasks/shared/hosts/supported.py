"""What this version is made for: operating systems, MicroK8s, snapd, and what a node must have.

docs/requirements.md says the same to people, and a test compares the two.
"""

from __future__ import annotations

UBUNTU = ("22.04", "24.04", "25.10", "26.04")
MICROK8S = ("1.32", "1.33", "1.34", "1.35")

SNAPD = (2, 58)
"""Refreshes are held since this one.

Source: canonical/snapd@2.58 cmd/snap/cmd_snap_op.go
"""

FIRST_WITH_SUDO_RS = (1, 35)
"""Before it, MicroK8s keeps its environment by `sudo -E`, which sudo-rs ignores: a join dies for want of $SNAP_DATA.

Source: canonical/microk8s@1.34 microk8s-resources/actions/common/utils.sh
Source: canonical/microk8s@1.35 microk8s-resources/actions/common/utils.sh
Source: trifectatechfoundation/sudo-rs@v0.2.14 src/sudo/cli/mod.rs
"""

NODE_DISK = "20GB"
"""Free where MicroK8s keeps images and volumes, before it is installed."""
CONTROL_PLANE_MEMORY = "2GB"
WORKER_MEMORY = "1GB"
"""With 512 MiB or less MicroK8s' own guard starts no services at all.

Source: canonical/microk8s@1.35 snap/hooks/install
"""

CONTROL_PLANE_PORTS = {16443: "API", 25000: "cluster agent"}
NODE_PORTS = {10250: "kubelet"}
OWN_PORTS = {19001: "dqlite", 10257: "controllers", 10259: "scheduler"}
"""TCP. The first two kinds must be open to the other nodes; nobody else needs the last ones."""
OVERLAY_PORT = 4789
"""UDP: pods of different nodes, by VXLAN."""

POD_NETWORK = "10.1.0.0/16"
SERVICE_NETWORK = "10.152.183.0/24"
CLUSTER_DNS = "10.152.183.10"
"""MicroK8s' own choices; its addon dns insists on the last one.

Source: canonical/microk8s@1.35 microk8s-resources/default-args/kube-apiserver
Source: canonical/microk8s@1.35 microk8s-resources/default-args/kube-proxy
"""

REGISTRIES = ("registry-1.docker.io", "registry.k8s.io")
"""Where the images of MicroK8s itself and of its addons dns and hostpath-storage come from.

Source: canonical/microk8s@1.35 upgrade-scripts/000-switch-to-calico/resources/calico.yaml
Source: canonical/microk8s-core-addons@1.35 addons/dns/coredns.yaml
Source: canonical/microk8s-core-addons@1.35 addons/hostpath-storage/storage.yaml
Source: canonical/microk8s@1.35 microk8s-resources/default-args/containerd-template.toml
"""
