"""Taking the ingress controllers back: not while others use them, and nothing of others with them."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress import previous as previous
from tasks.phase6_extended_services.ingress import usage
from tasks.shared.cluster.control_plane import kube
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from thinkube_nornir.context import component_of, context
from thinkube_nornir.errors import Refused
from thinkube_nornir.helm import key, uninstall
from thinkube_nornir.outcome import all_of, unchanged


def refuse_while_classes_are_used(task: Task) -> Result:
    """
    Raises:
        Refused: what others published would be gone.
    """
    mine = [(f"{role}-ingress", namespace) for role, namespace in previous.places(task).items()]
    mine = [place for place in mine if _installed_by_us(task, *place)]
    if not mine:
        return unchanged(task, "no ingress controller is ours to remove")
    used = [told for name, namespace in mine for told in usage.users(kube(task), name, namespace)]
    if used:
        raise Refused(
            "our ingress controllers are in use",
            why="\n".join(used),
            fix="remove these objects, or give them another class or Gateway, then roll back again",
        )
    return unchanged(task, "nobody publishes through our ingress controllers")


def uninstall_controllers(task: Task) -> Result:
    found = reversed(previous.places(task).items())
    return all_of(task, *[uninstall(task, DISTRIBUTION.HELM, f"{role}-ingress", place) for role, place in found])


def remove_what_helm_leaves(task: Task) -> Result:
    """Traefik leaves nothing; a controller of before does, and is there when its cluster was never moved."""
    if not _keys(task):
        return unchanged(task, "nothing of ours is left")
    return all_of(task, *[previous.remove_traces(task, role) for role in previous.ROLES])


def _installed_by_us(task: Task, name: str, namespace: str) -> bool:
    """And not merely upgraded, which is put back."""
    record = context(task).change_log.managed(task.host.name, key(name, namespace))
    return record is not None and record.before["revision"] is None


def _keys(task: Task) -> set[str]:
    """Of everything that is this component's."""
    return {r.key for r in context(task).change_log.changes(host=task.host.name, component=component_of(task))}
