"""What every MicroK8s node has in common, control plane or worker: set-up, checks, removal."""

from __future__ import annotations

from typing import Any

from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import (
    expect,
    internal_ip,
    is_control_plane,
    is_ready,
    kube,
    kubelet_version,
    name_of,
    registered_node,
    unready_because,
)
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.cluster.workloads import pod_network_trouble
from tasks.shared.hosts import host_requirements, network_requirements
from tasks.shared.hosts.node_facts import HOSTNAME, MOUNTS, units
from tasks.shared.microk8s import distribution as microk8s
from tasks.shared.microk8s import launch
from tasks.shared.microk8s import leftovers as microk8s_leftovers
from tasks.shared.microk8s.distribution import GROUP, KUBELET_LINK, ROOT, SNAP, SNAP_KEY, where_installed
from tasks.shared.microk8s.facts import CLUSTERED, DATASTORE_SOCKET, KUBELET_TARGET, ROOT_FOLDER, STOPPED, STOPPED_LOCK
from thinkube_nornir.command import Fact
from thinkube_nornir.component import Step, chain, step
from thinkube_nornir.context import context, is_managed, setting
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed, unchanged
from thinkube_nornir.remote import change, read, undo
from thinkube_nornir.resources import File, GroupMember, from_setting

SETTINGS = ("lan_ip", "system_username", "microk8s_channel")
USER = from_setting("system_username")
MEMBER = GroupMember("microk8s", USER)
"""The operator uses it without root."""
PRECONDITIONS = chain(
    *[step(check, early=True) for check in (*host_requirements.CHECKS, *network_requirements.CHECKS)],
    facts=lambda _: (*host_requirements.FACTS, *network_requirements.FACTS),
)
"""What a host must have before it may become a node: checked before any change."""
_STAYS = "kernel modules, a loaded AppArmor profile, sets of addresses and raised limits stay until the next boot"


def installation(configuration: File) -> tuple[Step, ...]:
    """Set-up up to a MicroK8s that is ready, and in no cluster yet: none of it needs another host.

    Args:
        configuration: the launch configuration, there before the snap.
    """
    steps = (configuration, DISTRIBUTION.INSTALLATION, MEMBER, start_services, await_ready)
    return tuple(step(each, needs=()) for each in steps)


def start_services(task: Task) -> Result:
    """Of a node that was stopped, by its owner or by a rollback that did not come to remove it: none waits in vain."""
    return DISTRIBUTION.start(task)


def await_ready(task: Task) -> Result:
    """And until the launch configuration is applied: before that, addons come on and kubelite is restarted."""
    if read(task, CLUSTERED):
        return unchanged(task, "a worker already; whether it is ready is asked of the API")
    microk8s.await_ready(task)
    return launch.await_applied(task)


def setup_facts(_: Task) -> tuple[Fact[Any], ...]:
    return HOSTNAME, CLUSTERED, STOPPED


@where_installed
def host_has_its_role(task: Task) -> Result:
    """A worker's own `microk8s status` exits 0 and proves nothing."""
    worker, marked = not is_control_plane(task), read(task, CLUSTERED)
    what = "the host is no worker" if worker else "the host is a worker, and of another cluster"
    why = f"clustered.lock is {'there' if marked else 'not there: MicroK8s is a cluster of its own, or not at all'}"
    expect(marked is worker, what, why=why, fix=set_up(task) if worker else "take it out of there: `microk8s leave`")
    return passed(task, f"clustered.lock is {'there' if marked else 'not there'}")


@where_installed
def services_run(task: Task) -> Result:
    faults = DISTRIBUTION.health(task)
    why = f"`microk8s stop` left {STOPPED_LOCK}; while it is there, `microk8s leave` and others refuse"
    expect(not read(task, STOPPED), "MicroK8s is stopped", why=why, fix=f"{set_up(task)}, which starts it")
    fix = "see why: `journalctl -u snap.microk8s.daemon-kubelite`, `microk8s inspect`"
    expect(not faults, f"MicroK8s does not run as it should: {len(faults)} faults", why="\n".join(faults), fix=fix)
    return passed(task, "all services are active")


def node_is_ready(task: Task) -> Result:
    node = registered_node(task)
    fix = "see `kubectl describe node` on the control plane"
    expect(is_ready(node), f"node {name_of(node)} is not Ready", why=unready_because(node), fix=fix)
    return passed(task, f"node {name_of(node)} is Ready")


