"""The Deployments and DaemonSets that a component stands on: waiting for them, and checking them.

Calico is each node's own matter: its DaemonSet also counts nodes that are not Ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import Object, expect, kube, name_of
from thinkube_nornir.cluster import (
    apply,
    condition_true,
    current_pods,
    is_rolled_out,
    namespace_troubles,
    rolled_out,
    seen,
    troubles,
    wait,
    wait_all,
    workload_troubles,
)
from thinkube_nornir.cluster.scaling import is_scaled_to_none, scale_up
from thinkube_nornir.context import context
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import all_of, skipped, unchanged
from thinkube_nornir.remote.exchange import facts_forgotten

Workload = tuple[str, str]
"""Kind and name."""

Place = tuple[str, str, str, str]
"""API version, kind, name and namespace of an object."""

_VERSION = "thinkube-nornir/config-version"
_LATELY = timedelta(minutes=5)  # as long as the pause between two attempts to start a failing container may get
_ROLL_OUT = 600.0  # seconds for one: images are pulled
_FIRST_POD = 60.0  # seconds, until the controller has made it
_PODS = ("v1", "Pod", "kube-system")
_CALICO = "k8s-app=calico-node"


def scaled_up(task: Task, workloads: Iterable[Workload], namespace: str) -> Result:
    """Have pods of each that is there and was scaled to none; they need not be ready yet."""
    api, results = kube(task), []
    for kind, name in workloads:
        if is_scaled_to_none(api.get("apps/v1", kind, name, namespace)):
            with facts_forgotten(task):
                results.append(scale_up(api, kind, name, namespace))
                _await_a_pod(task, kind, name, namespace)
    return all_of(task, *results) if results else unchanged(task, "nothing was scaled to 0 replicas")


def _await_a_pod(task: Task, kind: str, name: str, namespace: str) -> None:
    if context(task).dry_run:
        return
    wait(
        *(kube(task), "apps/v1", kind, name, namespace),
        condition=lambda found: bool(found and (found.get("status") or {}).get("replicas")),
        what=f"the first pod of {kind} {name}",
        timeout=_FIRST_POD,
    )


def await_rolled_out(task: Task, workloads: Iterable[Workload], namespace: str, *, summary: str) -> Result:
    """Wait for each in turn, scaled up where it was scaled to none; `summary` says that all run."""
    api, workloads = kube(task), tuple(workloads)
    scaled = scaled_up(task, workloads, namespace)
    for kind, name in workloads:
        if is_rolled_out(api.get("apps/v1", kind, name, namespace)):
            continue
        if context(task).dry_run:
            return scaled if scaled.changed else skipped(task, f"a dry run does not wait for {kind} {name}")
        rolled_out(api, kind, name, namespace, timeout=_ROLL_OUT)
    return scaled if scaled.changed else unchanged(task, summary)


def look_into(task: Task, namespace: str) -> Callable[[], str]:
    """Says what the namespace's pods that are not ready have to say, when it is asked."""
    return lambda: namespace_troubles(kube(task), namespace)


def expect_rolled_out(task: Task, workloads: Iterable[Workload], namespace: str, what: str) -> None:
    """
    Raises:
        CheckFailed: `what`, with the names of those that are not, or that have no pods to roll out.
    """
    api, workloads = kube(task), tuple(workloads)
    found = {name: api.get("apps/v1", kind, name, namespace) for kind, name in workloads}
    wrong = [(k, name) for k, name in workloads if not is_rolled_out(found[name]) or is_scaled_to_none(found[name])]
    why = "\n".join(
        f"{name}: {_state(found[name])}\n{workload_troubles(api, 'apps/v1', kind, name, namespace)}".rstrip()
        for kind, name in wrong
    )
    scaled = any(is_scaled_to_none(found[name]) for _, name in wrong)
    fix = set_up(task) if scaled else f"see why: `kubectl -n {namespace} get pods,events`"
    expect(not wrong, f"{what}: {', '.join(name for _, name in wrong)}", why=why, fix=fix)


def _state(obj: Object | None) -> str:
    return "it is scaled to 0 replicas" if is_scaled_to_none(obj) else seen(obj)


def restarted_for(task: Task, workload: Workload, config_map: Place) -> Result:
    """New pods for what a ConfigMap says now: their template names its version, so a killed run sees what is left.

    The version and not a digest: what was changed and written again has the old content, and must be read again.
    """
    kind, name = workload
    version = (kube(task).get(*config_map) or {}).get("metadata", {}).get("resourceVersion", "")
    place = {"name": name, "namespace": config_map[3]}
    template = {"metadata": {"annotations": {_VERSION: version}}}
    manifest = {"apiVersion": "apps/v1", "kind": kind, "metadata": place, "spec": {"template": template}}
    return apply(kube(task), manifest, summary=f"restart {kind} {name} for ConfigMap {config_map[2]}", force=True)


def expect_steady_pods(task: Task, namespace: str, label: str) -> None:
    """
    Raises:
        CheckFailed: there are none, or one was started again lately, or is not ready.
    """
    pods = current_pods(kube(task).list("v1", "Pod", namespace, label_selector=label))
    restless = {name_of(pod): unrest for pod in pods if (unrest := _unrest(pod))}
    why = "\n".join(f"{name}: {unrest}" for name, unrest in restless.items()) or "there is none"
    fix = f"see why: `kubectl -n {namespace} logs -l {label} --previous`"
    expect(pods and not restless, f"pods with {label} do not stay up", why=why, fix=fix)


def expect_endpoints(task: Task, service: str, namespace: str) -> list[str]:
    """The addresses of the pods that answer for a Service.

    Raises:
        CheckFailed: there are none.
    """
    found = kube(task).get("v1", "Endpoints", service, namespace) or {}
    ready = [a["ip"] for subset in found.get("subsets") or () for a in subset.get("addresses") or ()]
    fix = f"see why: `kubectl -n {namespace} describe pods`"
    expect(ready, f"Service {service} has no endpoints", why="no pod of it is ready to answer", fix=fix)
    return ready


def _unrest(pod: Object) -> str:
    for container in pod.get("status", {}).get("containerStatuses") or ():
        if (container.get("state") or {}).get("waiting"):
            return "; ".join(troubles(pod)) or seen(pod)
        ended = (container.get("lastState") or {}).get("terminated") or {}
        if ended.get("finishedAt") and datetime.now(UTC) - datetime.fromisoformat(ended["finishedAt"]) < _LATELY:
            return f"restarted {container.get('restartCount')} times, last at {ended['finishedAt']}"
    return "" if condition_true(pod, "Ready") else f"not Ready: {seen(pod)}"


def await_pod_network(task: Task, node: str) -> None:
    """Before Calico is ready on it, its pods have no network."""
    wait_all(
        kube(task),
        *_PODS,
        label_selector=_CALICO,
        field_selector=f"spec.nodeName={node}",
        condition=lambda pods: bool(_ready(pods)),
        what=f"Calico to be ready on {node}",
        timeout=_ROLL_OUT,
    )


def pod_network_trouble(task: Task, node: str) -> str:
    """Empty when there is none."""
    pods = kube(task).list(*_PODS, label_selector=_CALICO, field_selector=f"spec.nodeName={node}")
    if _ready(pods):
        return ""
    return "; ".join(seen(pod) for pod in pods) or f"no pod of DaemonSet calico-node is on {node}"


def _ready(pods: list[Object]) -> list[Object]:
    return [pod for pod in current_pods(pods) if condition_true(pod, "Ready")]
