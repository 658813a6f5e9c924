"""MicroK8s control plane: the node that holds the cluster's API and state.

setup     installs the pinned snap on lan_ip, holds its refreshes, turns addons on, gives the user kubectl and helm
verify    asks snapd, systemd, the arguments files and the API, each for the state it should be in
rollback  refuses while workers are registered; else removes what we installed, or puts back what was there before
"""

from __future__ import annotations

from typing import Any

from nornir.core.task import Result, Task

from tasks.phase5_core_services.microk8s_control import checks
from tasks.phase5_core_services.microk8s_control.checks import CLUSTER_DNS, addons, workloads
from tasks.phase5_core_services.microk8s_control.node_address import ARGUMENTS, restore_node_address, set_node_address
from tasks.shared.cluster.control_plane import CONTROL_PLANE, WORKERS, kube, name_of, registered_node
from tasks.shared.cluster.kubernetes_distribution import DISTRIBUTION
from tasks.shared.cluster.workloads import await_pod_network, await_rolled_out
from tasks.shared.hosts.node_facts import HOSTNAME
from tasks.shared.microk8s import distribution as microk8s
from tasks.shared.microk8s import launch, node
from tasks.shared.microk8s.distribution import MEMBERSHIP_KEY, SNAP
from tasks.shared.microk8s.facts import STATUS, STOPPED, arguments
from thinkube_nornir.command import Fact
from thinkube_nornir.component import Component, chain
from thinkube_nornir.context import active, context, hosts_in, known
from thinkube_nornir.errors import Refused, ThinkubeError
from thinkube_nornir.outcome import all_of, unchanged
from thinkube_nornir.program import command
from thinkube_nornir.remote import read
from thinkube_nornir.resources import File, from_setting, in_home

LAUNCHED = ("dns",)
"""Addons that the launch configuration turns on."""
LAUNCH = launch.configuration(
    "microk8s_control/launch.yaml.j2", lan_ip=from_setting("lan_ip"), cluster_dns=CLUSTER_DNS, addons=LAUNCHED
)
"""Before the snap: a node registers with the address it has at its first start."""
KUBECTL, HELM = (
    File(
        in_home(node.USER, f".local/bin/{name}"),
        template="microk8s_control/wrapper.j2",
        values={"program": program},
        mode=0o755,
        owner=node.USER,
    )
    for name, program in (("kubectl", "kubectl"), ("helm", "helm3"))
)
KUBECONFIG = File(
    in_home(node.USER, ".kube/thinkube.config"),  # ~/.kube/config may hold other clusters
    DISTRIBUTION.kubeconfig,
    mode=0o600,
    owner=node.USER,
    directory_mode=0o700,
    secret=True,
)


def await_launch_configuration(task: Task) -> Result:
    return launch.await_applied(task)


def enable_addons(task: Task) -> Result:
    """A plan for a host without MicroK8s promises those alone that do not come with the installation."""
    coming = () if DISTRIBUTION.is_installed(task) else (*LAUNCHED, *microk8s.ALWAYS_ON)
    wanted = [DISTRIBUTION.addon(task, name) for name in addons(task) if name not in coming]
    come = [unchanged(task, f"addon {name} comes with the installation") for name in addons(task) if name in coming]
    return all_of(task, *come, *wanted)


def await_workloads(task: Task) -> Result:
    awaited = workloads(task)
    summary = f"{', '.join(name for _, name in awaited)} are rolled out, and Calico is ready here"
    result = await_rolled_out(task, awaited, "kube-system", summary=summary)
    if not context(task).dry_run:
        await_pod_network(task, name_of(registered_node(task)))
    return result


def refuse_while_workers_are_registered(task: Task) -> Result:
    """An API that does not answer cannot be asked: then our own records of joined workers count."""
    if read(task, SNAP) is None:
        return unchanged(task, "microk8s is not installed")
    change_log = context(task).change_log
    try:
        workers = [n for n in map(name_of, kube(task).list("v1", "Node")) if n != read(task, HOSTNAME)]
        told = "no workers are registered"
    except ThinkubeError as error:
        workers = [h.name for h in hosts_in(task, WORKERS) if change_log.managed(h.name, MEMBERSHIP_KEY)]
        told = f"no worker is recorded as ours, and the API does not answer ({error.what})"
    if context(task).dry_run:
        workers = [name for name in workers if name not in _going(task)]
    if workers:
        raise Refused(
            f"workers are still in the cluster: {', '.join(workers)}",
            why="without the control plane they could not be drained, and their pods would run on unmanaged",
            fix=f"roll the workers back first: `{command('rollback', 'phase5.microk8s_workers')}`",
        )
    return unchanged(task, told)


def _going(task: Task) -> set[str]:
    """Nodes of workers that leave before this step, which is only planned in a dry run."""
    change_log, names = context(task).change_log, known(task, HOSTNAME)
    leaving = (host.name for host in active(task, WORKERS) if change_log.managed(host.name, MEMBERSHIP_KEY))
    return {names.get(host, host) for host in leaving}


def restore_addons(task: Task) -> Result:
    """Those we turned on in a snap that was there before us."""
    results = [microk8s.without_addon(task, name) for name in addons(task)]
    return all_of(task, *results)


def _setup_facts(_: Task) -> tuple[Fact[Any], ...]:
    return (STATUS, STOPPED, *map(arguments, ARGUMENTS))


COMPONENT = Component(
    title="MicroK8s control plane",
    number=10,
    group=CONTROL_PLANE,
    settings=node.SETTINGS,
    preconditions=node.PRECONDITIONS,
    setup=chain(
        LAUNCH,
        DISTRIBUTION.INSTALLATION,
        node.MEMBER,
        node.start_services,
        microk8s.await_ready,
        await_launch_configuration,
        set_node_address,
        enable_addons,
        await_workloads,
        KUBECTL,
        HELM,
        KUBECONFIG,
        facts=_setup_facts,
    ),
    verify=chain(
        node.services_run,
        checks.datastore_listens,
        checks.microk8s_runs,
        checks.addons_are_on,
        checks.arguments_are_exact,
        checks.certificate_covers_the_lan_address,
        checks.api_is_ready,
        node.node_is_ready,
        node.node_has_the_lan_address,
        checks.node_version_fits_the_channel,
        checks.workloads_are_ready,
        checks.dns_service_has_endpoints,
        checks.storage_class_is_default,
        checks.kubectl_answers,
        facts=checks.facts,
    ),
    rollback=chain(
        refuse_while_workers_are_registered,
        KUBECONFIG,
        HELM,
        KUBECTL,
        restore_addons,
        restore_node_address,
        *node.REMOVAL,
        facts=node.removal_facts,
    ),
)