def node_has_the_lan_address(task: Task) -> Result:
    """The control plane's is among its arguments; a worker's is the one from which it joined, and stays."""
    node, lan_ip = registered_node(task), setting(task, "lan_ip")
    seen = internal_ip(node) or "missing"
    what, why = f"node {name_of(node)} has not the address {lan_ip}", f"its InternalIP is {seen}"
    fix = "see that the route to the other nodes leaves from lan_ip; then roll a worker back, and set it up again"
    expect(seen == lan_ip, what, why=why, fix=fix)
    return passed(task, f"InternalIP is {lan_ip}")


def node_runs_the_clusters_version(task: Task) -> Result:
    """A worker that is ahead of the API misbehaves."""
    track, api = str(setting(task, "microk8s_channel")).partition("/")[0], kube(task).version()
    version = kubelet_version(registered_node(task))
    what, why = f"the node does not run Kubernetes {track}, as the API does", f"kubelet {version or 'none'}, API {api}"
    right, fix = (
        version == api and version.startswith(f"v{track}."),
        f"{set_up(task)}; it moves the snap to its channel",
    )
    expect(right, what, why=why, fix=fix)
    return passed(task, f"kubelet and API are {version}")


def pod_network_is_ready(task: Task) -> Result:
    name = name_of(registered_node(task))
    why = pod_network_trouble(task, name)
    expect(not why, f"Calico is not ready on {name}", why=why, fix="see `kubectl -n kube-system get pods -o wide`")
    return passed(task, f"Calico is ready on {name}")


CHECKS = (
    host_has_its_role,
    services_run,
    node_is_ready,
    node_has_the_lan_address,
    node_runs_the_clusters_version,
    pod_network_is_ready,
)


def check_facts(*, worker: bool) -> tuple[Fact[Any], ...]:
    of_control = () if worker else (DATASTORE_SOCKET,)
    return SNAP, HOSTNAME, CLUSTERED, STOPPED, units(*microk8s.units_of(worker=worker)), *of_control


def stop_services(task: Task) -> Result:
    """With its pods: mounts that they hold have made removals hang."""
    if not is_managed(task, SNAP_KEY) or read(task, SNAP) is None:
        return unchanged(task, "nothing managed is to be stopped")
    return microk8s.stop(task)


def unmount_volumes(task: Task) -> Result:
    points = [point for point in read(task, MOUNTS) if point.startswith(f"{ROOT}/common/")]
    if not is_managed(task, SNAP_KEY) or not points:
        return unchanged(task, "nothing managed is mounted")
    return change(task, f"unmount {len(points)} volumes of pods", "umount", *points, root=True)


def remove_group(task: Task) -> Result:
    """The one that the snap made; it stays when somebody else has become a member."""
    record, found = context(task).change_log.managed(task.host.name, SNAP_KEY), read(task, GROUP)
    if record is None or record.before.get("group", True) or found is None:
        return unchanged(task, "no group is managed")
    if found.members:
        return unchanged(task, f"group microk8s stays: {', '.join(sorted(found.members))} is in it")
    return change(task, "remove group microk8s", "groupdel", "microk8s", root=True)


def clear_leftovers(task: Task) -> Result:
    """The last trace of our MicroK8s, and with it the record that it is managed."""
    if not is_managed(task, SNAP_KEY):
        return unchanged(task, "nothing managed is left")
    target, there = read(task, KUBELET_TARGET, ROOT_FOLDER)
    paths = [ROOT] * there + [KUBELET_LINK] * target.startswith(f"{ROOT}/")
    argv = ("rm", "-rf", "--one-file-system", "--", *paths) if paths else ()
    reported = f"remove {' and '.join(paths)}" if paths else "forget microk8s"
    undo(task, microk8s.STOPPING_KEY, "forget that it was stopped", root=True)
    return undo(task, SNAP_KEY, f"{reported}; {_STAYS}", *argv, root=True)


REMOVAL = (
    stop_services,
    unmount_volumes,
    MEMBER,
    DISTRIBUTION.INSTALLATION,
    microk8s.stop_again,
    *microk8s_leftovers.REMOVAL,
    remove_group,
    clear_leftovers,
)
"""In order; each looks first, so that it also undoes half of a set-up."""


def removal_facts(_: Task) -> tuple[Fact[Any], ...]:
    return SNAP, GROUP, HOSTNAME
