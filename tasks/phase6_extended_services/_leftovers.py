"""Taking the ingress controllers back: not while others use them, and nothing of others with them."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.control_plane import Object, kube, name_of
from tasks.kubernetes_distribution import DISTRIBUTION
from tasks.phase6_extended_services._controllers import Controller, controllers
from tasks.phase6_extended_services._metallb import place
from thinkube_nornir.cluster import LABELS, Cluster, delete, restore
from thinkube_nornir.context import component_of, context
from thinkube_nornir.errors import Refused
from thinkube_nornir.helm import installed, key, uninstall
from thinkube_nornir.outcome import all_of, unchanged

_CLASS = "kubernetes.io/ingress.class"
_EMPTY = 330.0  # seconds for a namespace to empty: nginx may take 300 to end its connections
_CONTENT = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "StatefulSet"),
    ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "Ingress"),
    ("v1", "ConfigMap"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Secret"),
    ("v1", "Service"),
)
_ALWAYS = ("kube-root-ca.crt",)


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


def remove_namespaces(task: Task) -> Result:
    """Those that this component made, unless something of others is in them by now."""
    mine = _keys(task)
    results = [unchanged(task, "no namespace is ours")]
    for c in reversed(controllers(task)):
        if f"object:v1/ConfigMap/{c.namespace}/{c.tcp_services}" in mine:
            results.append(restore(kube(task), "v1", "ConfigMap", c.tcp_services, c.namespace))
        if f"object:v1/Namespace/{c.namespace}" in mine:
            results.append(_namespace_gone(task, c))
    return all_of(task, *results)


def _namespace_gone(task: Task, controller: Controller) -> Result:
    api, planned = kube(task), context(task).dry_run
    left = [] if planned else _content(api, controller.namespace)
    if left:
        return unchanged(task, f"namespace {controller.namespace} was left: it holds {', '.join(left)}")
    return restore(api, "v1", "Namespace", controller.namespace, timeout=_EMPTY)


def _content(api: Cluster, namespace: str) -> list[str]:
    found = [(kind, name_of(o)) for version, kind in _CONTENT for o in api.list(version, kind, namespace)]
    return [f"{kind} {name}" for kind, name in found if name not in _ALWAYS]


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
