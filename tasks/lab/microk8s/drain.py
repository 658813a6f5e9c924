"""kubectl cordon, uncordon and drain: drain evicts a node's pods, and waits until they are gone.

Source: kubernetes/kubectl@v0.35.0 pkg/cmd/drain/drain.go
Source: kubernetes/kubectl@v0.35.0 pkg/drain/filters.go
Source: kubernetes/kubectl@v0.35.0 pkg/drain/drain.go
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from tasks.lab.microk8s.node import Node
from tasks.lab.microk8s.rollout import POLL, seconds
from tasks.lab.tool import Arguments, ToolError
from thinkube_nornir.lab.emulation import Reply, pause
from thinkube_nornir.lab.kube import ApiError, Object
from thinkube_nornir.lab.kube.deletion import Deletion, evict
from thinkube_nornir.lab.kube.objects import controller_of, key_of, uid_of

_RETRY = 5
"""Seconds after which a pod is tried again that a disruption budget keeps."""
_ENDED = ("Succeeded", "Failed")
_DAEMONS = ("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)", "ignoring DaemonSet-managed Pods")
_LOCAL = ("Pods with local storage (use --delete-emptydir-data to override)", "deleting Pods with local storage")
_ORPHANS = (
    "cannot delete Pods that declare no controller (use --force to override)",
    "deleting Pods that declare no controller",
)


@dataclass
class _Chosen:
    """What drain does with the pods of a node; a text stands for all of the pods that it says something of."""

    evicted: list[Object] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)
    warned: dict[str, list[str]] = field(default_factory=dict)


def schedulable(node: Node, name: str, *, wanted: bool) -> str:
    """Set it; returns what kubectl says."""
    found = node.api.get("v1", "Node", name)
    if found is None:
        raise ToolError(1, f'Error from server (NotFound): nodes "{name}" not found\n')
    done = "uncordoned" if wanted else "cordoned"
    if bool(found.get("spec", {}).get("unschedulable")) is not wanted:
        return f"node/{name} already {done}\n"
    node.api.apply({**found, "spec": {**found.get("spec", {}), "unschedulable": not wanted}})
    return f"node/{name} {done}\n"


async def drain(node: Node, words: list[str], given: Arguments) -> Reply:
    """Refuses without the flags that pods of daemons, of nobody, and with local storage need."""
    name = words[0] if words else ""
    shown = schedulable(node, name, wanted=False)
    chosen = _chosen(node, name, given.flags)
    if chosen.refused:
        raise _failed(name, [f"cannot delete {why}: {', '.join(pods)}" for why, pods in chosen.refused.items()], shown)
    warnings = "; ".join(f"{why}: {', '.join(pods)}" for why, pods in chosen.warned.items())
    stderr = f"Warning: {warnings}\n" if warnings else ""
    timeout = given.value("--timeout", "0s")
    end = time.monotonic() + (seconds(timeout) or float("inf"))
    for pod in chosen.evicted:
        namespace, pod_name = key_of(pod)
        shown += f"evicting pod {namespace}/{pod_name}\n"
        while why := _evicted(node, pod):
            stderr += f'error when evicting pods/"{pod_name}" -n "{namespace}" (will retry after {_RETRY}s): {why}\n'
            if time.monotonic() > end:
                where = f'pods/"{pod_name}" -n "{namespace}"'
                raise _failed(name, [f"error when evicting {where}: {_late(timeout)}"], shown, stderr)
            await pause(node.host.lab, _RETRY)
    for pod in chosen.evicted:
        while _there(node, pod):
            if time.monotonic() > end:
                where = f'pod "{key_of(pod)[1]}" in namespace "{key_of(pod)[0]}"'
                raise _failed(name, [f"error when waiting for {where} to terminate: {_late(timeout)}"], shown, stderr)
            await asyncio.sleep(POLL)
        shown += f"pod/{key_of(pod)[1]} evicted\n"
    return Reply(0, f"{shown}node/{name} drained\n", stderr)


def _chosen(node: Node, name: str, flags: set[str]) -> _Chosen:
    """Judge each pod by kubectl's filters in their order: the first that refuses counts, and the last that warns."""
    chosen = _Chosen()
    for pod in node.api.list("v1", "Pod"):
        if pod.get("spec", {}).get("nodeName") != name:
            continue
        place = f"{key_of(pod)[0]}/{key_of(pod)[1]}"
        owner = controller_of(pod)
        warning, kept, ended = "", False, pod.get("status", {}).get("phase") in _ENDED
        for applies, flag, (fatal, text) in (
            (owner is not None and owner["kind"] == "DaemonSet", "--ignore-daemonsets", _DAEMONS),
            (any("emptyDir" in v for v in pod["spec"].get("volumes") or []), "--delete-emptydir-data", _LOCAL),
            (owner is None, "--force", _ORPHANS),
        ):
            if kept or ended or not applies:
                continue
            if flag not in flags:
                chosen.refused.setdefault(fatal, []).append(place)
                kept, warning = True, ""
            else:
                kept, warning = flag == "--ignore-daemonsets", text
        if warning:
            chosen.warned.setdefault(warning, []).append(place)
        if not kept:
            chosen.evicted.append(pod)
    return chosen


def _evicted(node: Node, pod: Object) -> str:
    """Why it may not be evicted yet; empty when it is."""
    api = node.api
    try:
        evict(api.writer, api.registry.by_kind("v1", "Pod"), key_of(pod), Deletion())
    except ApiError as error:
        if error.code == 404:
            return ""
        if error.code == 429:
            return error.message
        raise
    return ""


def _there(node: Node, pod: Object) -> bool:
    found = node.api.get("v1", "Pod", key_of(pod)[1], key_of(pod)[0])
    return found is not None and uid_of(found) == uid_of(pod)


def _late(timeout: str) -> str:
    return f"global timeout reached: {timeout}"


def _failed(name: str, why: list[str], shown: str, stderr: str = "") -> ToolError:
    text = why[0] if len(why) == 1 else f"[{', '.join(why)}]"
    stderr += f'error: unable to drain node "{name}" due to error: {text}, continuing command...\n'
    return ToolError(1, f"{stderr}There are pending nodes to be drained:\n {name}\nerror: {text}\n", shown)
