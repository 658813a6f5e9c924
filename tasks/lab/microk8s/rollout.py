"""kubectl rollout status: when a workload's rollout is done, and the wait for it.

Pods that are ending do not count in any of these numbers: the wait may end before they do.

Source: kubernetes/kubectl@53ef3abb02e5 pkg/polymorphichelpers/rollout_status.go
"""

from __future__ import annotations

import asyncio
import time

from tasks.lab.microk8s.node import Node
from tasks.lab.tool import ToolError
from thinkube_nornir.lab.emulation import Reply
from thinkube_nornir.lab.kube import Object

POLL = 0.05


async def rolled_out(node: Node, key: tuple[str, str, str, str], timeout: float) -> Reply:
    end, shown = time.monotonic() + timeout, ""
    while message := waits_for(node.api.get(*key) or {}, key[2]):
        shown += message if not shown.endswith(message) else ""
        if timeout and time.monotonic() > end:
            raise ToolError(1, "error: timed out waiting for the condition\n", shown)
        await asyncio.sleep(POLL)
    kind = "deployment" if key[1] == "Deployment" else "daemon set"
    return Reply(0, f'{shown}{kind} "{key[2]}" successfully rolled out\n')


def complete(found: Object) -> bool:
    """Whether a workload's rollout is done, by its status."""
    return not waits_for(found, "")


def waits_for(found: Object, name: str) -> str:
    """What is still to come; empty when the rollout is done."""
    status, metadata = found.get("status") or {}, found.get("metadata") or {}
    daemons = found.get("kind") == "DaemonSet"
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return f"Waiting for {'daemon set' if daemons else 'deployment'} spec update to be observed...\n"
    if daemons:
        wanted = status.get("desiredNumberScheduled", 0)
        updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
        head, of = f'Waiting for daemon set "{name}" rollout to finish:', wanted
        what = "pods"
    else:
        wanted = (found.get("spec") or {}).get("replicas", 1)
        updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
        head, of = f'Waiting for deployment "{name}" rollout to finish:', updated
        what = "replicas"
    old = 0 if daemons else status.get("replicas", 0) - updated
    if updated < wanted:
        return f"{head} {updated} out of {wanted} new {what} have been updated...\n"
    if old > 0:
        return f"{head} {old} old replicas are pending termination...\n"
    if available < of:
        return f"{head} {available} of {of} updated {what} are available...\n"
    return ""


def seconds(text: str) -> float:
    """`120s`, `2m`."""
    try:
        return float(text.rstrip("sm")) * (60 if text.endswith("m") else 1)
    except ValueError:
        raise ToolError(
            1, f'error: invalid argument "{text}" for "--timeout" flag: invalid duration "{text}"\n'
        ) from None
