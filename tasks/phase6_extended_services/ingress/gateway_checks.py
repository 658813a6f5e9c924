"""What must be true of Gateway API: the class and the Gateway of each controller, and the certificate it falls back to.

Source: traefik/traefik@v3.7.9 pkg/provider/kubernetes/gateway/kubernetes.go
"""

from __future__ import annotations

from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.ingress.controller import (
    GATEWAY,
    GATEWAY_VALUE,
    INSTANCE,
    LISTENERS,
    Controller,
    controllers,
)
from tasks.phase6_extended_services.ingress.definitions import GATEWAY_API
from tasks.shared.cluster.control_plane import Object, expect, kube
from thinkube_nornir.cluster import condition_true, wait
from thinkube_nornir.context import context
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed, skipped, unchanged

_VERSION = f"{GATEWAY_API}/v1"
_STORE = ("traefik.io/v1alpha1", "TLSStore", "default")
_PROGRAMMED = 60.0  # seconds from the pod's start until it has read the cluster and written what it found


def await_gateways(task: Task) -> Result:
    api = kube(task)
    for c in controllers(task):
        if not _status_faults(c, api.get(_VERSION, "Gateway", GATEWAY, c.namespace)):
            continue
        if context(task).dry_run:
            return skipped(task, f"a dry run does not wait for the Gateway of {c}")

        def programmed(found: Object | None, controller: Controller = c) -> bool:
            return not _status_faults(controller, found)

        what = f"Gateway {c.namespace}/{GATEWAY} to be programmed"
        wait(api, _VERSION, "Gateway", GATEWAY, c.namespace, condition=programmed, what=what, timeout=_PROGRAMMED)
    return unchanged(task, f"programmed: {', '.join(f'{c.namespace}/{GATEWAY}' for c in controllers(task))}")


def gateway_classes_are_accepted(task: Task) -> Result:
    api = kube(task)
    found = {c.class_name: api.get(_VERSION, "GatewayClass", c.class_name) for c in controllers(task)}
    wrong = [told for c in controllers(task) for told in gateway_class_faults(task, c)]
    wrong += [f"{n} is not accepted" for n, obj in found.items() if obj and not condition_true(obj, "Accepted")]
    fix = f"{set_up(task)}; what its controller says: " + _logs(task)
    expect(not wrong, "the Gateway classes are not as wanted", why="\n".join(wrong), fix=fix)
    return passed(task, f"accepted: {', '.join(found)}")


def gateway_class_faults(task: Task, controller: Controller) -> list[str]:
    """The label decides which Traefik takes it: all have the same controller name."""
    found = kube(task).get(_VERSION, "GatewayClass", controller.class_name)
    if found is None:
        return [f"GatewayClass {controller.class_name} is not there"]
    owner = (found.get("spec") or {}).get("controllerName")
    instance = (found["metadata"].get("labels") or {}).get(INSTANCE)
    statements = {
        f"GatewayClass {controller.class_name} belongs to {owner}, not {GATEWAY_VALUE}": owner != GATEWAY_VALUE,
        f"GatewayClass {controller.class_name} has the label {INSTANCE}={instance}, not {controller.instance}": (
            instance != controller.instance
        ),
    }
    return [text for text, holds in statements.items() if holds]


def gateways_are_programmed(task: Task) -> Result:
    api = kube(task)
    wrong = []
    for c in controllers(task):
        found = api.get(_VERSION, "Gateway", GATEWAY, c.namespace)
        faults = gateway_faults(task, c) or _status_faults(c, found)
        wrong += [f"Gateway {c.namespace}/{GATEWAY}: {fault}" for fault in faults]
    fix = f"{set_up(task)}; what the controllers say: " + _logs(task)
    expect(not wrong, "the Gateways are not as wanted", why="\n".join(wrong), fix=fix)
    return passed(task, ", ".join(f"{c.namespace}/{GATEWAY} is programmed at {c.address}" for c in controllers(task)))


def gateway_faults(task: Task, controller: Controller) -> list[str]:
    """Of what is wanted of it."""
    spec = (kube(task).get(_VERSION, "Gateway", GATEWAY, controller.namespace) or {}).get("spec")
    if spec is None:
        return ["it is not there"]
    listeners = {found.get("name"): found for found in spec.get("listeners") or ()}
    class_name = spec.get("gatewayClassName")
    wrong = [] if class_name == controller.class_name else [f"its class is {class_name}, not {controller.class_name}"]
    for name, (port, protocol) in LISTENERS.items():
        seen = listeners.get(name)
        if seen is None:
            wrong.append(f"it has no listener {name}")
        elif (seen.get("port"), seen.get("protocol")) != (port, protocol):
            wrong.append(f"listener {name} is {seen.get('protocol')} at {seen.get('port')}, not {protocol} at {port}")
        elif protocol == "HTTPS" and _certificates(seen) != [controller.secret]:
            wrong.append(f"listener {name} shows {', '.join(_certificates(seen)) or 'none'}, not {controller.secret}")
    return wrong


def _certificates(listener: Object) -> list[Any]:
    return [ref.get("name") for ref in (listener.get("tls") or {}).get("certificateRefs") or ()]


def _status_faults(controller: Controller, gateway: Object | None) -> list[str]:
    if gateway is None:
        return ["it is not there"]
    status, generation = gateway.get("status") or {}, gateway["metadata"].get("generation", 0)
    if any(c.get("observedGeneration", generation) < generation for c in status.get("conditions") or ()):
        return ["its status is of a former state"]
    told = [c for c in status.get("conditions") or () if c.get("status") != "True"]
    told += [c for s in status.get("listeners") or () for c in s.get("conditions") or () if c.get("status") != "True"]
    wrong = [f"{c.get('type')}: {c.get('reason')}: {c.get('message')}" for c in told]
    wrong += [f"it is not {name}" for name in ("Accepted", "Programmed") if not condition_true(gateway, name)]
    addresses = [a.get("value") for a in status.get("addresses") or ()]
    return wrong if addresses == [controller.address] else [*wrong, f"its addresses are {addresses or 'none'}"]


def default_certificates_are_set(task: Task) -> Result:
    wrong = [told for c in controllers(task) for told in store_faults(task, c)]
    what = "the controllers do not fall back to the wanted certificates"
    expect(not wrong, what, why="\n".join(wrong), fix=set_up(task))
    return passed(task, ", ".join(f"{c} falls back to {c.namespace}/{c.secret}" for c in controllers(task)))


def store_faults(task: Task, controller: Controller) -> list[str]:
    found = kube(task).get(*_STORE, controller.namespace)
    if found is None:
        return [f"TLSStore {controller.namespace}/default is not there"]
    secret = ((found.get("spec") or {}).get("defaultCertificate") or {}).get("secretName")
    if secret == controller.secret:
        return []
    return [f"TLSStore {controller.namespace}/default names {secret or 'no secret'}, not {controller.secret}"]


def _logs(task: Task) -> str:
    return "; ".join(f"kubectl -n {c.namespace} logs deployment/{c.workload}" for c in controllers(task))
