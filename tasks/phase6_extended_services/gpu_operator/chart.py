"""What the GPU operator is message: its release, the labels of its nodes, and how cards are shared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.gpu_operator.containerd_facts import DROP_IN_FOLDER, SOCKET, TEMPLATE
from tasks.phase6_extended_services.gpu_operator.settings import writes_drop_in
from tasks.shared.cluster.access import CLUSTER
from tasks.shared.cluster.control_plane import CONTROL_PLANE
from tasks.shared.gpus.facts import RUNTIME
from tasks.shared.gpus.nodes import (
    Source,
    absent_nodes,
    answering,
    count,
    driver_source,
    left_out,
    offers,
    products,
    sliced,
)
from tasks.shared.settings.gpus import EVERY_PRODUCT
from thinkube_nornir.component import StepFunction
from thinkube_nornir.context import is_managed, setting
from thinkube_nornir.helm import key
from thinkube_nornir.outcome import unchanged
from thinkube_nornir.resources import HelmRelease, Manifest, from_setting
from thinkube_nornir.templates import render

NAME = "gpu-operator"
REPOSITORY = "https://helm.ngc.nvidia.com/nvidia"
GPU = "nvidia.com/gpu"
POLICY = ("nvidia.com/v1", "ClusterPolicy", "cluster-policy")
TOOLKIT, PLUGIN = "nvidia-container-toolkit-daemonset", "nvidia-device-plugin-daemonset"
DRIVER = "nvidia-driver-daemonset"
OPERANDS = (TOOLKIT, PLUGIN, "gpu-feature-discovery", "nvidia-operator-validator")
"""DaemonSets that each GPU node needs."""
INSTALL = 900.0  # seconds; images of several GB over a slow line
BUILD = 1800.0  # seconds; a driver is compiled: its start-up probe alone allows 21 minutes
_DEPLOY = f"{GPU}.deploy."
_PARTS = ("container-toolkit", "device-plugin", "gpu-feature-discovery", "dcgm", "dcgm-exporter", "operator-validator")
_CONFIG_LABEL = "nvidia.com/device-plugin.config"
_SLICES_LABEL, _NO_SLICES = "nvidia.com/mig.config", "all-disabled"

Object = dict[str, Any]


@dataclass(frozen=True)
class Sharing:
    """A ConfigMap for the device plugin; named by its content, because the plugin reads it only when it starts."""

    name: str
    default: str
    data: dict[str, str]


def namespace(task: Task) -> str:
    return str(setting(task, "gpu_operator_namespace"))


def sharing(task: Task) -> Sharing | None:
    wanted: dict[str, int] = setting(task, "gpu_time_slicing", {})
    if not wanted:
        return None
    data = {key: render(task, "gpu_operator/time_slicing.yaml.j2", replicas=n) for key, n in sorted(wanted.items())}
    digest = hashlib.sha256(repr(data).encode()).hexdigest()[:8]
    return Sharing(f"time-slicing-{digest}", EVERY_PRODUCT if EVERY_PRODUCT in data else "", data)


def _values(task: Task) -> dict[str, Any]:
    """With a driver of the operator's if any node has none of its own; those that have one are labelled so.

    What a node needs that does not take part in the run, its labels tell.
    """
    return {
        "driver": bool(without_driver(task)) or any(_has(node, "driver") for node in absent_nodes(task)),
        "containerd_template": TEMPLATE,
        "drop_in": f"{DROP_IN_FOLDER}/99-nvidia.toml" if writes_drop_in(setting(task, "gpu_operator_version")) else "",
        "socket": SOCKET,
        "runtime": RUNTIME,
        "sharing": sharing(task),
    }


def _unwanted(task: Task) -> str:
    """What is there already stays until a rollback, which takes it away in the right order."""
    there = is_managed(task, key(NAME, namespace(task)))
    return "" if there else no_node_offers(task)


NAMESPACE = Manifest(
    "namespace of the GPU operator",
    CLUSTER,
    template="gpu_operator/namespace.yaml.j2",
    values=lambda task: {"namespace": namespace(task), "sharing": sharing(task)},
    unless=_unwanted,
    on=CONTROL_PLANE,
)
RELEASE = HelmRelease(
    NAME,
    namespace,
    NAME,
    from_setting("gpu_operator_version"),
    from_setting("helm_chart_source", REPOSITORY),
    CLUSTER,
    template="gpu_operator/values.yaml.j2",
    given=_values,
    timeout=INSTALL,
    unless=_unwanted,
    on=CONTROL_PLANE,
)


def offering(task: Task) -> list[Task]:
    """The step on each node that is to offer cards."""
    return answering(task, offers)


def unless(
    reason: Callable[[Task], str], say: Callable[[Task, str], Result] = unchanged
) -> Callable[[StepFunction], StepFunction]:
    """A step, or with `passed` a check, that does nothing while there is a reason, and says it."""

    def decorated(act: StepFunction) -> StepFunction:
        @wraps(act)
        def acted(task: Task) -> Result:
            message = reason(task)
            return say(task, message) if message else act(task)

        return acted

    return decorated


def no_node_offers(task: Task) -> str:
    """For what is done or true of the cluster as a whole."""
    return "" if is_wanted(task) else "no node offers cards"


def nothing_here(task: Task) -> str:
    """For what is done on each node with cards."""
    return left_out(task) if count(task) else "no cards are expected here"


def is_wanted(task: Task) -> bool:
    """Whether any node is to offer cards, or was when it took part in a run."""
    return bool(offering(task) or served_elsewhere(task))


def served_elsewhere(task: Task) -> list[Object]:
    """Nodes with the operator's parts that do not take part in this run."""
    return [node for node in absent_nodes(task) if _has(node, "operands")]


def _has(node: Object, part: str) -> bool:
    return (node["metadata"].get("labels") or {}).get(f"{_DEPLOY}{part}") == "true"


def hold_back(node: Object) -> dict[str, str]:
    """What keeps the operator from a node that nobody has prepared yet; nothing where that was decided before."""
    name = f"{_DEPLOY}operands"
    return {} if name in (node["metadata"].get("labels") or {}) else {name: "false"}


def without_driver(task: Task) -> list[Task]:
    """The step on each node that gets the operator's driver."""
    return answering(task, lambda there: offers(there) and driver_source(there) is Source.OPERATOR)


def labels(there: Task, node: Object) -> dict[str, str]:
    """All that tell the operator what to put on a node, because what an earlier one left there would stay as it is."""
    if left_out(there):
        return {f"{_DEPLOY}operands": "false"}
    driver = "pre-installed" if driver_source(there) is Source.HOST else "true"
    wanted = {f"{_DEPLOY}operands": "true", f"{_DEPLOY}driver": driver}
    wanted |= {f"{_DEPLOY}{part}": "true" for part in _PARTS}
    if sliced(there) and (node["metadata"].get("labels") or {}).get(_SLICES_LABEL, _NO_SLICES) == _NO_SLICES:
        # The manager would undo the slices that their owner made: by default the operator wants none.
        wanted[f"{_DEPLOY}mig-manager"] = "false"
    of_product = [product for product in products(there) if product in setting(there, "gpu_time_slicing", {})]
    return wanted | ({_CONFIG_LABEL: of_product[0]} if of_product else {})
