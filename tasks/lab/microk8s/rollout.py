"""kubectl rollout status: when a workload's rollout is done, and the wait for it."""

from __future__ import annotations

import asyncio
import time

from tasks.lab.microk8s.node import Node
from tasks.lab.tool import ToolError
from thinkube_nornir.lab.emulation import Reply
from thinkube_nornir.lab.kube import Object

POLL = 0.05


async def rolled_out(node: Node, key: tuple[str, str, str, str], timeout: float) -> Reply:
    end = time.monotonic() + timeout
    while not complete(node.api.get(*key) or {}):
        if timeout and time.monotonic() > end:
            waiting = f'Waiting for "{key[2]}" rollout to finish...\n'
            raise ToolError(1, "error: timed out waiting for the condition\n", waiting)
        await asyncio.sleep(POLL)
    return Reply(0, f'{"deployment" if key[1] == "Deployment" else "daemon set"} "{key[2]}" successfully rolled out\n')


def complete(found: Object) -> bool:
    """Whether a workload's rollout is done, by its status."""
    status = found.get("status") or {}
    if status.get("observedGeneration", 0) < found.get("metadata", {}).get("generation", 0):
        return False
    if found.get("kind") == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return bool(status.get("numberAvailable", 0) == wanted == status.get("updatedNumberScheduled", wanted))
    wanted = found.get("spec", {}).get("replicas", 1)
    return all(status.get(count, 0) == wanted for count in ("availableReplicas", "updatedReplicas", "replicas"))


def seconds(text: str) -> float:
    """`120s`, `2m`."""
    try:
        return float(text.rstrip("sm")) * (60 if text.endswith("m") else 1)
    except ValueError:
        raise ToolError(
            1, f'error: invalid argument "{text}" for "--timeout" flag: invalid duration "{text}"\n'
        ) from None
