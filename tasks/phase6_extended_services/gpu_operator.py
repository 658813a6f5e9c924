"""GPU operator: nodes with NVIDIA cards offer `nvidia.com/gpu`, and pods compute on them.

setup     labels the nodes, installs the release for MicroK8s' containerd, waits until every expected card is offered
verify    follows each card from the PCI bus to a pod that computed on it, and names the first link that breaks
rollback  refuses while pods use GPUs; removes the operator and its traces, and puts containerd's template back

A node's driver is its own where it has one, else the operator's, never both. The cluster's part is done once, by the
control plane's own steps; the nodes' part on every node.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from nornir.core.task import Result, Task

from tasks.containerd_facts import RUNTIME_TEMPLATE
from tasks.control_plane import is_control_plane, kube, name_of, registered_node, where_a_cluster_is
from tasks.gpu_nodes import asking, count, gpu_hosts, left_out, replicas, units
from tasks.network_requirements import sources_answer
from tasks.phase6_extended_services import _gpu_checks as checks
from tasks.phase6_extended_services import _gpu_removal as removal
from tasks.phase6_extended_services._gpu_chain import allocatable
from tasks.phase6_extended_services._gpu_release import (
    BUILD,
    GPU,
    HELM,
    INSTALL,
    PLUGIN,
    POLICY,
    REPOSITORY,
    TOOLKIT,
    labels,
    namespace,
    nodes_without_driver,
    offering,
    operands_time,
    release,
    sharing,
)
from thinkube_nornir.cluster import apply, condition_true, current_pods, wait, wait_all
from thinkube_nornir.command import Fact, File
from thinkube_nornir.component import Component, chain, step
from thinkube_nornir.context import context
from thinkube_nornir.helm import definitions, install_or_upgrade, installed, releases
from thinkube_nornir.outcome import all_of, skipped, unchanged
from thinkube_nornir.remote import put
from thinkube_nornir.remote.exchange import facts_forgotten

SOURCES = sources_answer(
    REPOSITORY, "nvcr.io", on=lambda task: bool(count(task) or (is_control_plane(task) and gpu_hosts(task)))
)

_STEP = BUILD + 120.0  # seconds for a step that waits so long
_MINE = "phase6.gpu_operator"


def _once(act: Callable[[Task], Result]) -> Callable[[Task], Result]:
    """A step of the cluster as a whole: the control plane's, and only if any node offers cards."""

    def acted(task: Task) -> Result:
        if not is_control_plane(task):
            return unchanged(task, "done once, by the control plane")
        return act(task) if gpu_hosts(task) else unchanged(task, "no node has cards")

    acted.__name__, acted.__doc__ = act.__name__, act.__doc__
    return acted


def save_runtime_template(task: Task) -> Result:
    """Before the toolkit writes into it."""
    if not count(task) or left_out(task):
        return unchanged(task, left_out(task) or "no cards are expected here")
    return removal.save_runtime_template(
        task, lambda text: put(task, File(removal.BACKUP, text.encode(errors="surrogateescape"), 0o660))
    )


note_what_was_there = _once(removal.note_what_was_there)


