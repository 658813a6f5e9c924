"""MicroK8s workers: VMs and baremetal hosts that run pods for the control plane.

setup     installs the snap (which needs nothing from the control plane), then joins, one host at a time
verify    asks the API for the node by its exact name, and runs pods on it
rollback  drains, leaves, removes the registration and what we installed; the host's other tenants are not touched
"""

from __future__ import annotations

from tasks.phase5_core_services.microk8s_workers import checks
from tasks.shared.cluster.control_plane import CONTROL_PLANE, WORKERS
from tasks.shared.microk8s import foreign, launch, membership, node
from thinkube_nornir.component import Component, chain, step

ONE_AT_A_TIME = "join"
"""Who comes or goes: the control plane edits its files for each."""
LAUNCH = launch.configuration("microk8s_workers/launch.yaml.j2")
"""Before the snap, and without addons: the default one turns dns on while the node joins."""

COMPONENT = Component(
    title="MicroK8s workers",
    number=20,
    group=WORKERS,
    needs=("phase5.microk8s_control",),
    settings=node.SETTINGS,
    preconditions=node.PRECONDITIONS,
    setup=chain(
        *node.installation(LAUNCH),
        step(membership.join_cluster, concurrency=ONE_AT_A_TIME),
        membership.await_node,
        facts=node.setup_facts,
    ),
    verify=chain(
        *node.CHECKS,
        checks.node_has_the_worker_label,
        checks.pods_run_here,
        checks.pods_reach_pods_on_other_nodes,
        step(checks.every_member_is_a_node, on=CONTROL_PLANE),
        facts=checks.facts,
    ),
    rollback=chain(
        foreign.refuse_foreign_things,
        membership.drain_node,
        membership.leave_cluster,
        step(membership.remove_registration, concurrency=ONE_AT_A_TIME),
        *node.REMOVAL,
        facts=node.removal_facts,
    ),
)
