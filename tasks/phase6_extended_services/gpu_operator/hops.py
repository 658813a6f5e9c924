"""The chain from a card to a pod that computes on it, link by link: what is wrong with each, per node.

Cards are joined by PCI address up to the driver, which tells their UUIDs, and by UUID from there on.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.gpu_operator.chart import GPU, PLUGIN, TOOLKIT, labels, namespace
from tasks.phase6_extended_services.gpu_operator.containerd_facts import RUNTIME_TEMPLATE, RUNTIMES, will_have
from tasks.shared.cluster.control_plane import expect, is_ready, kube, name_of, registered_node, unready_because
from tasks.shared.gpus.facts import RUNTIME
from tasks.shared.gpus.nodes import MODULE, count, hardware, left_out, replicas, sliced, slots, units
from thinkube_nornir.cluster import condition_true, current_pods, seen, troubles
from thinkube_nornir.errors import CheckFailed
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed
from thinkube_nornir.program import command
from thinkube_nornir.remote import read, run

Object = dict[str, Any]

_WHERE = "containerd's configuration"


class Link(StrEnum):
    """In order: what fails first makes all later ones fail."""

    BUS = "PCI bus"
    DRIVER = "driver"
    NODE = "Kubernetes node"
    TOOLKIT = "container toolkit"
    OFFER = "device plugin"
    POD = "CUDA pod"


_FIXES = {
    Link.BUS: "see `lspci -d 10de:` on it; power, slot and passthrough of the card, or correct the inventory",
    Link.DRIVER: "see `nvidia-smi` and `dmesg` on it; a new or broken driver needs a reboot",
    Link.NODE: "{set_up}, which writes the labels anew; a node that is not Ready: `{phase5}`",
    Link.TOOLKIT: "{set_up}, which starts the toolkit again; what it says: `{logs}/" + TOOLKIT + "`",
    Link.OFFER: "see what it says: `{logs}/" + PLUGIN + "`",
    Link.POD: "see the events of the pod, and `dmesg` on the node for errors of the card (Xid)",
}


def check(task: Task, link: Link, good: Callable[[], str]) -> Result:
    """Whether this link holds for every card of the host; what breaks before it is named as the cause.

    Raises:
        CheckFailed: it does not, or is not reached.
    """
    for earlier in Link:
        if earlier is link:
            break
        if message := TROUBLE[earlier](task):
            why = f"{earlier}: {message}"
            raise CheckFailed(f"not reached: broken before, at the {earlier}", why=why, fix=_fix(task, earlier))
    if _is_over(task, link):
        return passed(task, left_out(task) or "no cards are expected here")
    message = TROUBLE[link](task)
    expect(
        not message, f"broken at the {link}: {message.partition(chr(10))[0]}", why=message or "", fix=_fix(task, link)
    )
    return passed(task, good())


def broken(task: Task, link: Link, what: str, why: str) -> CheckFailed:
    return CheckFailed(f"broken at the {link}: {what}", why=why, fix=_fix(task, link))


def _fix(task: Task, link: Link) -> str:
    logs = f"kubectl -n {namespace(task)} logs daemonset"
    return _FIXES[link].format(set_up=set_up(task), phase5=command("verify", "phase5"), logs=logs)


def _is_over(task: Task, link: Link) -> bool:
    """Beyond the driver there is nothing to see on a node that offers no cards; its labels still say so."""
    if link is Link.BUS:
        return False
    return not count(task) or (link not in (Link.DRIVER, Link.NODE) and bool(left_out(task)))


def _bus(task: Task) -> str:
    found, wanted = hardware(task), slots(task)
    there = [card.address for card in found.bus]
    missing = [slot for slot in wanted if slot not in there]
    if missing:
        return "\n".join(f"card {slot} is not there" for slot in missing)
    surplus = [address for address in there if wanted and address not in wanted]
    if surplus or len(there) > count(task):
        return f"the inventory has {count(task)} cards here, and there are {', '.join(there)}"
    message = f"{len(there)} of {count(task)} cards are there: {', '.join(there) or 'none'}"
    held = f"; held by vfio-pci: {', '.join(found.reserved)}" if found.reserved else ""
    return f"{message}{held}" if len(there) < count(task) else ""


def _driver(task: Task) -> str:
    found = hardware(task)
    message = []
    for card in found.bus:
        if card.driver != MODULE:
            message.append(f"card {card.address} is bound to {card.driver or 'no driver'}")
        elif MODULE not in found.modules:
            message.append(f"card {card.address}: module nvidia is not loaded")
        elif card.address not in found.by_address():
            absent = "there is no nvidia-smi, neither the host's nor the operator's" if found.driver.absent else ""
            message.append(
                f"card {card.address} does not answer: {absent or found.driver.said or 'the driver has it not'}"
            )
    return "\n".join(message)


def _node(task: Task) -> str:
    if not count(task):
        return ""
    node = registered_node(task)
    if not is_ready(node):
        return f"{name_of(node)} is not Ready: {unready_because(node)}"
    found = node["metadata"].get("labels") or {}
    wanted = labels(task, node)
    wrong = {name: found.get(name) for name, value in wanted.items() if found.get(name) != value}
    message = [f"{name} is {value or 'absent'}, not {wanted[name]}" for name, value in wrong.items()]
    if found.get(f"{GPU}.present") != "true" and not left_out(task):
        message.append(
            f"{GPU}.present is {found.get(f'{GPU}.present', 'absent')}: was the card found by feature discovery?"
        )
    return "\n".join(message)


def _toolkit(task: Task) -> str:
    if not count(task) or left_out(task):
        return ""
    found = read(task, RUNTIMES)
    if message := pod_trouble(task, TOOLKIT) or (found.trouble and f"{_WHERE} cannot be read: {found.trouble}"):
        return message
    if message := lost_runtime(task) or _without_program(task, found.default):
        return message
    if found.default == RUNTIME:
        return f"{_WHERE} makes {RUNTIME} the default: every pod of the node ends with the toolkit"
    return ""


def lost_runtime(task: Task) -> str:
    """Why containerd has not, or will not have after its next start, the runtime that a toolkit brings as it starts."""
    template, found = read(task, RUNTIME_TEMPLATE, RUNTIMES)
    if message := will_have(template, RUNTIME):
        return message
    if RUNTIME not in found.binaries and not found.trouble:
        return f"{_WHERE} has no runtime {RUNTIME}; it has {', '.join(found.binaries) or 'none'}"
    return _without_program(task, RUNTIME)


def _without_program(task: Task, name: str) -> str:
    found = read(task, RUNTIMES)
    binary = found.binaries.get(name, "")
    if not binary or not run(task, "test", "-x", binary, root=True, accept=(0, 1)).status:
        return ""
    default = "the default " if name == found.default else ""
    return f"{_WHERE}: {default}runtime {name} starts {binary}, which is not there"


def _offer(task: Task) -> str:
    if not count(task) or left_out(task):
        return ""
    if message := pod_trouble(task, PLUGIN):
        return message
    node = registered_node(task)
    wanted, found = units(task) * replicas(task), allocatable(node)
    kind = "slices" if sliced(task) else "cards"
    shared = f" ({units(task)} {kind}, each for {replicas(task)} pods)" if replicas(task) > 1 else ""
    if found != wanted:
        return f"node {name_of(node)} has {found} {GPU} allocatable, not {wanted}{shared}"
    return _feature_trouble(task, node)


def _feature_trouble(task: Task, node: Object) -> str:
    found = node["metadata"].get("labels") or {}
    wanted = {f"{GPU}.count": str(units(task)), f"{GPU}.replicas": str(replicas(task))}
    wrong = {name: found.get(name, "absent") for name, value in wanted.items() if found.get(name, value) != value}
    return "; ".join(f"label {name} is {value}, not {wanted[name]}" for name, value in wrong.items())


TROUBLE: dict[Link, Callable[[Task], str]] = {
    Link.BUS: _bus,
    Link.DRIVER: _driver,
    Link.NODE: _node,
    Link.TOOLKIT: _toolkit,
    Link.OFFER: _offer,
    Link.POD: lambda _: "",  # only a pod can tell
}
"""What is wrong, one line for each card or thing; empty when nothing is."""


def pod_trouble(task: Task, app: str) -> str:
    """What is wrong with a DaemonSet's pod on this host's node."""
    node, pods = name_of(registered_node(task)), pods_here(task, app)
    if not pods:
        return f"no pod of {app} is on {node}"
    unready = [pod for pod in pods if not condition_true(pod, "Ready")]
    return (
        f"{app} on {node}: {'; '.join(troubles(unready[0])) or seen(unready[0])}" if len(unready) == len(pods) else ""
    )


def pods_here(task: Task, app: str) -> list[Object]:
    query = {"label_selector": f"app={app}", "field_selector": f"spec.nodeName={name_of(registered_node(task))}"}
    return current_pods(kube(task).list("v1", "Pod", namespace(task), **query))


def allocatable(node: Object) -> int:
    return int((node.get("status", {}).get("allocatable") or {}).get(GPU, 0))
