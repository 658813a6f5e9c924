"""MicroK8s workers: VMs and baremetal hosts that run pods for the control plane.

setup     installs the snap (which needs nothing from the control plane), then joins, one host at a time
verify    asks the API for the node by its exact name, and runs pods on it
rollback  drains, leaves, removes the registration and what we installed; the host's other tenants are not touched
"""

from __future__ import annotations

import logging
from typing import Any

from nornir.core.task import Result, Task

from tasks.phase5_core_services.microk8s_workers import checks
from tasks.shared.cluster.control_plane import (
    CONTROL_PLANE,
    WORKERS,
    Object,
    expect,
    internal_ip,
    is_ready,
    kube,
    name_of,
    naming_control_plane,
    own_node,
)
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.cluster.workloads import await_pod_network
from tasks.shared.hosts.node_facts import HOSTNAME
from tasks.shared.microk8s import distribution as microk8s
from tasks.shared.microk8s import launch, node
from tasks.shared.microk8s.distribution import MEMBERSHIP_KEY, SNAP
from tasks.shared.microk8s.facts import CLUSTERED, COMMAND, CONTROL_PLANES, STOPPED
from thinkube_nornir.cluster import node_ready, wait_all
from thinkube_nornir.command import Fact
from thinkube_nornir.component import Component, chain, step
from thinkube_nornir.context import context, is_managed, note_retry, setting
from thinkube_nornir.errors import ClusterError, CommandFailed, Refused
from thinkube_nornir.outcome import all_of, changed, skipped, unchanged
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.resources.snapd import await_idle
from thinkube_nornir.secret import Secret

log = logging.getLogger(__name__)

JOINING = "join"  # who comes or goes, one at a time: the control plane edits its files for each
_API_BACK = 120.0  # seconds, within the token's life
_NODE_READY = 600.0  # seconds: images are pulled
_UNKNOWN_HOST_KEY = b"Could not verify the identity"
_DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")


LAUNCH = launch.configuration("microk8s_workers/launch.yaml.j2")
"""Before the snap, and without addons: the default one turns dns on while the node joins."""


def await_ready(task: Task) -> Result:
    if read(task, CLUSTERED):
        return unchanged(task, "a worker already; whether it is ready is asked of the API")
    return microk8s.await_ready(task)


def await_launch_configuration(task: Task) -> Result:
    if read(task, CLUSTERED):
        return unchanged(task, "a worker already")
    return launch.await_applied(task)


def join_cluster(task: Task) -> Result:
    """An API that does not answer is an error, and never taken for one that does not know the node."""
    registered, clustered = own_node(task), read(task, CLUSTERED)
    if registered and clustered:
        return _member(task, registered)
    _must_follow_the_same_channel(task)
    cleared = _forget_registration(task, registered) if registered else _leave_old_cluster(task, clustered=clustered)
    if context(task).dry_run:
        return changed(task, "join the cluster as a worker", planned=True)
    await_idle(task, microk8s.NAME)  # now, while there is no token whose time it would take
    with naming_control_plane(task) as control:
        join_token = DISTRIBUTION.join_token(control, setting(control, "lan_ip"))
    return all_of(task, cleared, _joined(task, join_token))


def _joined(task: Task, join_token: Secret) -> Result:
    """A second time when the first fails: the first join of a cluster restarts the datastore under its own feet.

    Its agent then asks an API that is away, and does not repeat that. The token is good until it expires.

    Source: canonical/microk8s-cluster-agent@1.34 pkg/api/v2/join.go
    Source: canonical/microk8s-cluster-agent@1.34 pkg/snap/util/dqlite.go
    """
    try:
        return DISTRIBUTION.join(task, join_token)
    except CommandFailed as error:
        if _UNKNOWN_HOST_KEY in error.stdout:
            raise
        log.warning("%s: the join failed and is tried once more: %s", task.host.name, error.why)
        note_retry(task, error.why or error.what)
    what = "the API to answer again after a failed join"
    wait_all(kube(task), "v1", "Node", condition=lambda _: True, what=what, timeout=_API_BACK)
    return DISTRIBUTION.join(task, join_token)


def _member(task: Task, registered: Object) -> Result:
    lan_ip, seen = setting(task, "lan_ip"), internal_ip(registered)
    if seen != lan_ip:
        raise Refused(
            f"node {name_of(registered)} is registered with {seen or 'no address'}, not with lan_ip {lan_ip}",
            why="a worker's address is the one its join came from, and cannot be changed afterwards",
            fix="correct the route or lan_ip, roll this worker back, and set it up again",
        )
    return unchanged(task, f"node {name_of(registered)} is in the cluster as {lan_ip}")


def _must_follow_the_same_channel(task: Task) -> None:
    with naming_control_plane(task) as control:
        own, wanted = setting(task, "microk8s_channel"), setting(control, "microk8s_channel")
    fix = "set microk8s_channel for the whole group microk8s"
    expect(
        own == wanted, "the worker is to run another version than the control plane", why=f"{own}, {wanted}", fix=fix
    )


