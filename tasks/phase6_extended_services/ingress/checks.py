"""What must be true of the ingress controllers in the cluster, beside what their releases declare."""

from __future__ import annotations

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.addresses import addresses_of
from tasks.phase6_extended_services.ingress.controllers import (
    GATEWAY,
    GATEWAY_KIND,
    Controller,
    controllers,
    status_faults,
)
from tasks.shared.cluster.control_plane import expect, kube, name_of
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed

_ADDON_CLASS = "public"
_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


def services_have_their_addresses(task: Task) -> Result:
    api = kube(task)
    found = {c: api.get("v1", "Service", c.workload, c.namespace) for c in controllers(task)}
    wrong = {c: addresses_of(s or {}) for c, s in found.items() if addresses_of(s or {}) != [c.address]}
    messages = [f"{c}: expected {c.address}, seen {', '.join(a) or 'none'}{_events(task, c)}" for c, a in wrong.items()]
    fix = "see the events above; the pool must hold the address, and no other service may have it"
    expect(not wrong, "not every controller has its address", why="\n".join(messages), fix=fix)
    return passed(task, ", ".join(f"{c} has {c.address}" for c in found))


def _events(task: Task, controller: Controller) -> str:
    """What the cluster says about the controller's service."""
    selector = f"involvedObject.kind=Service,involvedObject.name={controller.workload}"
    found = kube(task).list("v1", "Event", controller.namespace, field_selector=selector)
    return "".join(f"\n  event {e.get('reason')}: {e.get('message')}" for e in found[-5:])


def no_other_class_is_the_default(task: Task) -> Result:
    listed = kube(task).list("networking.k8s.io/v1", "IngressClass")
    own = [name for c in controllers(task) for name in c.classes]
    defaults = [name_of(c) for c in listed if (c["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"]
    wrong = [f"{name} is a default, too" for name in defaults if name not in own]
    wrong += [
        f"{_ADDON_CLASS} is there, the class of MicroK8s' own ingress" for c in listed if name_of(c) == _ADDON_CLASS
    ]
    fix = f"take the mark off others: `kubectl annotate ingressclass <name> {_DEFAULT_CLASS}-`; remove {_ADDON_CLASS}"
    expect(
        not wrong, "Ingress objects without a class may not come to the primary ingress", why="\n".join(wrong), fix=fix
    )
    return passed(task, f"{', '.join(own)}; {own[0]} is the default")


def gateways_are_programmed(task: Task) -> Result:
    api = kube(task)
    found = {c: status_faults(c, api.get(*GATEWAY_KIND, GATEWAY, c.namespace)) for c in controllers(task)}
    wrong = [f"Gateway {c.namespace}/{GATEWAY}: {fault}" for c, faults in found.items() for fault in faults]
    fix = f"{set_up(task)}; what the controllers say: {logs(task)}"
    expect(not wrong, "the Gateways are not as wanted", why="\n".join(wrong), fix=fix)
    return passed(task, ", ".join(f"{c.namespace}/{GATEWAY} is programmed at {c.address}" for c in found))


def logs(task: Task) -> str:
    return "; ".join(f"`kubectl -n {c.namespace} logs deployment/{c.workload}`" for c in controllers(task))
