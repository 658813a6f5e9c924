"""GPU operator: nodes with NVIDIA cards offer `nvidia.com/gpu`, and pods compute on them.

setup     labels the nodes, installs the release for MicroK8s' containerd, waits until every expected card is offered
verify    follows each card from the PCI bus to a pod that computed on it, and names the first link that breaks
rollback  refuses while pods use GPUs; removes the operator and its traces, and puts containerd's template back

A node's driver is its own where it has one, else the operator's, never both. The cluster's part is done once, on the
control plane; the nodes' part on every node.
"""

from __future__ import annotations

from typing import Any

from nornir.core.task import Result, Task

from tasks.phase6_extended_services.gpu_operator import checks
from tasks.phase6_extended_services.gpu_operator import rollback as removal
from tasks.phase6_extended_services.gpu_operator.chart import (
    BUILD,
    GPU,
    INSTALL,
    NAMESPACE,
    PLUGIN,
    POLICY,
    RELEASE,
    REPOSITORY,
    TOOLKIT,
    hold_back,
    labels,
    namespace,
    no_node_offers,
    nothing_here,
    served_elsewhere,
    unless,
    without_driver,
)
from tasks.phase6_extended_services.gpu_operator.containerd_facts import RUNTIME_TEMPLATE, RUNTIMES
from tasks.phase6_extended_services.gpu_operator.hops import allocatable, lost_runtime, pods_here
from tasks.shared.cluster.control_plane import (
    CONTROL_PLANE,
    is_control_plane,
    kube,
    name_of,
    registered_node,
    where_a_cluster_is,
)
from tasks.shared.cluster.definitions import update_definitions
from tasks.shared.gpus.facts import RUNTIME
from tasks.shared.gpus.nodes import Source, absent_nodes, count, driver_source, replicas, units, with_cards
from tasks.shared.hosts.network_requirements import sources_answer
from thinkube_nornir.cluster import apply, condition_true, current_pods, delete, wait, wait_all
from thinkube_nornir.command import Fact
from thinkube_nornir.component import Component, chain, here, step
from thinkube_nornir.context import context
from thinkube_nornir.outcome import all_of, skipped, unchanged

SOURCES = sources_answer(
    REPOSITORY, "nvcr.io", on=lambda task: bool(count(task) or (is_control_plane(task) and with_cards(task)))
)

_STEP = BUILD + 120.0  # seconds for a step that waits so long


@unless(no_node_offers)
def update_operator_definitions(task: Task) -> Result:
    return update_definitions(task, RELEASE.declared(task), removal.DEFINITIONS)


@unless(no_node_offers)
def hold_back_others(task: Task) -> Result:
    """The operator goes to every node with cards by itself; where containerd's template is not saved it must not."""
    wanted = {name_of(node): marks for node in absent_nodes(task) if (marks := hold_back(node))}
    results = [_label(task, name, marks, f"keep the operator from node {name}") for name, marks in wanted.items()]
    return all_of(task, *results) if results else unchanged(task, "no node is to be spared")


def label_node(task: Task) -> Result:
    """What tells the operator which parts a node gets; labels of that kind left by others are taken over."""
    if not count(task):
        return unchanged(task, "no cards are expected here")
    node = registered_node(task)
    return _label(task, name_of(node), labels(task, node), f"label node {name_of(node)} for the operator")


def _label(task: Task, name: str, labels: dict[str, str], summary: str) -> Result:
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    return apply(kube(task), manifest, summary=summary, force=True)


def label_new_cards(task: Task) -> Result:
    """Cards that only the operator's driver could name: how they are shared, and whether they are too old."""
    if not count(task) or driver_source(task) is Source.HOST or context(task).dry_run:
        return unchanged(task, "the cards were known before")
    context(task).facts.pop(task.host.name, None)
    return label_node(task)


@unless(no_node_offers)
def await_policy(task: Task) -> Result:
    if context(task).dry_run:
        return skipped(task, "a dry run does not wait for the ClusterPolicy")
    if others := served_elsewhere(task):
        return unchanged(task, f"not waited for, because it speaks of {', '.join(map(name_of, others))}, too")
    wait(
        kube(task),
        *POLICY,
        condition=lambda policy: ((policy or {}).get("status") or {}).get("state") == "ready",
        what=f"ClusterPolicy {POLICY[2]} to be ready",
        timeout=BUILD if without_driver(task) else INSTALL,
    )
    return unchanged(task, "the ClusterPolicy is ready")


