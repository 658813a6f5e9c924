"""A pod that computes on every card of a node, and tells which cards those were."""

from __future__ import annotations

import re
from typing import Any

from nornir.core.task import Task

from tasks.phase6_extended_services.gpu_operator.chart import GPU
from tasks.shared.cluster.control_plane import kube, name_of, registered_node
from tasks.shared.gpus.facts import RUNTIME
from thinkube_nornir.cluster import PodRun, probe_pod, run_pod
from thinkube_nornir.context import setting

PASSED = "Test PASSED"
TIMEOUT = 600.0  # seconds; the image has some hundred MB
_NOBODY = 65534
_SCRIPT = """cards=$(nvidia-smi --query-gpu=uuid --format=csv,noheader) || exit 3
PATH=$PATH:/cuda-samples
for card in $cards; do
  echo "@ $card"
  CUDA_VISIBLE_DEVICES=$card sample 2>&1
done"""
_ON_A_SLICE = """cards=$(nvidia-smi --query-gpu=uuid --format=csv,noheader) || exit 3
PATH=$PATH:/cuda-samples
echo "@ $cards"
sample 2>&1"""
"""A card in slices is not chosen by its own name: CUDA takes the slice that the pod was given."""

Object = dict[str, Any]


def run_on_cards(task: Task, cards: int, *, sliced: bool = False) -> PodRun:
    """Add vectors on so many cards of this host's node. The scheduler places it, because only it counts cards.

    Args:
        sliced: on a slice of a card.

    Raises:
        ClusterError, DeadlinePassed: the pod did not run; see run_pod.
    """
    node, script = name_of(registered_node(task)), _ON_A_SLICE if sliced else _SCRIPT
    pod = probe_pod(f"cuda-{task.host.name}", setting(task, "cuda_test_image"), ["sh", "-c", script])
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    pod["spec"] |= {
        "runtimeClassName": RUNTIME,
        "affinity": {"nodeAffinity": required},
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": _NOBODY, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    pod["spec"]["containers"][0] |= {
        "resources": {"limits": {GPU: str(cards)}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return run_pod(kube(task), pod, timeout=TIMEOUT)


def parse_results(log: str) -> dict[str, str]:
    """UUID of each card the pod saw to what the program said on it."""
    return dict(re.findall(r"^@ (\S+)\n(.*?)(?=^@ |\Z)", log, flags=re.MULTILINE | re.DOTALL))


def users(pods: list[Object], node: str = "") -> dict[str, int]:
    """Pods that hold cards, of one node or of all: `namespace/name` to how many."""
    found = {}
    for pod in pods:
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        amount = sum(map(_wanted, pod["spec"].get("containers") or ()))
        if amount and not ended and node in ("", pod["spec"].get("nodeName", "")):
            found[f"{pod['metadata']['namespace']}/{name_of(pod)}"] = amount
    return found


def _wanted(container: Object) -> int:
    limits = (container.get("resources") or {}).get("limits") or {}
    return sum(int(amount) for name, amount in limits.items() if name == GPU or name.startswith("nvidia.com/mig-"))
