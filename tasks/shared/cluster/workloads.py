"""The Deployments and DaemonSets that a component stands on: waiting for them, and checking them.

Calico is each node's own matter: its DaemonSet also counts nodes that are not Ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import Object, expect, kube
from thinkube_nornir.cluster import (
    condition_true,
    current_pods,
    is_rolled_out,
    namespace_troubles,
    rolled_out,
    seen,
    wait_all,
    workload_troubles,
)
from thinkube_nornir.context import context
from thinkube_nornir.outcome import skipped, unchanged

Workload = tuple[str, str]
"""Kind and name."""

_ROLL_OUT = 600.0  # seconds for one: images are pulled
_CALICO = "k8s-app=calico-node"


def await_rolled_out(task: Task, workloads: Iterable[Workload], namespace: str, *, summary: str) -> Result:
    """Wait for each in turn; `summary` says that all are."""
    api = kube(task)
    for kind, name in workloads:
        if is_rolled_out(api.get("apps/v1", kind, name, namespace)):
            continue
        if context(task).dry_run:
            return skipped(task, f"a dry run does not wait for {kind} {name}")
        rolled_out(api, kind, name, namespace, timeout=_ROLL_OUT)
    return unchanged(task, summary)


def look_into(task: Task, namespace: str) -> Callable[[], str]:
    """Says what the namespace's pods that are not ready have to say, when it is asked."""
    return lambda: namespace_troubles(kube(task), namespace)


def expect_rolled_out(task: Task, workloads: Iterable[Workload], namespace: str, what: str) -> None:
    """
    Raises:
        CheckFailed: `what`, with the names of those that are not.
    """
    api, workloads = kube(task), tuple(workloads)
    found = {name: api.get("apps/v1", kind, name, namespace) for kind, name in workloads}
    wrong = [(kind, name) for kind, name in workloads if not is_rolled_out(found[name])]
    why = "\n".join(
        f"{name}: {seen(found[name])}\n{workload_troubles(api, 'apps/v1', kind, name, namespace)}".rstrip()
        for kind, name in wrong
    )
    fix = f"see why: `kubectl -n {namespace} get pods,events`"
    expect(not wrong, f"{what}: {', '.join(name for _, name in wrong)}", why=why, fix=fix)


def await_pod_network(task: Task, node: str) -> None:
    """Before Calico is ready on it, its pods have no network."""
    wait_all(
        kube(task),
        *("v1", "Pod", "kube-system"),
        label_selector=_CALICO,
        field_selector=f"spec.nodeName={node}",
        condition=lambda pods: bool(_ready(pods)),
        what=f"Calico to be ready on {node}",
        timeout=_ROLL_OUT,
    )


def pod_network_trouble(task: Task, node: str) -> str:
    """Empty when there is none."""
    pods = kube(task).list(
        *("v1", "Pod", "kube-system"), label_selector=_CALICO, field_selector=f"spec.nodeName={node}"
    )
    if _ready(pods):
        return ""
    return "; ".join(seen(pod) for pod in pods) or f"no pod of DaemonSet calico-node is on {node}"


def _ready(pods: list[Object]) -> list[Object]:
    return [pod for pod in current_pods(pods) if condition_true(pod, "Ready")]