@_once
def create_namespace(task: Task) -> Result:
    """Its pods need rights that a cluster with pod security would refuse them elsewhere."""
    enforced = {"pod-security.kubernetes.io/enforce": "privileged"}
    metadata = {"name": namespace(task), "labels": enforced}
    return apply(kube(task), {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


@_once
def share_cards(task: Task) -> Result:
    wanted = sharing(task)
    if wanted is None:
        return unchanged(task, "each card is for one pod at a time")
    metadata = {"name": wanted.name, "namespace": namespace(task)}
    return apply(kube(task), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": wanted.data})


@_once
def label_nodes(task: Task) -> Result:
    """What tells the operator which parts a node gets; labels of that kind left by others are taken over."""
    results = []
    for there in gpu_hosts(task):
        with asking(there, task):
            node = registered_node(there)
            wanted = labels(there, node)
        metadata = {"name": name_of(node), "labels": wanted}
        manifest = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
        results.append(apply(kube(task), manifest, summary=f"label node {name_of(node)} for the operator", force=True))
    return all_of(task, *results)


@_once
def label_new_cards(task: Task) -> Result:
    """Cards that only the operator's driver could name: how they are shared, and whether they are too old."""
    new = nodes_without_driver(task)
    if not new or context(task).dry_run:
        return unchanged(task, "the cards of all nodes were known before")
    with ExitStack() as read_anew:
        for there in gpu_hosts(task):
            read_anew.enter_context(facts_forgotten(there))
    return label_nodes(task)


@_once
def update_definitions(task: Task) -> Result:
    """CRDs of an earlier operator: helm keeps them as they are, and the API drops the fields that they do not know.

    Source: kubernetes/cli-runtime@v0.34.0 pkg/resource/query_param_verifier_v3.go
    """
    wanted, api = release(task), kube(task)
    there = installed(task, HELM, wanted.name, wanted.namespace)
    if there is not None and there.is_of(wanted):
        return unchanged(task, "the CRDs are those of the release")
    if not offering(task) or not any(api.get(*removal.CRD, name) for name in removal.DEFINITIONS):
        return unchanged(task, "no CRDs of an earlier operator are there")
    results = (apply(api, crd, summary=f"update {name_of(crd)}", force=True) for crd in definitions(task, HELM, wanted))
    return all_of(task, *results)


@_once
def install_operator(task: Task) -> Result:
    if not offering(task):
        return unchanged(task, "gpu_minimum_capability leaves all nodes with cards out")
    return install_or_upgrade(task, HELM, release(task))


@_once
def await_policy(task: Task) -> Result:
    if not offering(task):
        return unchanged(task, "no node offers cards")
    if context(task).dry_run:
        return skipped(task, "a dry run does not wait for the ClusterPolicy")
    wait(
        kube(task),
        *POLICY,
        condition=lambda policy: ((policy or {}).get("status") or {}).get("state") == "ready",
        what=f"ClusterPolicy {POLICY[2]} to be ready",
        timeout=operands_time(task),
    )
    return unchanged(task, "the ClusterPolicy is ready")


@_once
def await_pods(task: Task) -> Result:
    """On every node that is to offer cards: an old node's pods say nothing about a new node's."""
    if context(task).dry_run:
        return skipped(task, "a dry run does not wait for pods")
    nodes = {name_of(registered_node(there)) for there in offering(task)}
    told = ", ".join(sorted(nodes)) or "no node"
    for app in (TOOLKIT, PLUGIN):
        wait_all(
            kube(task),
            *("v1", "Pod", namespace(task)),
            label_selector=f"app={app}",
            condition=lambda pods: (
                nodes <= {p["spec"].get("nodeName") for p in current_pods(pods) if condition_true(p, "Ready")}
            ),
            what=f"{app} to be ready on {told}",
            timeout=operands_time(task),
        )
    return unchanged(task, f"toolkit and device plugin are ready on {told}")


def await_cards(task: Task) -> Result:
    """Each node its own; so its checks begin when the cluster's part is done."""
    if not count(task) or left_out(task):
        return unchanged(task, left_out(task) or "no cards are expected here")
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
    own = (releases(HELM),) if is_control_plane(task) else ()
    return (*checks.facts(task), *((RUNTIME_TEMPLATE, removal.BACKUP_TEXT, removal.FILES) if count(task) else ()), *own)


_PRECONDITIONS = (
    checks.cards_are_as_the_inventory_says,
    checks.one_driver_will_serve_the_cards,
    checks.no_other_operator_is_there,
)

COMPONENT = Component(
    title="GPU operator",
    number=30,
    group="microk8s",
    needs=("phase5.microk8s_control", "phase5.microk8s_workers", "phase5.coredns"),
    settings=("gpu_operator_version", "gpu_operator_namespace", "cuda_test_image"),
    preconditions=chain(
        step(SOURCES, early=True),
        *[step(c, early=c is not checks.no_other_operator_is_there) for c in _PRECONDITIONS],
        facts=checks.facts,
    ),
    setup=chain(
        # What is wrong with one node is known before anything is changed on another.
        step(save_runtime_template, needs=tuple(f"{_MINE}.{check.__name__}" for check in _PRECONDITIONS)),
        note_what_was_there,
        create_namespace,
        share_cards,
        label_nodes,
        update_definitions,
        # The toolkit comes with the operator, and each node's template must be saved before it.
        step(install_operator, needs=(f"{_MINE}.save_runtime_template",), timeout=_STEP),
        step(await_policy, timeout=_STEP),
        label_new_cards,
        step(await_pods, timeout=_STEP),
        step(await_cards, needs=(f"{_MINE}.await_pods",), timeout=_STEP),
        facts=_setup_facts,
    ),
    verify=chain(
        checks.cards_are_on_the_bus,
        checks.driver_answers_for_each_card,
        checks.release_is_deployed,
        checks.runtime_class_exists,
        checks.node_is_ready_for_the_operator,
        checks.toolkit_prepared_the_runtime,
        checks.node_offers_each_card,
        checks.policy_is_ready,
        checks.operands_cover_the_gpu_nodes,
        checks.each_card_runs_cuda,
        facts=checks.verify_facts,
    ),
    rollback=chain(
        *map(
            where_a_cluster_is,
            (
                removal.refuse_while_pods_use_gpus,
                removal.delete_policy,
                removal.uninstall_release,
                removal.delete_runtime_class,
                removal.delete_definitions,
                removal.clean_nodes,
                removal.remove_namespace,
            ),
        ),
        step(removal.restore_runtime_template, needs=(f"{_MINE}.remove_namespace",)),
        removal.remove_toolkit_files,
    ),
)
