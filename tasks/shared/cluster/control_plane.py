"""The cluster as a step sees it: the control plane's host, the Kubernetes API through it, and the step's own node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

from nornir.core.task import Result, Task

from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.hosts.node_facts import HOSTNAME
from tasks.shared.microk8s.distribution import STOPPING_KEY
from tasks.shared.microk8s.facts import STOPPED
from thinkube_nornir.cluster import Cluster, cluster, condition_true
from thinkube_nornir.component import StepFunction
from thinkube_nornir.context import component_of, context, hosts_in, is_managed, on
from thinkube_nornir.errors import CheckFailed, ClusterUnreachable, ConfigError, Problem, Unreachable
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.remote import read, undo

CONTROL_PLANE = "microk8s_control_plane"
WORKERS = "microk8s_workers"
DNS_LABEL = "k8s-app=kube-dns"

Object = dict[str, Any]


def control_plane(task: Task) -> Task:
    """The step, acting on the control plane's host.

    Raises:
        ConfigError: the inventory has none, or several.
    """
    hosts = hosts_in(task, CONTROL_PLANE)
    if len(hosts) != 1:
        names = ", ".join(host.name for host in hosts) or "none"
        raise ConfigError([Problem("inventory", f"group {CONTROL_PLANE} must have one host, and has {names}")])
    return on(task, hosts[0])


def is_control_plane(task: Task) -> bool:
    return bool(task.host.has_parent_group(CONTROL_PLANE))


def kube(task: Task) -> Cluster:
    """The Kubernetes API, reached through the control plane's host.

    Raises:
        ClusterUnreachable: its host does not answer, or Kubernetes is stopped there, as this run has read.
    """
    with naming_control_plane(task) as there:
        if DISTRIBUTION.is_stopped(there):
            why, fix = (
                "its services were stopped, and the API does not answer",
                "start it: `microk8s start`, or a set-up",
            )
            raise ClusterUnreachable(f"Kubernetes is stopped on {there.host.name}", why=why, fix=fix)
        return cluster(task, there.host.name, DISTRIBUTION.kubeconfig)


def clusters(task: Task) -> list[Cluster]:
    """Those that are reached through the step's host, and there by now: a rollback that stopped it was done with it."""
    if not is_control_plane(task) or not DISTRIBUTION.is_installed(task):
        return []
    return [] if is_managed(task, STOPPING_KEY) and read(task, STOPPED) else [kube(task)]


@contextmanager
def naming_control_plane(task: Task) -> Iterator[Task]:
    """Unreachable speaks of the step's own host, so on another one an error of the control plane's names that."""
    there = control_plane(task)
    try:
        yield there
    except Unreachable as error:
        name = there.host.name
        if name == task.host.name:
            raise
        why, fix = "\n".join(filter(None, (error.what, error.why))), f"make {name} reachable, then run again"
        raise ClusterUnreachable(f"the control plane {name} is unreachable", why=why, fix=fix) from error


def where_a_cluster_is(step: StepFunction) -> StepFunction:
    """A rollback's step on what stands in the cluster; without a cluster, what was managed in it is only forgotten."""

    @wraps(step)
    def guarded(task: Task) -> Result:
        if there_is_a_cluster(task):
            return step(task)
        changes = context(task).change_log.changes(host=task.host.name, component=component_of(task))
        gone = [change for change in changes if change.key.startswith(("object:", "helm:", "addon"))]
        forgotten = [undo(task, c.key, f"forget {c.key}: its cluster has gone", root=_on_host(c.key)) for c in gone]
        return (
            all_of(task, *forgotten) if forgotten else unchanged(task, "there is no cluster, and nothing managed in it")
        )

    return guarded


def _on_host(key: str) -> bool:
    """Whether root's records on the host know it, too: objects are in the journal alone."""
    return not key.startswith("object:")


def there_is_a_cluster(task: Task) -> bool:
    with naming_control_plane(task) as there:
        return DISTRIBUTION.is_installed(there)


def own_node(task: Task) -> Object | None:
    """The Node of the step's host, by exact name or host name label; None when it is not registered."""
    name = read(task, HOSTNAME)
    api = kube(task)
    found = api.get("v1", "Node", name)
    if found is None:
        found = next(iter(api.list("v1", "Node", label_selector=f"kubernetes.io/hostname={name}")), None)
    return found


def registered_node(task: Task) -> Object:
    """
    Raises:
        CheckFailed: the API answers, and knows no such node.
    """
    node = own_node(task)
    if node is None:
        why = "the API knows no Node of this name, nor one with it in the label kubernetes.io/hostname"
        fix = f"run the set-up of {task.host.name} again; see `kubectl get nodes` on the control plane"
        raise CheckFailed(f"no node is called {read(task, HOSTNAME)}", why=why, fix=fix)
    return node


def name_of(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def is_ready(node: Object) -> bool:
    """By the condition Ready = True, which text searches confuse with NotReady."""
    return condition_true(node, "Ready")


def unready_because(node: Object) -> str:
    conditions = node.get("status", {}).get("conditions") or ()
    reported = [f"{c.get('reason', '')}: {c.get('message', '')}" for c in conditions if c.get("type") == "Ready"]
    return reported[0] if reported else "it has no condition Ready"


def internal_ip(node: Object) -> str:
    """Empty when the node reports none."""
    addresses = node.get("status", {}).get("addresses") or ()
    return next((str(a["address"]) for a in addresses if a.get("type") == "InternalIP"), "")


def kubelet_version(node: Object) -> str:
    return str(node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", ""))


def not_judged(absent: Mapping[str, str]) -> str:
    """
    >>> not_judged({"tkw1": "unreachable", "tkw2": "left out by -l"})
    '; not judged: tkw1 (unreachable), tkw2 (left out by -l)'
    """
    reported = ", ".join(f"{host} ({why})" for host, why in absent.items())
    return f"; not judged: {reported}" if reported else ""


def expect(holds: object, what: str, *, why: str, fix: str) -> None:
    """
    Raises:
        CheckFailed: `what` is expected and does not hold; `why` says what was seen.
    """
    if not holds:
        raise CheckFailed(what, why=why, fix=fix)
