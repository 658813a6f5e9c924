"""One Traefik: its Deployment, the options it was started with, and where it is reached.

Source: traefik/traefik-helm-chart@v41.3.0 traefik/templates/_podtemplate.tpl
Unproven: that of an option given twice Traefik takes the last one.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.lab.microk8s.rollout import complete
from thinkube_nornir.lab.kube import Cluster, Object
from thinkube_nornir.lab.kube.objects import dig, is_true, labels_of, name_of, namespace_of

LABEL = {"app.kubernetes.io/name": "traefik"}
WORKLOADS = (("apps/v1", "Deployment"), ("apps/v1", "DaemonSet"))
SCHEMES = {"web": "http", "websecure": "https"}
"""The scheme of each entry point; the chart names these."""


@dataclass(frozen=True)
class Instance:
    """A Traefik and the cluster it works in."""

    cluster: Cluster
    workload: Object

    @property
    def namespace(self) -> str:
        return namespace_of(self.workload)

    def option(self, name: str, default: str = "") -> str:
        """The value of an option of the command line; names are the same in upper and lower case."""
        return options(self.workload).get(f"--{name}".lower(), default)

    def has(self, provider: str) -> bool:
        return f"--providers.{provider}" in options(self.workload)

    def provider(self, name: str, default: str = "") -> str:
        return self.option(f"providers.{name}", default)

    def entry_point(self, port: int) -> str:
        """The one that listens at a port; empty when none does."""
        given = options(self.workload)
        addresses = {n: v for n, v in given.items() if n.startswith("--entrypoints.") and n.endswith(".address")}
        found = [n.split(".")[1] for n, v in addresses.items() if v.partition("/")[0].endswith(f":{port}")]
        return found[0] if found else ""

    @property
    def works(self) -> bool:
        return complete(self.workload)


def options(workload: Object) -> dict[str, str]:
    containers = dig(workload, "spec", "template", "spec", "containers", default=[{}])
    pairs = (str(word).partition("=") for word in containers[0].get("args") or [])
    return {name.lower(): value for name, _, value in pairs}


def is_traefik(obj: Object) -> bool:
    return labels_of(obj).items() >= LABEL.items()


def instances(cluster: Cluster) -> list[Instance]:
    """Those that run."""
    found = [obj for kind in WORKLOADS for obj in cluster.list(*kind) if is_traefik(obj)]
    return [instance for instance in (Instance(cluster, obj) for obj in found) if instance.works]


def instance_at(cluster: Cluster, address: str) -> tuple[Object, Instance] | None:
    """The service that has this address, and the Traefik behind it."""
    for service in cluster.list("v1", "Service"):
        if address in [entry["ip"] for entry in dig(service, "status", "loadBalancer", "ingress", default=[])]:
            found = cluster.get("apps/v1", "Deployment", name_of(service), namespace_of(service))
            if found is not None and is_traefik(found):
                return service, Instance(cluster, found)
    return None


def ready_pods(cluster: Cluster, service: Object) -> list[Object]:
    selector = {"matchLabels": service["spec"].get("selector") or {}}
    found = cluster.list("v1", "Pod", namespace_of(service), selector=selector)
    return [pod for pod in found if is_true(pod, "Ready") and not pod["metadata"].get("deletionTimestamp")]
