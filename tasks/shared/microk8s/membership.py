"""Who is in the cluster: joining it, after what an earlier life left was cleared away, and leaving it.

A node's pods go first, then the node, then what the API knows of it.
"""

from __future__ import annotations

import logging

from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import (
    WORKERS,
    Object,
    internal_ip,
    kube,
    name_of,
    naming_control_plane,
    own_node,
)
from tasks.shared.cluster.workloads import await_pod_network
from tasks.shared.hosts.node_facts import HOSTNAME
from tasks.shared.microk8s import distribution as microk8s
from tasks.shared.microk8s.distribution import MEMBERSHIP_KEY
from tasks.shared.microk8s.facts import CLUSTERED, COMMAND, CONTROL_PLANES
from thinkube_nornir.cluster import node_ready, wait_all
from thinkube_nornir.context import active, context, hosts_in, is_managed, known, note_retry, on, setting
from thinkube_nornir.errors import ClusterError, CommandFailed, Refused, ThinkubeError
from thinkube_nornir.outcome import all_of, changed, skipped, unchanged
from thinkube_nornir.program import command
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.resources.snapd import await_idle
from thinkube_nornir.secret import Secret

log = logging.getLogger(__name__)

_API_BACK = 120.0  # seconds, within the token's life
_NODE_READY = 600.0  # seconds: images are pulled
_UNKNOWN_HOST_KEY = b"Could not verify the identity"
_DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")


def join_cluster(task: Task) -> Result:
    """An API that does not answer is an error, and never taken for one that does not know the node."""
    registered, clustered = own_node(task), read(task, CLUSTERED)
    if registered and clustered:
        return unchanged(task, f"node {name_of(registered)} is in the cluster")
    cleared = _forget_registration(task, registered) if registered else _leave_old_cluster(task, clustered=clustered)
    if context(task).dry_run:
        return changed(task, "join the cluster as a worker", planned=True)
    await_idle(task, microk8s.NAME)  # now, while there is no token whose time it would take
    with naming_control_plane(task) as control:
        join_token = microk8s.join_token(control, setting(control, "lan_ip"))
    return all_of(task, cleared, _joined(task, join_token))


def _joined(task: Task, join_token: Secret) -> Result:
    """A second time when the first fails: the first join of a cluster restarts the datastore under its own feet.

    Its agent then asks an API that is away, and does not repeat that. The token is good until it expires.

    Source: canonical/microk8s-cluster-agent@1.34 pkg/api/v2/join.go
    Source: canonical/microk8s-cluster-agent@1.34 pkg/snap/util/dqlite.go
    """
    try:
        return microk8s.join(task, join_token)
    except CommandFailed as error:
        if _UNKNOWN_HOST_KEY in error.stdout:
            raise
        log.warning("%s: the join failed and is tried once more: %s", task.host.name, error.why)
        note_retry(task, error.why or error.what)
    what = "the API to answer again after a failed join"
    wait_all(kube(task), "v1", "Node", condition=lambda _: True, what=what, timeout=_API_BACK)
    return microk8s.join(task, join_token)


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
        why = f"its API proxy does not name {address}, and our API does not know its node"
        fix = "take it out of that cluster first: `microk8s leave`"
        raise Refused("this host is a worker of another cluster", why=why, fix=fix)
    return microk8s.leave_cluster(task, "leave a cluster that no longer knows this node")


def await_node(task: Task) -> Result:
    """Ready by its condition, and Calico ready on it: before that, its pods have no network."""
    registered = own_node(task)
    name = name_of(registered) if registered else read(task, HOSTNAME)
    if context(task).dry_run:
        return skipped(task, f"a dry run does not wait for node {name}")
    node_ready(kube(task), name, timeout=_NODE_READY)
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
    return microk8s.leave(task)


def remove_registration(task: Task) -> Result:
    """By the name it is registered under. The record stays until the control plane could be told."""
    if not is_managed(task, MEMBERSHIP_KEY):
        return unchanged(task, "not registered by us")
    try:
        registered = own_node(task)
    except ClusterError as error:
        if not _control_plane_is_gone(task):
            why = f"its node may still be registered: {error.what}"
            return skipped(task, f"{why}; roll back again when the API answers")
        registered = None
    removed = _remove_node(task, registered) if registered else unchanged(task, "the API knows no such node")
    return all_of(task, removed, undo(task, MEMBERSHIP_KEY, "forget the membership", root=True))


def _control_plane_is_gone(task: Task) -> bool:
    """Its host answers, and has no MicroK8s: there is no cluster any more that could know the node."""
    try:
        with naming_control_plane(task) as control:
            return not microk8s.is_installed(control)
    except ClusterError:
        return False


def _remove_node(task: Task, registered: Object, *options: str) -> Result:
    name = name_of(registered)
    with naming_control_plane(task) as control:
        argv = (COMMAND, "remove-node", name, *options)
        return change(control, f"remove node {name} from the cluster", *argv, root=True, timeout=120)


def refuse_while_workers_are_registered(task: Task) -> Result:
    """An API that does not answer cannot be asked: then our own records of joined workers count."""
    if not microk8s.is_installed(task):
        return unchanged(task, "microk8s is not installed")
    change_log = context(task).change_log
    try:
        workers = [n for n in map(name_of, kube(task).list("v1", "Node")) if n != read(task, HOSTNAME)]
        reported = "no workers are registered"
    except ThinkubeError as error:
        workers = [h.name for h in hosts_in(task, WORKERS) if change_log.managed(h.name, MEMBERSHIP_KEY)]
        reported = f"no worker is recorded as managed, and the API does not answer ({error.what})"
    if context(task).dry_run:
        workers = [name for name in workers if name not in _leaving(task)]
    if workers:
        why = "without the control plane they could not be drained, and their pods would run on unmanaged"
        fix = f"roll the workers back first: `{command('rollback', 'phase5.microk8s_workers')}`"
        raise Refused(f"workers are still in the cluster: {', '.join(workers)}", why=why, fix=fix)
    return unchanged(task, reported)


def _leaving(task: Task) -> set[str]:
    """Nodes of workers that leave before this step, which is only planned in a dry run."""
    names = known(task, HOSTNAME)
    leaving = (host.name for host in active(task, WORKERS) if is_managed(on(task, host), MEMBERSHIP_KEY))
    return {names.get(host, host) for host in leaving}
