"""The addons that MicroK8s' core repository lists, and by what `microk8s status` takes one for enabled.

It looks for the check in what `kubectl get` lists, or for a file: so cert-manager or the GPU operator that somebody
installed by Helm is an enabled addon, too, and dns is none while its pod is not there.

Source: canonical/microk8s-core-addons@1.32 addons.yaml
Source: canonical/microk8s-core-addons@1.33 addons.yaml
Source: canonical/microk8s-core-addons@1.34 addons.yaml
Source: canonical/microk8s-core-addons@1.35 addons.yaml
Source: canonical/microk8s@1.35 scripts/wrappers/common/utils.py
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.lab.microk8s.node import COMMON, DATA, Node

REPOSITORY = "core"
_DEPRECATED = " (DEPRECATED). This addon is deprecated and will be completely removed in the upcoming versions"
_PLACES = {"${SNAP_DATA}": DATA, "${SNAP_COMMON}": COMMON}
_PROGRAMS = "${SNAP}/"
"""The snap's own files are always there."""
_ALL = (
    ("v1", "Pod"),
    ("v1", "Service"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
)
_CLASSES = ("networking.k8s.io/v1", "IngressClass")
_ROLES = ("rbac.authorization.k8s.io/v1", "ClusterRole")


@dataclass(frozen=True)
class Addon:
    name: str
    description: str
    version: str
    check: str


_LIST = (  # name, description, check, version in 1.32, 1.33, 1.34 and 1.35, or the one of all
    (
        "cert-manager",
        "Cloud native certificate management",
        "deployment.apps/cert-manager",
        ("1.8.0", "1.17.1", "1.18.2", "1.19.1"),
    ),
    ("cis-hardening", "Apply CIS K8s hardening", "${SNAP_DATA}/var/lock/cis-hardening", ("1.0.0",)),
    ("community", "The community addons repository", "${SNAP_COMMON}/addons/community/addons.yaml", ("",)),
    ("dashboard", "The Kubernetes dashboard", "pod/kubernetes-dashboard", ("2.6.0", "7.11.1", "7.13.0", "7.14.0")),
    ("dns", "CoreDNS", "pod/coredns", ("1.10.1", "1.12.1", "1.12.3", "1.13.1")),
    ("gpu", "Alias to nvidia add-on", "operator-node-feature-discovery", ("22.9.1", "25.3.0", "25.3.2", "25.10.0")),
    ("ha-cluster", "Configure high availability on the current node", "${SNAP_DATA}/var/lock/ha-cluster", ("0.1.0",)),
    ("helm", "Helm - the package manager for Kubernetes", "${SNAP}/bin/helm", ("3.9.1", "3.9.1", "3.18.6", "3.18.6")),
    (
        "helm3",
        "Helm 3 - the package manager for Kubernetes",
        "${SNAP}/bin/helm",
        ("3.9.1", "3.9.1", "3.18.6", "3.18.6"),
    ),
    (
        "host-access",
        "Allow Pods connecting to Host services smoothly",
        "${SNAP_DATA}/var/lock/host-access-enabled",
        ("1.0.0",),
    ),
    (
        "hostpath-storage",
        "Storage class; allocates storage from host directory",
        "deployment.apps/hostpath-provisioner",
        ("1.4.2", "1.4.2", "1.5.0", "1.5.0"),
    ),
    (
        "ingress",
        "Ingress controller for external access",
        "pod/nginx-ingress-microk8s-controller",
        ("1.8.0", "1.12.1", "1.13.1", "3.6.2"),
    ),
    (
        "kube-ovn",
        "An advanced network fabric for Kubernetes",
        "deployment.apps/kube-ovn-controller",
        ("1.10.0-alpha1", "1.13.8", "1.13.8", "1.13.8"),
    ),
    ("mayastor", "OpenEBS MayaStor", "daemonset.apps/mayastor", ("2.0.0-microk8s-1",)),
    ("metallb", "Loadbalancer for your Kubernetes cluster", "pod/speaker", ("0.13.3", "0.14.9", "0.15.2", "0.15.2")),
    (
        "metrics-server",
        "K8s Metrics Server for API access to service metrics",
        "pod/metrics-server",
        ("0.6.3", "0.7.2", "0.8.0", "0.8.0"),
    ),
    ("minio", "MinIO object storage", "deployment.apps/minio-operator", ("4.5.1", "v6.0.4", "v6.0.4", "v7.1.1")),
    (
        "nvidia",
        "NVIDIA hardware (GPU and network) support",
        "operator-node-feature-discovery",
        (
            "gpu=22.9.1/network=23.7.0/microk8s-1",
            "gpu=25.3.0/network=25.1.0/microk8s-1",
            "gpu=25.3.2/network=25.1.0/microk8s-1",
            "gpu=25.10.0/network=25.7.0/microk8s-1",
        ),
    ),
    (
        "observability",
        "A lightweight observability stack for logs, traces and metrics",
        "statefulset.apps/prometheus-kube-prom-stack-kube-prome-prometheus",
        ("0.57.0", "0.70.4", "76.4.1", "77.6.2"),
    ),
    ("prometheus", "Prometheus operator for monitoring and logging", "pod/prometheus-k8s-0", ("v0.8.0",)),
    (
        "rbac",
        "Role-Based Access Control for authorisation",
        "clusterrole.rbac.authorization.k8s.io/cluster-admin",
        ("",),
    ),
    (
        "registry",
        "Private image registry exposed on localhost:32000",
        "deployment.apps/registry",
        ("2.8.1", "2.8.3", "2.8.3", "2.8.3"),
    ),
    (
        "rook-ceph",
        "Distributed Ceph storage using Rook",
        "deployment.apps/rook-ceph-operator",
        ("1.11.9", "1.16.6", "1.18.0", "1.18.7"),
    ),
    (
        "storage",
        "Alias to hostpath-storage add-on, deprecated",
        "deployment.apps/hostpath-provisioner",
        ("1.4.0", "1.4.0", "1.5.0", "1.5.0"),
    ),
)


def addons(minor: tuple[int, int]) -> list[Addon]:
    return [_of(minor, *line) for line in _LIST]


def _of(minor: tuple[int, int], name: str, description: str, check: str, versions: tuple[str, ...]) -> Addon:
    version = versions[min(max(minor[1] - 32, 0), len(versions) - 1)]
    if minor >= (1, 35):
        check = "ingressclass.networking.k8s.io/public" if name == "ingress" else check
        description += _DEPRECATED if name == "minio" else ""
    return Addon(name, description, version, check)


def enabled(node: Node) -> set[str]:
    """Names; asks the API as it is, so it must answer."""
    rows = list(_rows(node))
    return {addon.name for addon in addons(node.minor) if _is_on(node, addon.check, rows)}


def _is_on(node: Node, check: str, rows: list[str]) -> bool:
    if not check.startswith("$"):
        return any(check in row for row in rows)
    for name, path in _PLACES.items():
        check = check.replace(name, path)
    return check.startswith(_PROGRAMS) or node.host.files.exists(check)


def _rows(node: Node) -> Iterator[str]:
    """`kind.group/name`, as kubectl lists several kinds."""
    kinds = (*_ALL, _ROLES, *((_CLASSES,) if node.minor >= (1, 35) else ()))
    for version, kind in kinds:
        group = version.rpartition("/")[0]
        prefix = f"{kind.lower()}.{group}" if group else kind.lower()
        yield from (f"{prefix}/{obj['metadata']['name']}" for obj in node.api.list(version, kind))