@unless(nothing_here)
def restart_toolkit(task: Task) -> Result:
    """It writes its programs and containerd's runtimes when it starts, and looks at neither again."""
    pods = [pod for pod in pods_here(task, TOOLKIT) if condition_true(pod, "Ready")]
    lost = lost_runtime(task) if pods else ""
    if not lost:
        return unchanged(task, f"containerd has the runtime {RUNTIME}, or the toolkit will bring it")
    summary = f"start the toolkit on {task.host.name} again: {lost}"
    return delete(kube(task), "v1", "Pod", name_of(pods[0]), namespace(task), summary=summary, undo=False)


@unless(nothing_here)
def await_pods(task: Task) -> Result:
    if context(task).dry_run:
        return skipped(task, "a dry run does not wait for pods")
    node = name_of(registered_node(task))
    for app in (TOOLKIT, PLUGIN):
        wait_all(
            kube(task),
            *("v1", "Pod", namespace(task)),
            label_selector=f"app={app}",
            field_selector=f"spec.nodeName={node}",
            condition=lambda pods: any(condition_true(pod, "Ready") for pod in current_pods(pods)),
            what=f"{app} to be ready on {node}",
            timeout=BUILD if driver_source(task) is Source.OPERATOR else INSTALL,
        )
    return unchanged(task, f"toolkit and device plugin are ready on {node}")


@unless(nothing_here)
def await_cards(task: Task) -> Result:
    if context(task).dry_run:
        return skipped(task, "a dry run does not wait for cards")
    name, wanted = name_of(registered_node(task)), units(task) * replicas(task)
    wait(
        kube(task),
        *("v1", "Node", name),
        condition=lambda node: node is not None and allocatable(node) == wanted,
        what=f"node {name} to offer {wanted} {GPU}",
        timeout=INSTALL,
        show=lambda node: f"{allocatable(node or {})} {GPU}",
    )
    return unchanged(task, f"{name} offers {wanted} {GPU}")


def _setup_facts(task: Task) -> tuple[Fact[Any], ...]:
    of_cards = (RUNTIME_TEMPLATE, RUNTIMES, removal.BACKUP_TEXT, removal.FILES) if count(task) else ()
    return *checks.facts(task), *of_cards


COMPONENT = Component(
    title="GPU operator",
    number=30,
    group="microk8s",
    needs=("phase5.microk8s_control", here("phase5.microk8s_workers"), here("phase5.coredns")),
    settings=("gpu_operator_version", "gpu_operator_namespace", "cuda_test_image"),
    preconditions=chain(
        step(SOURCES, early=True),
        step(checks.cards_are_as_the_inventory_says, early=True),
        step(checks.one_driver_will_serve_the_cards, early=True),
        step(checks.no_other_operator_is_there, on=CONTROL_PLANE),
        facts=checks.facts,
    ),
    setup=chain(
        removal.note_files,  # on all nodes before the operator comes, and with it the toolkit
        removal.SAVED_TEMPLATE,
        step(removal.note_what_was_there, on=CONTROL_PLANE),
        NAMESPACE,
        step(hold_back_others, on=CONTROL_PLANE),
        label_node,
        step(update_operator_definitions, on=CONTROL_PLANE),
        step(RELEASE, timeout=_STEP),
        step(await_policy, on=CONTROL_PLANE, timeout=_STEP),
        label_new_cards,
        restart_toolkit,
        step(await_pods, timeout=_STEP),
        step(await_cards, timeout=_STEP),
        facts=_setup_facts,
    ),
    verify=chain(
        NAMESPACE,
        RELEASE,
        step(checks.runtime_class_exists, on=CONTROL_PLANE),
        checks.cards_are_on_the_bus,
        checks.driver_answers_for_each_card,
        checks.node_is_ready_for_the_operator,
        checks.toolkit_prepared_the_runtime,
        checks.node_offers_each_card,
        step(checks.policy_is_ready, on=CONTROL_PLANE),
        step(checks.operands_cover_the_gpu_nodes, on=CONTROL_PLANE),
        checks.each_card_runs_cuda,
        facts=checks.verify_facts,
    ),
    rollback=chain(
        *(step(where_a_cluster_is(act), on=CONTROL_PLANE) for act in removal.BEFORE_THE_RELEASE),
        RELEASE,
        *(step(where_a_cluster_is(act), on=CONTROL_PLANE) for act in removal.AFTER_THE_RELEASE),
        NAMESPACE,
        removal.restore_runtime_template,
        removal.remove_toolkit_files,
    ),
)
