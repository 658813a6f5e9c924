"""Taking the ingress controllers back: not while others use them, and nothing of others with them."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.control_plane import Object, kube
from tasks.kubernetes_distribution import DISTRIBUTION
from tasks.phase6_extended_services._controllers import Controller, controllers
from tasks.phase6_extended_services._metallb import place
from thinkube_nornir.cluster import LABELS, Cluster, delete, restore
from thinkube_nornir.context import component_of, context
from thinkube_nornir.errors import Refused
from thinkube_nornir.helm import installed, key, uninstall
from thinkube_nornir.outcome import all_of, unchanged

_CLASS = "kubernetes.io/ingress.class"


def refuse_while_classes_are_used(task: Task) -> Result:
    """
    Raises:
        Refused: what others published would be gone.
    """
    classes = {c.class_name for c in controllers(task) if _installed_by_us(task, c)}
    if not classes:
        return unchanged(task, "no ingress controller is ours to remove")
    used = [f"Ingress {place(i)} is of class {_class_of(i)}" for i in _ingresses(kube(task)) if _class_of(i) in classes]
    if used:
        raise Refused(
            "our ingress classes are in use",
            why="\n".join(used),
            fix="remove these Ingress objects, or give them another class, then roll back again",
        )
    return unchanged(task, f"no Ingress is of class {' or '.join(sorted(classes))}")


def uninstall_controllers(task: Task) -> Result:
    results = [uninstall(task, DISTRIBUTION.HELM, c.release, c.namespace) for c in reversed(controllers(task))]
    return all_of(task, *results)


def remove_what_helm_leaves(task: Task) -> Result:
    """What the controllers and the chart's hooks made by themselves: the leader's lease, the webhook's key."""
    if not _keys(task):
        return unchanged(task, "nothing of ours is left")
    api = kube(task)
    gone = [c for c in controllers(task) if installed(task, DISTRIBUTION.HELM, c.release, c.namespace) is None]
    traces = [
        (*kind, name, c.namespace)
        for c in gone
        for *kind, name in (
            ("coordination.k8s.io/v1", "Lease", c.election_id),
            ("v1", "Secret", f"{c.fullname}-admission"),
        )
    ]
    return all_of(task, *[delete(api, *trace, undo=False) for trace in traces], unchanged(task, "no traces are left"))


def remove_tcp_services(task: Task) -> Result:
    mine = [c for c in controllers(task) if f"object:v1/ConfigMap/{c.namespace}/{c.tcp_services}" in _keys(task)]
    results = [restore(kube(task), "v1", "ConfigMap", c.tcp_services, c.namespace) for c in mine]
    return all_of(task, *(results or [unchanged(task, "the map of TCP services is not ours")]))


def _ingresses(api: Cluster) -> list[Object]:
    """Without those of a probe, which go by themselves."""
    found = api.list("networking.k8s.io/v1", "Ingress")
    return [i for i in found if not LABELS.items() <= (i["metadata"].get("labels") or {}).items()]


def _class_of(ingress: Object) -> str:
    noted = (ingress["metadata"].get("annotations") or {}).get(_CLASS, "")
    return str((ingress.get("spec") or {}).get("ingressClassName") or noted)


def _installed_by_us(task: Task, controller: Controller) -> bool:
    """And not merely upgraded, which is put back."""
    record = context(task).ledger.ours(task.host.name, key(controller.release, controller.namespace))
    return record is not None and record.before["revision"] is None


def _keys(task: Task) -> set[str]:
    """Of everything that is this component's."""
    return {r.key for r in context(task).ledger.changes(host=task.host.name, component=component_of(task))}
