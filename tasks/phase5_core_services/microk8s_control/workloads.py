"""The addons that the inventory wants, and the workloads in kube-system that come with them and with MicroK8s."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import name_of, registered_node
from tasks.shared.cluster.workloads import Workload, await_pod_network, await_rolled_out, scaled_up
from tasks.shared.microk8s.distribution import is_installed
from thinkube_nornir.context import context, setting
from thinkube_nornir.outcome import unchanged

NAMESPACE = "kube-system"
STORAGE = "hostpath-storage"
COREDNS: Workload = ("Deployment", "coredns")
"""It only has to be there: phase5.coredns checks and repairs it, which would never start if this waited for it."""


def addons(task: Task) -> list[str]:
    return [*setting(task, "microk8s_addons")]


def workloads(task: Task) -> list[Workload]:
    storage = [("Deployment", "hostpath-provisioner")] if STORAGE in addons(task) else []
    return [("Deployment", "calico-kube-controllers"), *storage]


def scale_up_workloads(task: Task) -> Result:
    """Before addons are looked at: MicroK8s takes dns for one that is off when CoreDNS has no pod."""
    if not is_installed(task):
        return unchanged(task, "they come with the installation")
    return scaled_up(task, [*workloads(task), COREDNS], NAMESPACE)


def await_workloads(task: Task) -> Result:
    awaited = workloads(task)
    summary = f"{', '.join(name for _, name in awaited)} are rolled out, and Calico is ready here"
    result = await_rolled_out(task, awaited, NAMESPACE, summary=summary)
    if not context(task).dry_run:
        await_pod_network(task, name_of(registered_node(task)))
    return result
