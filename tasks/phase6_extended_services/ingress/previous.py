"""Controllers that must go before ours can come: ingress-nginx of former releases of this project, and Knative's when
Knative is off.

They have the names of our releases, and the addresses. So one is uninstalled just before its successor is installed;
between the two, for as long as Traefik's image takes to be pulled and started, nobody answers at the address.
"""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress import usage
from tasks.phase6_extended_services.ingress.controller import controllers
from tasks.shared.cluster.control_plane import kube
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.settings.services import all_ingress_namespaces
from thinkube_nornir.cluster import delete, restore
from thinkube_nornir.context import context
from thinkube_nornir.errors import Refused
from thinkube_nornir.helm import Installed, installed, key, uninstall
from thinkube_nornir.outcome import all_of, unchanged

NGINX = "ingress-nginx"
TCP_SERVICES = "nginx-ingress-tcp-microk8s-conf"
ROLES = ("primary", "secondary")


def workload(role: str) -> str:
    """What ingress-nginx's chart called Deployment and Service."""
    return f"{role}-ingress-{NGINX}-controller"


def places(task: Task) -> dict[str, str]:
    """Role to namespace, also of Knative's controller when Knative is off."""
    return dict(zip(ROLES, all_ingress_namespaces(task), strict=True))


def in_the_way(task: Task, role: str) -> Installed | None:
    """The release that holds the name and the address of this role's controller, and may not stay."""
    there = installed(task, DISTRIBUTION.HELM, f"{role}-ingress", places(task)[role])
    wanted = any(c.role == role for c in controllers(task))
    if there is None or (wanted and not there.chart.startswith(f"{NGINX}-")):
        return None
    if not wanted and not _ours(task, there):
        return None
    return there


def _ours(task: Task, there: Installed) -> bool:
    record = context(task).change_log.managed(task.host.name, key(there.name, there.namespace))
    return record is not None and record.before["revision"] is None


def previous_controllers_may_go(task: Task) -> Result:
    """Before anything changes.

    Raises:
        Refused: a release of that name is not ours, or others' objects would be served by nobody.
    """
    found = [there for role in ROLES if (there := in_the_way(task, role)) is not None]
    for there in found:
        if not _ours(task, there):
            raise Refused(
                f"release {there.namespace}/{there.name} is not ours",
                why=f"it is {there.chart}, and has the name of our ingress controller",
                fix=f"uninstall it (`helm uninstall {there.name} -n {there.namespace}`), then run again",
            )
    served = {name for c in controllers(task) for name in c.classes}
    lost = [told for there in found for told in usage.users(kube(task), there.name, there.namespace, keeping=served)]
    if lost:
        raise Refused(
            "what others publish would be served by nobody",
            why="\n".join(lost),
            fix="serve their class, too (primary_nginx_class, secondary_nginx_class: Traefik reads the annotations of "
            "ingress-nginx there), or give them a class of ours, then run again",
        )
    return unchanged(task, "no controller of before is in the way" if not found else "those of before may go")


def remove_previous_primary(task: Task) -> Result:
    return _remove(task, ROLES[0])


def remove_previous_secondary(task: Task) -> Result:
    return _remove(task, ROLES[1])


def _remove(task: Task, role: str) -> Result:
    there = in_the_way(task, role)
    results = [unchanged(task, f"no {role} ingress of before is there")]
    if there is not None:
        results.append(uninstall(task, DISTRIBUTION.HELM, there.name, there.namespace))
    return all_of(task, *results, remove_traces(task, role))


def remove_traces(task: Task, role: str) -> Result:
    """What ingress-nginx and its chart's hooks made by themselves, the lease and the webhook's key; and our map."""
    api, namespace = kube(task), places(task)[role]
    name = f"{role}-ingress-{NGINX}"
    if api.get("coordination.k8s.io/v1", "Lease", f"{name}-leader", namespace) is None:
        return unchanged(task, "no traces are left")
    return all_of(
        task,
        delete(api, "coordination.k8s.io/v1", "Lease", f"{name}-leader", namespace, undo=False),
        delete(api, "v1", "Secret", f"{name}-admission", namespace, undo=False),
        restore(api, "v1", "ConfigMap", TCP_SERVICES, namespace),
    )
