"""The lab's emulation, with two things more: its clusters' objects in the snapshot, and a tool that edits them.

lab_project.py links it into a project's tasks folder; config.yaml names it as the emulation.

    lab-api patch APIVERSION KIND NAMESPACE NAME    a merge patch on stdin; `status` goes to the status
    lab-api delete APIVERSION KIND NAMESPACE NAME   for good
    lab-api fault REGEX STATUS                      requests whose path fits are answered with this HTTP status
    lab-api evict NAMESPACE NAME                    as a kubelet does to a pod when memory is short; it stays listed
    lab-api disable SNAP                            as `snap disable`, which the emulated snapd has not
    lab-api mend                                    takes all of it back
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks import lab as base
from tasks.lab.microk8s.node import Node, node_of, nodes
from tasks.lab.state import machine
from thinkube_nornir.lab.emulation import Call, Lab, Reply, Tool
from thinkube_nornir.lab.kube import Fault, Object
from thinkube_nornir.lab.kube.writes import Options

_ME = "operator"

EMULATED = base.EMULATED
INSTALLED = base.INSTALLED


async def prepare(lab: Lab) -> None:
    await base.prepare(lab)
    for host in lab.hosts.values():
        host.install("/usr/bin/lab-api", "lab-api", stdin=True)


def snapshot(lab: Lab) -> dict[str, Any]:
    clusters = {node.host.name: node.api.snapshot() for node in nodes(lab) if not node.worker}
    return {"machines": base.snapshot(lab), "objects": clusters}


async def lab_api(call: Call) -> Reply:
    node = node_of(call.host)
    if node is None:
        return Reply(1, stderr="no MicroK8s here\n")
    match call.argv[1:]:
        case ("patch", version, kind, namespace, name):
            _patch(node, (version, kind, namespace, name), json.loads(call.stdin))
        case ("delete", version, kind, namespace, name):
            node.api.delete(version, kind, name, namespace)
        case ("fault", path, status):
            fault = Fault(path=path, status=int(status), times=None)
            node.api.faults.append(fault)
            _repairs(node).append(lambda: node.api.faults.remove(fault))
        case ("evict", namespace, name):
            node.api.evict(name, namespace)
            _repairs(node).append(lambda: node.api.delete("v1", "Pod", name, namespace))
        case ("disable", name):
            installed = machine(call.host).snaps[name]
            installed.disabled = True
            _repairs(node).append(lambda: setattr(installed, "disabled", False))
        case ("mend",):
            for repair in reversed(_repairs(node)):
                repair()
            _repairs(node).clear()
        case _:
            return Reply(2, stderr=f"lab-api: what is {call.argv[1:]}?\n")
    await node.api.settled()
    return Reply()


TOOLS: Mapping[str, Tool] = {**base.TOOLS, "lab-api": lab_api}


def _repairs(node: Node) -> list[Any]:
    found: list[Any] = node.host.state.setdefault("mending", [])
    return found


def _patch(node: Node, place: tuple[str, str, str, str], change: Object) -> None:
    version, kind, namespace, name = place
    before = node.api.get(version, kind, name, namespace)
    if before is None:
        raise KeyError(place)
    _write(node, place, change)
    _repairs(node).append(lambda: _write(node, place, _inverse(change, before)))


def _write(node: Node, place: tuple[str, str, str, str], change: Object) -> None:
    version, kind, namespace, name = place
    resource = node.api.registry.by_kind(version, kind)
    for part in ("status", ""):
        wanted = {key: value for key, value in change.items() if (key == "status") == (part == "status")}
        if wanted:
            node.api.writer.patch(resource, (namespace, name), "merge", wanted, Options(_ME, subresource=part))


def _inverse(change: Object, before: Object) -> Object:
    """The merge patch that takes `change` back."""
    found: Object = {}
    for key, value in change.items():
        previous = before.get(key)
        if isinstance(value, dict) and isinstance(previous, dict):
            found[key] = _inverse(value, previous)
        else:
            found[key] = previous
    return found
