"""What must be true of a MicroK8s worker. Its own `microk8s status` exits 0 and proves nothing: the API is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nornir.core.inventory import Host
from nornir.core.task import Result, Task

from tasks.shared.cluster.control_plane import (
    CONTROL_PLANE,
    DNS_LABEL,
    WORKERS,
    expect,
    internal_ip,
    kube,
    kubelet_version,
    name_of,
    naming_control_plane,
    not_judged,
    registered_node,
)
from tasks.shared.cluster.probes import SERVICE_NAME, lookups_when, run_here
from tasks.shared.cluster.workloads import pod_network_trouble
from tasks.shared.hosts.node_facts import HOSTNAME, units
from tasks.shared.microk8s.distribution import SNAP, units_of, where_installed
from tasks.shared.microk8s.facts import CLUSTERED, STOPPED
from thinkube_nornir.cluster import current_pods
from thinkube_nornir.command import Fact
from thinkube_nornir.context import absent, hosts_in, known
from thinkube_nornir.fixes import set_up
from thinkube_nornir.outcome import passed
from thinkube_nornir.remote import read

WORKER_LABEL = "node.kubernetes.io/microk8s-worker"


def facts(_: Task) -> tuple[Fact[Any], ...]:
    return SNAP, HOSTNAME, CLUSTERED, STOPPED, units(*units_of(worker=True))


@where_installed
def host_is_marked_as_worker(task: Task) -> Result:
    why = "clustered.lock is not there: MicroK8s runs as a cluster of its own, or not at all"
    expect(read(task, CLUSTERED), "the host is no worker", why=why, fix=set_up(task))
    return passed(task, "clustered.lock is there")


def node_has_the_worker_label(task: Task) -> Result:
    node = registered_node(task)
    labels = node["metadata"].get("labels") or {}
    told = ", ".join(f"{k}={v}" for k, v in sorted(labels.items())) or "none"
    what = f"node {name_of(node)} is not labelled as a worker"
    expect(labels.get(WORKER_LABEL) == "microk8s-worker", what, why=f"its labels: {told}", fix="leave and join again")
    return passed(task, f"{WORKER_LABEL} is set")


def node_runs_the_control_planes_version(task: Task) -> Result:
    own, wanted = kubelet_version(registered_node(task)), kube(task).version()
    what = "the worker runs another version than the control plane"
    expect(
        own == wanted, what, why=f"kubelet {own}, API {wanted}", fix="give both the same microk8s_channel, run again"
    )
    return passed(task, f"kubelet and API are {own}")


def pod_network_is_ready(task: Task) -> Result:
    name = name_of(registered_node(task))
    why = pod_network_trouble(task, name)
    expect(not why, f"Calico is not ready on {name}", why=why, fix="see `kubectl -n kube-system get pods -o wide`")
    return passed(task, f"Calico is ready on {name}")


def pods_run_here(task: Task) -> Result:
    name = name_of(registered_node(task))
    done = run_here(task, "probe", "true")
    why = f"`true` ended with {done.exit_code}: {done.log.strip()}"
    expect(done.exit_code == 0, f"a pod on {name} fails", why=why, fix="see the kubelet's log on the worker")
    return passed(task, f"a pod ran on {name}")


def pods_here_resolve_services(task: Task) -> Result:
    service = kube(task).get("v1", "Service", "kubernetes", "default") or {}
    wanted = str((service.get("spec") or {}).get("clusterIP"))
    found = lookups_when(task, lambda report: report[SERVICE_NAME].addresses == (wanted,))[SERVICE_NAME]
    what = f"pods on this node do not resolve {SERVICE_NAME}"
    fix = "see whether pods of coredns are ready, and UDP 4789 is open between the nodes"
    expect(found.addresses == (wanted,), what, why=f"expected {wanted}, seen {found}", fix=fix)
    return passed(task, f"{SERVICE_NAME} is {wanted}")


def pods_reach_pods_on_other_nodes(task: Task) -> Result:
    """By the own address of a CoreDNS pod: no Service can answer from the same node instead.

    From here to one elsewhere; where all of them are here, from the control plane to here.
    """
    name = name_of(registered_node(task))
    pods = kube(task).list("v1", "Pod", "kube-system", label_selector=DNS_LABEL)
    placed = [(p["spec"].get("nodeName"), p["status"]["podIP"]) for p in current_pods(pods) if p["status"].get("podIP")]
    fix = "see why CoreDNS has no pod: `kubectl -n kube-system describe deployment/coredns`"
    expect(placed, "there is no pod to reach", why="no pod of CoreDNS has an address", fix=fix)
    elsewhere = [address for node, address in placed if node != name]
    target = elsewhere[0] if elsewhere else placed[0][1]
    with naming_control_plane(task) as control:
        source = task if elsewhere else control
        done = run_here(source, "reach", "ping", "-c", "3", "-W", "2", target)
    why = f"ping {target} from {source.host.name} ended with {done.exit_code}: {done.log.strip()}"
    fix = "open UDP 4789 between the nodes, and see that their InternalIPs are those of the LAN"
    expect(done.exit_code == 0, f"pods do not reach each other between {name} and other nodes", why=why, fix=fix)
    return passed(task, f"a pod on {source.host.name} reached {target}")


def every_member_is_a_node(task: Task) -> Result:
    """Of the hosts that this run is for, and that are well; a node that is no host's is left from an earlier life."""
    nodes = {name_of(node): internal_ip(node) for node in kube(task).list("v1", "Node")}
    hosts = {host.name: host for group in (CONTROL_PLANE, WORKERS) for host in hosts_in(task, group)}
    gone = absent(task, CONTROL_PLANE) | absent(task, WORKERS)
    found = {name: _node_of(task, host, nodes) for name, host in hosts.items()}
    strange = nodes.keys() - found.values()
    missing = [name for name, node in found.items() if node is None and name not in gone]
    told = [f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} no node"] if missing else []
    told += [f"{', '.join(sorted(strange))}: no host of the inventory"] if strange else []
    fix = "set up the hosts that are missing; remove nodes that are no more: `microk8s remove-node NAME --force`"
    why = f"nodes: {', '.join(sorted(nodes))}"
    expect(not told, f"nodes and hosts differ: {'; '.join(told)}", why=why, fix=fix)
    return passed(task, f"{', '.join(sorted(hosts.keys() - gone))}{not_judged(gone)}")


def _node_of(task: Task, host: Host, nodes: Mapping[str, str]) -> str | None:
    """By the name it has itself, if that is known, or by its address."""
    own = known(task, HOSTNAME).get(host.name)
    return own if own in nodes else next((name for name, ip in nodes.items() if ip == host.get("lan_ip")), None)
