"""The breakable lab's emulation, with a tool that breaks GPUs and what the operator makes of them.

lab-gpu hardware        JSON on stdin: attributes of the host's Gpus; `cards` is {number: attributes of a card}
lab-gpu crash APP       pods of APP on this host end with an error from now on
lab-gpu class           the RuntimeClass goes, and nobody makes it anew
lab-gpu use NUMBER      a pod of somebody else takes so many cards of this host
lab-gpu mend            takes all of it back, on this host and in the cluster
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from tasks import breakable as base  # type: ignore[attr-defined]  # where a LabProject links it
from tasks.lab import pods
from tasks.lab.gpu_operator import check_again
from tasks.lab.gpu_programs import crashing
from tasks.lab.gpus import gpus
from tasks.lab.microk8s.node import Node, control_of, node_of
from thinkube_nornir.lab.emulation import Call, Lab, Reply, Tool
from thinkube_nornir.lab.kube.deletion import Deletion

_REGISTRIES = pods.REGISTRIES

EMULATED = base.EMULATED
INSTALLED = base.INSTALLED
snapshot = base.snapshot


async def prepare(lab: Lab) -> None:
    await base.prepare(lab)
    for host in lab.hosts.values():
        host.install("/usr/bin/lab-gpu", "lab-gpu", stdin=True)


async def lab_gpu(call: Call) -> Reply:
    node = node_of(call.host)
    control = control_of(node) if node else None
    if node is None or control is None:
        return Reply(1, stderr="no MicroK8s here\n")
    call.host.state.setdefault("whole gpus", copy.deepcopy(gpus(call.host)))
    match call.argv[1:]:
        case ("hardware",):
            _break(call, json.loads(call.stdin))
        case ("crash", app):
            crashing(call.host)[app] = "it was broken on purpose"
            _restart(node, control, app)
        case ("class",):
            call.host.lab.state["no class"] = True
            control.api.delete("node.k8s.io/v1", "RuntimeClass", "nvidia")
        case ("registry",):
            _cut_off_registry(call)
        case ("use", number):
            control.api.create(_pod(node, number))
        case ("unuse",):
            control.api.delete("v1", "Pod", "training", "default", how=Deletion(grace=0))
        case ("look",):
            pass
        case ("mend",):
            _repair(node, control)
        case _:
            return Reply(2, stderr=f"lab-gpu: what is {call.argv[1:]}?\n")
    check_again(call.host.lab)
    await control.api.settled()
    return Reply()


TOOLS: Mapping[str, Tool] = {**base.TOOLS, "lab-gpu": lab_gpu}


def _cut_off_registry(call: Call) -> None:
    pods.REGISTRIES = tuple(name for name in _REGISTRIES if name != "nvcr.io")
    for host in call.host.lab.hosts.values():
        host.state.pop("images", None)  # what a node has already needs no registry


def _break(call: Call, attributes: dict[str, Any]) -> None:
    now = gpus(call.host)
    for number, of_card in attributes.pop("cards", {}).items():
        for name, value in of_card.items():
            setattr(now.cards[int(number)], name, value)
    if "shown_as" in attributes:
        attributes["shown_as"] = {card.uuid: attributes["shown_as"] for card in now.cards}
    for name, value in attributes.items():
        if not hasattr(now, name):
            raise AttributeError(name)
        setattr(now, name, value)


def _restart(node: Node, control: Node, app: str) -> None:
    for pod in control.api.list("v1", "Pod", selector={"matchLabels": {"app": app}}):
        if pod["spec"].get("nodeName") == node.name:
            control.api.remove(pod, how=Deletion(grace=0))


def _pod(node: Node, number: str) -> dict[str, Any]:
    container = {
        "name": "train",
        "image": "docker.io/library/busybox:1.36.1",
        "command": ["sleep", "infinity"],
        "resources": {"limits": {"nvidia.com/gpu": number}},
    }
    metadata = {"name": "training", "namespace": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": node.name, "containers": [container]},
    }


def _repair(node: Node, control: Node) -> None:
    node.host.state["gpus"] = copy.deepcopy(node.host.state["whole gpus"])
    node.host.lab.state.pop("no class", None)
    pods.REGISTRIES = _REGISTRIES
    broken = [*crashing(node.host)]
    crashing(node.host).clear()
    for app in broken:
        _restart(node, control, app)
    if control.api.get("v1", "Pod", "training", "default"):
        control.api.delete("v1", "Pod", "training", "default", how=Deletion(grace=0))