def _forget_registration(task: Task, registered: Object) -> Result:
    """The API knows the node and the host is no worker: left from an earlier life, or from a join that was killed."""
    if not is_managed(task, MEMBERSHIP_KEY) and not setting(task, "microk8s_force_join", False):
        raise Refused(
            f"node {name_of(registered)} is registered already, and this host is not the one that joined",
            why=f"the API has it with {internal_ip(registered)}; this host has no clustered.lock",
            fix="remove it if it is stale (`microk8s remove-node NAME --force`), or set microk8s_force_join: true",
        )
    return _remove_node(task, registered, "--force")


def _leave_old_cluster(task: Task, *, clustered: bool) -> Result:
    if not clustered:
        return unchanged(task, "in no cluster")
    with naming_control_plane(task) as control:
        address = setting(control, "lan_ip")
    if not is_managed(task, MEMBERSHIP_KEY) and address not in (read(task, CONTROL_PLANES) or ""):
        raise Refused(
            "this host is a worker of another cluster",
            why=f"its API proxy does not name {address}, and our API does not know its node",
            fix="take it out of that cluster first: `microk8s leave`",
        )
    return microk8s.leave_cluster(task, "leave a cluster that no longer knows this node")


def await_node(task: Task) -> Result:
    """Ready by its condition, and Calico ready on it: before that, its pods have no network."""
    api, registered = kube(task), own_node(task)
    name = name_of(registered) if registered else read(task, HOSTNAME)
    if context(task).dry_run and not (registered and is_ready(registered)):
        return skipped(task, f"a dry run does not wait for node {name}")
    node_ready(api, name, timeout=_NODE_READY)
    await_pod_network(task, name)
    return unchanged(task, f"node {name} is Ready, and Calico on it")


def drain_node(task: Task) -> Result:
    if not is_managed(task, MEMBERSHIP_KEY):
        return unchanged(task, "not a worker by our doing")
    try:
        registered = own_node(task)
    except ClusterError as error:
        return skipped(task, f"not drained: {error.what}")
    if registered is None:
        return unchanged(task, "not registered")
    with naming_control_plane(task) as control:
        argv = (COMMAND, "kubectl", "drain", name_of(registered), *_DRAIN)
        return change(control, f"drain {name_of(registered)}", *argv, root=True, timeout=150)


def leave_cluster(task: Task) -> Result:
    return DISTRIBUTION.leave(task)


def remove_registration(task: Task) -> Result:
    """By the name it is registered under. The record stays until the control plane could be told."""
    if not is_managed(task, MEMBERSHIP_KEY):
        return unchanged(task, "not registered by us")
    try:
        registered = own_node(task)
    except ClusterError as error:
        if not _control_plane_is_gone(task):
            return skipped(
                task, f"its node may still be registered: {error.what}; roll back again when the API answers"
            )
        registered = None
    removed = _remove_node(task, registered) if registered else unchanged(task, "the API knows no such node")
    return all_of(task, removed, undo(task, MEMBERSHIP_KEY, "forget the membership", root=True))


def _control_plane_is_gone(task: Task) -> bool:
    """Its host answers, and has no MicroK8s: there is no cluster any more that could know the node."""
    try:
        with naming_control_plane(task) as control:
            return read(control, SNAP) is None
    except ClusterError:
        return False


def _remove_node(task: Task, registered: Object, *options: str) -> Result:
    name = name_of(registered)
    with naming_control_plane(task) as control:
        argv = (COMMAND, "remove-node", name, *options)
        return change(control, f"remove node {name} from the cluster", *argv, root=True, timeout=120)


def _setup_facts(_: Task) -> tuple[Fact[Any], ...]:
    return HOSTNAME, CLUSTERED, STOPPED


COMPONENT = Component(
    title="MicroK8s workers",
    number=20,
    group=WORKERS,
    needs=("phase5.microk8s_control",),
    settings=node.SETTINGS,
    preconditions=node.PRECONDITIONS,
    setup=chain(
        step(LAUNCH, needs=()),
        step(DISTRIBUTION.INSTALLATION, needs=()),
        step(node.MEMBER, needs=()),
        step(node.start_services, needs=()),
        step(await_ready, needs=()),
        step(await_launch_configuration, needs=()),
        step(join_cluster, concurrency=JOINING),
        await_node,
        facts=_setup_facts,
    ),
    verify=chain(
        checks.host_is_marked_as_worker,
        node.services_run,
        node.node_is_ready,
        node.node_has_the_lan_address,
        checks.node_has_the_worker_label,
        checks.node_runs_the_control_planes_version,
        checks.pod_network_is_ready,
        checks.pods_run_here,
        checks.pods_here_resolve_services,
        checks.pods_reach_pods_on_other_nodes,
        step(checks.every_member_is_a_node, on=CONTROL_PLANE),
        facts=checks.facts,
    ),
    rollback=chain(
        drain_node,
        leave_cluster,
        step(remove_registration, concurrency=JOINING),
        *node.REMOVAL,
        facts=node.removal_facts,
    ),
)
