"""Endpoints and EndpointSlices: the addresses of the pods that a service selects.

Both leave out pods that have ended; Endpoints also those that are ending, which slices mark as terminating.

Source: kubernetes/endpointslice@v0.35.0 util/controller_utils.go (ShouldPodBeInEndpoints)
Source: kubernetes/endpointslice@v0.35.0 utils.go (podToEndpoint)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.objects import (
    Key,
    Object,
    dig,
    is_true,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    terminating,
)
from thinkube_nornir.lab.kube.scheduler import ENDED


class _OfService(Controller):
    """What follows a service with a selector and its pods."""

    elected = True
    kind = ("v1", "Service")
    watches = (("v1", "Pod"),)

    def concerned(self, changed: Object) -> Iterable[Key]:
        services = self.cluster.store.list("services", namespace_of(changed))
        return [key_of(service) for service in services if _selects(service, changed)]

    def pods(self, service: Object) -> list[Object]:
        pods = self.cluster.list("v1", "Pod", namespace_of(service))
        return [
            p
            for p in pods
            if _selects(service, p) and dig(p, "status", "podIP") and p["status"].get("phase") not in ENDED
        ]

    def put(self, obj: Object) -> None:
        found = self.cluster.get(obj["apiVersion"], obj["kind"], name_of(obj), namespace_of(obj))
        if found is None:
            self.cluster.create(obj, manager="endpoint-controller")
        else:
            obj["metadata"] = found["metadata"]
            self.cluster.update(obj, manager="endpoint-controller")


class Endpoints(_OfService):
    def reconcile(self, obj: Object) -> None:
        if not obj["spec"].get("selector") or terminating(obj):
            return
        pods = [pod for pod in self.pods(obj) if not terminating(pod)]
        ready, others = [p for p in pods if is_true(p, "Ready")], [p for p in pods if not is_true(p, "Ready")]
        subset: Object = {"ports": _ports(obj, pods)}
        subset |= {"addresses": [_address(p) for p in ready]} if ready else {}
        subset |= {"notReadyAddresses": [_address(p) for p in others]} if others else {}
        metadata = {"name": name_of(obj), "namespace": namespace_of(obj), "labels": labels_of(obj)}
        endpoints: Object = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
        self.put(endpoints | ({"subsets": [subset]} if pods else {}))

    def gone(self, obj: Object) -> None:
        self.cluster.delete("v1", "Endpoints", name_of(obj), namespace_of(obj))


class Slices(_OfService):
    def reconcile(self, obj: Object) -> None:
        if not obj["spec"].get("selector") or terminating(obj):
            return
        pods = self.pods(obj)
        metadata = {
            "name": f"{name_of(obj)}-lab",
            "namespace": namespace_of(obj),
            "labels": {"kubernetes.io/service-name": name_of(obj)},
            "ownerReferences": [owner_reference(obj)],
        }
        endpoints = [_endpoint(pod) for pod in pods]
        kind = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4"}
        self.put(kind | {"metadata": metadata, "endpoints": endpoints, "ports": _ports(obj, pods)})


def _selects(service: Object, pod: Object) -> bool:
    selector: dict[str, str] = service["spec"].get("selector") or {}
    return bool(selector) and selector.items() <= labels_of(pod).items()


def _ports(service: Object, pods: list[Object]) -> list[Object]:
    ports = []
    for port in service["spec"].get("ports") or []:
        entry = {"port": _number(port["targetPort"], pods), "protocol": port["protocol"]}
        ports.append(entry | ({"name": port["name"]} if port.get("name") else {}))
    return ports


def _number(target: Any, pods: list[Object]) -> int:
    """The number of a target port; a name is looked up in the pods' containers."""
    if isinstance(target, int):
        return target
    containers = [container for pod in pods for container in pod["spec"]["containers"]]
    named = (port for container in containers for port in container.get("ports") or [] if port.get("name") == target)
    return int(next((port["containerPort"] for port in named), 0))


def _reference(pod: Object) -> Object:
    return {"kind": "Pod", "name": name_of(pod), "namespace": namespace_of(pod), "uid": pod["metadata"]["uid"]}


def _address(pod: Object) -> Object:
    return {"ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": _reference(pod)}


def _endpoint(pod: Object) -> Object:
    serving, ending = is_true(pod, "Ready"), bool(terminating(pod))
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": serving and not ending, "serving": serving, "terminating": ending},
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": _reference(pod),
    }
